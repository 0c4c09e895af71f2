//go:build linux || darwin

package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	poll      = 5 * time.Millisecond // between two looks at a file or a process
	killAfter = 5 * time.Second      // what an immediate shutdown may take
)

// process is the server's main process as our child.
type process struct {
	cmd  *exec.Cmd
	log  *serverLog
	done chan struct{} // closed when the process has ended
}

// startProcess starts cmd and waits for its end in a goroutine of its own. That goroutine keeps its thread for itself,
// because the parent death signal is sent when the thread that started the child ends, not the process.
func startProcess(cmd *exec.Cmd, cfg Config) (*process, error) {
	p := &process{cmd: cmd, log: &serverLog{logger: cfg.Logger}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.log, p.log
	cmd.WaitDelay = time.Second // sessions hold the pipe too
	started := make(chan error, 1)
	go p.run(started)
	return p, <-started
}

func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer close(p.done)
	err := p.cmd.Start()
	started <- err
	if err == nil {
		_ = p.cmd.Wait() // how it ended stands in its log
	}
}

// runHere runs cmd to its end. It keeps the thread for the same reason as startProcess.
func runHere(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return cmd.Run()
}

// awaitReady returns nil once the server accepts connections: it then says so in its pid file.
func (p *process) awaitReady(ctx context.Context, data string) error {
	for {
		if f, err := readPidFile(data); err == nil && f.pid == p.cmd.Process.Pid && f.ready {
			return nil
		}
		select {
		case <-p.done:
			return fault.New(fault.Unavailable, "it ended with %q", p.lastLines())
		case <-ctx.Done():
			return fmt.Errorf("it was not ready in time: %w", ctx.Err())
		case <-time.After(poll):
		}
	}
}

// stop asks for a fast shutdown, for an immediate one when ctx ends, and kills at last.
func (p *process) stop(ctx context.Context) error {
	select {
	case <-p.done:
		return nil
	default:
	}
	_ = p.cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
	}
	_ = p.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-p.done:
	case <-time.After(killAfter):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	return fmt.Errorf("stop postgres: %w", context.Cause(ctx))
}

// abort ends a server that did not come up.
func (p *process) abort() error {
	ctx, cancel := context.WithTimeout(context.Background(), killAfter)
	defer cancel()
	return p.stop(ctx)
}

func (p *process) lastLines() string { return p.log.last() }

// serverLog passes the server's log on, line by line, and keeps the last lines for errors.
type serverLog struct {
	logger *slog.Logger

	mu    sync.Mutex
	part  []byte
	lines []string
}

const (
	keptLines = 8
	maxLine   = 4 << 10
)

func (l *serverLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(b)
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			if len(l.part)+len(b) <= maxLine {
				l.part = append(l.part, b...)
			}
			return n, nil
		}
		l.line(string(append(l.part, b[:min(i, maxLine)]...)))
		l.part, b = l.part[:0], b[i+1:]
	}
}

func (l *serverLog) line(s string) {
	level := slog.LevelDebug
	for _, severe := range []string{"WARNING:", "ERROR:", "FATAL:", "PANIC:"} {
		if strings.HasPrefix(s, severe) {
			level = slog.LevelWarn
		}
	}
	// Clients that come too early or stay too long are business as usual.
	if strings.Contains(s, "the database system is") || strings.Contains(s, "terminating connection due to") {
		level = slog.LevelDebug
	}
	l.logger.Log(context.Background(), level, "postgres says", "line", s)
	l.lines = append(l.lines, s)
	if len(l.lines) > keptLines {
		l.lines = l.lines[1:]
	}
}

func (l *serverLog) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "; ")
}

// pidFile is what a server writes about itself into its data directory.
type pidFile struct {
	pid   int
	ready bool
}

func readPidFile(data string) (pidFile, error) {
	raw, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return pidFile{}, err
	}
	lines := strings.Split(string(raw), "\n")
	var f pidFile
	if _, err := fmt.Sscanf(lines[0], "%d", &f.pid); err != nil || f.pid <= 1 {
		return pidFile{}, fmt.Errorf("postmaster.pid begins with %.20q", lines[0])
	}
	f.ready = len(lines) > 7 && strings.TrimSpace(lines[7]) == "ready"
	return f, nil
}

// stopOrphan ends a server that outlived the process which started it, and removes the pid file of one that is gone: its
// number may belong to somebody else by now, and Postgres would take that for a running server. The caller holds the lock,
// so nobody else uses the directory.
func stopOrphan(ctx context.Context, data string, cfg Config) error {
	f, err := readPidFile(data)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	signalled := time.Time{}
	for err == nil && serves(f.pid, data) {
		switch since := time.Since(signalled); {
		case signalled.IsZero():
			cfg.Logger.Info("stop a postgres that an earlier process left behind", "pid", f.pid)
			err = syscall.Kill(f.pid, syscall.SIGINT)
			signalled = time.Now()
		case since > killAfter:
			err = syscall.Kill(f.pid, syscall.SIGQUIT)
			signalled = time.Now()
		}
		if err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stop postgres (pid %d), which runs on %s: %w", f.pid, data, err)
		}
		if !sleep(ctx, poll) {
			return fault.New(fault.Conflict, "another Postgres (pid %d) runs on %s and does not end", f.pid, data)
		}
	}
	if err := os.Remove(filepath.Join(data, "postmaster.pid")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove a stale pid file: %w", err)
	}
	return nil
}
