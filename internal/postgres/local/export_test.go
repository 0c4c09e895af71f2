//go:build linux || darwin

package local

import (
	"io"
	"log/slog"
)

// WithPlaces looks for programs on PATH and in places alone.
func WithPlaces(cfg Config, places ...string) Config {
	cfg.places = append([]string{}, places...)
	return cfg
}

// Forsake makes a server that is not told when its parent dies.
func Forsake(cfg Config) Config {
	cfg.forsaken = true
	return cfg
}

// ClosedTo returns the first directory on the way to dir that a user cannot enter, or "".
func ClosedTo(uid, gid uint32, dir string) string { return closedTo(identity{uid: uid, gid: gid}, dir) }

// Unpack unpacks an npm tarball into dir.
func Unpack(tarball io.Reader, dir string) error { return unpack(tarball, dir) }

// NewServerLog returns what reads the server's log, and what returns its last lines.
func NewServerLog(logger *slog.Logger) (io.Writer, func() string) {
	l := &serverLog{logger: logger}
	return l, l.last
}
