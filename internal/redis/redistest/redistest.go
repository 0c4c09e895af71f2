// Package redistest runs a real redis-server for tests, each with a server of its own on a random port of the loopback
// interface, without persistence, and dead with the test. The program must be on PATH (Debian: redis-server); a test without
// it fails and says so.
package redistest

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/porttest"
)

const (
	startTimeout = 20 * time.Second
	program      = "redis-server"
)

// Server is one redis-server.
type Server struct {
	URL string // a value for REDIS_URL

	path string
	port int

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
}

// Start starts a server that is killed when the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("redistest: %v: install it (Debian: apt-get install redis-server)", err)
	}
	s := &Server{path: path}
	t.Cleanup(s.Kill)
	var last error
	for range 5 { // a process of somebody else may listen there, who does not know of porttest
		s.port = porttest.Free(t)
		s.URL = "redis://127.0.0.1:" + strconv.Itoa(s.port)
		if last = s.start(); last == nil {
			return s
		}
	}
	t.Fatalf("redistest: %v", last)
	return nil
}

// Kill ends the server as a crash would, with everything in it. It does nothing to one that is dead.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	<-s.done
	s.cmd = nil
}

// Restart starts a killed server again, empty, on the same port.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	deadline := time.Now().Add(startTimeout)
	for {
		err := s.start()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("redistest: restart: %v", err)
		}
	}
}

// start returns when the server takes connections.
func (s *Server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	cmd := exec.CommandContext(context.Background(), s.path, "--bind", "127.0.0.1", "--port", strconv.Itoa(s.port),
		"--save", "", "--appendonly", "no", "--daemonize", "no", "--loglevel", "notice", "--logfile", "")
	cmd.SysProcAttr = withParent()
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ready, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		said := false
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if !said && strings.Contains(lines.Text(), "Ready to accept connections") {
				said = true
				close(ready)
			}
		}
		_ = cmd.Wait()
	}()
	select {
	case <-ready:
		s.cmd, s.done = cmd, done
		return nil
	case <-done:
		return fmt.Errorf("%s ended at its start on port %d", program, s.port)
	case <-time.After(startTimeout):
		_ = cmd.Process.Kill()
		<-done
		return fmt.Errorf("%s was not ready within %s", program, startTimeout)
	}
}
