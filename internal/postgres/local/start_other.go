//go:build !linux && !darwin

package local

import (
	"context"
	"runtime"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Server is a running Postgres. On this system there is none.
type Server struct{}

// Start fails: on this system Postgres must be run by other means.
func Start(context.Context, Config) (*Server, error) {
	return nil, fault.New(fault.Unavailable, "Postgres cannot be started on %s: install one and set DATABASE_URL", runtime.GOOS)
}

// InUse returns false.
func InUse(string) bool { return false }

// URL returns an empty string.
func (*Server) URL() string { return "" }

// Done returns nil.
func (*Server) Done() <-chan struct{} { return nil }

// Stop does nothing.
func (*Server) Stop(context.Context) error { return nil }
