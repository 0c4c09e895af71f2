package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/toolboxai/orchestrator/internal/task"
)

// startDev starts dev on a directory and waits until it is up.
func startDev(t *testing.T, dir string) (*process, *site) {
	t.Helper()
	port := freeTestPort(t)
	p := start(t, "toolboxai", nil, "dev", "--data", dir, "--port", strconv.Itoa(port), "--nats-port", "0")
	s := &site{t: t, base: fmt.Sprintf("http://127.0.0.1:%d", port)}
	eventually(t, "dev is up", func() error {
		select {
		case <-p.ended:
			t.Fatalf("dev ended: %v", p.err)
		default:
		}
		return s.get("/health/ready", nil)
	})
	return p, s
}

// openDirectory is one that Postgres can use also when the tests run as root: it must not be below a private directory.
func openDirectory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "toolboxai-dev-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// children returns the processes whose command line names the directory.
func children(t *testing.T, dir string) (found []string) {
	t.Helper()
	entries, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		line, err := os.ReadFile(entry)
		if err == nil && strings.Contains(string(line), dir) {
			found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

func TestDev_RunsTheMainJobAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	dir := openDirectory(t)
	p, s := startDev(t, dir)
	first := s.mustSubmit("")
	s.await(first.ID, task.Completed)

	second := start(t, "toolboxai", nil, "dev", "--data", dir, "--port", strconv.Itoa(freeTestPort(t)))
	<-second.ended
	if out := second.output.String(); second.err == nil || !strings.Contains(out, fmt.Sprintf("process id %d", p.cmd.Process.Pid)) || !strings.Contains(out, s.base) {
		t.Errorf("a second dev on the same data: %v\n%s", second.err, out)
	}

	p.signal(syscall.SIGINT)
	if p.err != nil {
		t.Errorf("dev ended with %v", p.err)
	}
	if left := children(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}

	p, s = startDev(t, dir)
	if again := s.await(first.ID, task.Completed); again.Result == nil {
		t.Error("the result is gone after a restart")
	}
	p.kill()
	eventually(t, "nothing is left behind by kill -9", func() error {
		if left := children(t, dir); len(left) > 0 {
			return fmt.Errorf("%v", left)
		}
		return nil
	})
	p, s = startDev(t, dir)
	s.await(s.mustSubmit("").ID, task.Completed)
	p.signal(syscall.SIGTERM)
}
