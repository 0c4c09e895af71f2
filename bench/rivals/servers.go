package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/toolboxai/orchestrator/internal/postgres/local"
	"github.com/toolboxai/orchestrator/nats"
)

// server is what a contender keeps its tasks in.
type server struct {
	url  string
	pid  int
	stop func() error
}

// startNATS returns a starter of a broker in a process of its own: this program again.
func startNATS(sync bool) func(ctx context.Context, dir string) (server, error) {
	return func(ctx context.Context, dir string) (server, error) {
		self, err := os.Executable()
		if err != nil {
			return server{}, err
		}
		cmd := exec.CommandContext(ctx, self, "-broker", dir, "-sync="+strconv.FormatBool(sync))
		return spawn(cmd)
	}
}

// spawn starts a server that prints its URL as its first line and ends on SIGTERM.
func spawn(cmd *exec.Cmd) (server, error) {
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return server{}, err
	}
	if err := cmd.Start(); err != nil {
		return server{}, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = cmd.Process.Kill()
		return server{}, fmt.Errorf("the server said nothing: %w", err)
	}
	return server{strings.TrimSpace(line), cmd.Process.Pid, func() error {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		return nil
	}}, nil
}

// serveBroker is what the process of startNATS does.
func serveBroker(ctx context.Context, dir string, sync bool) error {
	b, err := nats.StartEmbedded(nats.EmbeddedConfig{StoreDir: dir, MonitorPort: -1, SyncAlways: sync})
	if err != nil {
		return err
	}
	defer b.Shutdown()
	fmt.Println(b.URL())
	<-ctx.Done()
	return nil
}

func startPostgres(ctx context.Context, dir string) (server, error) {
	s, err := local.Start(ctx, local.Config{Dir: dir, Download: true})
	if err != nil {
		return server{}, err
	}
	pid, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
	if err != nil {
		return server{}, err
	}
	first, _, _ := strings.Cut(string(pid), "\n")
	n, err := strconv.Atoi(first)
	return server{s.URL(), n, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		return s.Stop(ctx)
	}}, err
}

func startRedis(ctx context.Context, dir string) (server, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return server{}, err
	}
	address := l.Addr().String()
	l.Close()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return server{}, err
	}
	cmd := exec.CommandContext(ctx, "redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "yes", "--appendfsync", "everysec")
	if err := cmd.Start(); err != nil {
		return server{}, fmt.Errorf("redis-server (Debian package redis-server): %w", err)
	}
	s := server{address, cmd.Process.Pid, func() error {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		return nil
	}}
	for range 200 {
		if conn, err := new(net.Dialer).DialContext(ctx, "tcp", address); err == nil {
			conn.Close()
			return s, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return s, fmt.Errorf("redis-server does not answer at %s", address)
}
