package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/toolboxai/orchestrator/internal/porttest"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/nats"
)

// startDev starts dev on a directory and waits until it is up.
func startDev(t *testing.T, dir string) (*process, *site) {
	t.Helper()
	port := porttest.Free(t)
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

	second := start(t, "toolboxai", nil, "dev", "--data", dir, "--port", strconv.Itoa(porttest.Free(t)))
	<-second.ended
	if out := second.output.String(); second.err == nil || !strings.Contains(out, fmt.Sprintf("process id %d", p.cmd.Process.Pid)) || !strings.Contains(out, s.base) {
		t.Errorf("a second dev on the same data: %v\n%s", second.err, out)
	}

	p.signal(syscall.SIGINT)
	if p.err != nil {
		t.Errorf("dev ended with %v", p.err)
	}
	if out := p.output.String(); strings.Count(out, "Stopping: running tasks may finish for up to 30s.") != 1 {
		t.Errorf("dev does not say once that it stops:\n%s", out)
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

// Two that start at once look at the same ports and find them free.
func TestStartBroker_TakesOtherPortsThanSomebodyElses(t *testing.T) {
	t.Parallel()
	for name, taken := range map[string]func(*nats.EmbeddedConfig, int){
		"Clients":    func(cfg *nats.EmbeddedConfig, port int) { cfg.Port = port },
		"Monitoring": func(cfg *nats.EmbeddedConfig, port int) { cfg.MonitorPort = port },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			cfg := nats.EmbeddedConfig{StoreDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)}
			taken(&cfg, l.Addr().(*net.TCPAddr).Port)
			if _, err := nats.StartEmbedded(cfg); !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("started on somebody else's port: %v", err)
			}
			broker, err := startBroker(cfg)
			if err != nil {
				t.Fatal(err)
			}
			broker.Shutdown()
		})
	}
}

func TestRedacted_HidesPasswordsAndTokens(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"nats://a:4222":                    "nats://a:4222",
		"nats://u:s3cret@a:4222,tls://b:1": "nats://u:xxxxx@a:4222,tls://b:1",
		"nats://t0ken@a:4222":              "nats://xxxxx@a:4222",
		"u:s3cret@a:4222, u:s3cret@b:4222": "nats://u:xxxxx@a:4222,nats://u:xxxxx@b:4222",
		"nats://u:s%zz@a:4222":             "(an address that cannot be read)",
	} {
		if got := redacted(given); got != want {
			t.Errorf("%q: got %q, want %q", given, got, want)
		}
	}
}
