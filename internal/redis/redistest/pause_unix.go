//go:build unix

package redistest

import (
	"syscall"
	"testing"
)

// Freeze makes the server take connections and answer nothing, until the returned function is called or the server is killed.
func (s *Server) Freeze(t testing.TB) (thaw func()) {
	t.Helper()
	s.signal(t, syscall.SIGSTOP)
	return func() { s.signal(t, syscall.SIGCONT) }
}

func (s *Server) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		t.Fatal("redistest: the server is dead")
	}
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatalf("redistest: %v", err)
	}
}
