//go:build linux || darwin

package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// startTimeout bounds a start. After a crash the server replays its log first, and the first start may fetch Postgres.
const startTimeout = 3 * time.Minute

// Server is a running Postgres. Its methods are safe for concurrent use.
type Server struct {
	cfg  Config
	lock *os.File
	sock string // directory of the socket
	proc *process
}

// Start runs Postgres in cfg.Dir, making the cluster on the first call, and returns when it answers. ctx bounds the start,
// not the life of the server: call Stop for that.
//
// Errors: Conflict when another process holds cfg.Dir, or its data is of a major version for which no programs are
// found; Unavailable with one sentence that says what to install when there is no Postgres at all.
func Start(ctx context.Context, cfg Config) (_ *Server, err error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.places == nil {
		cfg.places = places()
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	who, err := prepareDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg}
	if s.lock, err = lockDir(cfg.Dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.release()
		}
	}()
	data := filepath.Join(cfg.Dir, "data")
	if err := stopOrphan(ctx, data, cfg); err != nil {
		return nil, err
	}
	bin, err := programs(ctx, cfg, who, data)
	if err != nil {
		return nil, err
	}
	if err := initCluster(ctx, cfg, who, bin, data); err != nil {
		return nil, err
	}
	if s.sock, err = socketDir(cfg, who); err != nil {
		return nil, err
	}
	if err := s.launch(ctx, who, bin, data); err != nil {
		return nil, err
	}
	if err := s.ensureDatabase(ctx); err != nil {
		return nil, errors.Join(err, s.proc.abort())
	}
	return s, nil
}

// URL returns the connection string of the database "toolboxai", for its superuser, through the socket.
func (s *Server) URL() string { return connURL(s.sock, s.port(), database) }

// Done is closed when the server has ended, for whatever reason.
func (s *Server) Done() <-chan struct{} { return s.proc.done }

// Stop ends the server: clients are disconnected, and everything that was committed is on disk when it returns nil. When
// ctx ends first the server is made to end at once; its next start then takes longer. Stop again returns nil.
func (s *Server) Stop(ctx context.Context) error {
	err := s.proc.stop(ctx)
	s.release()
	return err
}

// release gives the directory free. The lock goes last.
func (s *Server) release() {
	if s.sock != "" && filepath.Dir(s.sock) != s.cfg.Dir {
		_ = os.RemoveAll(s.sock)
	}
	unlock(s.lock)
}

func (s *Server) port() int {
	if s.cfg.Port != 0 {
		return s.cfg.Port
	}
	return defaultPort
}

func (s *Server) launch(ctx context.Context, who identity, bin installation, data string) error {
	args := []string{"-D", data, "-k", s.sock, "-p", strconv.Itoa(s.port())}
	listen := ""
	if s.cfg.Port != 0 {
		listen = "127.0.0.1"
	}
	settings := []string{
		"listen_addresses=" + listen, "max_connections=" + strconv.Itoa(s.cfg.MaxConns), "unix_socket_permissions=0700",
		"logging_collector=off", "log_destination=stderr", "log_line_prefix=", "timezone=UTC", "log_timezone=UTC",
		"wal_level=minimal", "max_wal_senders=0", "max_wal_size=256MB",
	}
	if s.cfg.Throwaway {
		settings = append(settings, "fsync=off", "synchronous_commit=off", "full_page_writes=off", "checkpoint_timeout=1h",
			"dynamic_shared_memory_type=mmap") // in the data directory, with which it goes
	}
	for _, set := range settings {
		args = append(args, "-c", set)
	}
	for {
		cmd := exec.Command(bin.postgres, args...) //nolint:noctx // ctx bounds the start alone
		cmd.Dir, cmd.Env = data, bin.env()
		cmd.SysProcAttr = who.attr(s.cfg.onDeath())
		p, err := startProcess(cmd, s.cfg)
		if err != nil {
			return fmt.Errorf("start postgres: %w", err)
		}
		err = p.awaitReady(ctx, data)
		if err == nil {
			s.proc = p
			return nil
		}
		err = errors.Join(err, p.abort())
		// Sessions of a server that was killed may outlive it for a moment.
		if !strings.Contains(p.lastLines(), "pre-existing shared memory block") || !sleep(ctx, 50*time.Millisecond) {
			return fault.New(fault.Unavailable, "Postgres did not start in %s: %w", s.cfg.Dir, err)
		}
	}
}

func (s *Server) ensureDatabase(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, connURL(s.sock, s.port(), "postgres"))
	if err != nil {
		return fmt.Errorf("connect to the local postgres: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var found bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", database).Scan(&found); err != nil {
		return fmt.Errorf("look for database %s: %w", database, err)
	}
	if found {
		return nil
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+database); err != nil {
		return fmt.Errorf("create database %s: %w", database, err)
	}
	return nil
}

// onDeath is the signal that the server gets when this process dies: a fast shutdown, or an immediate one.
func (cfg Config) onDeath() syscall.Signal {
	switch {
	case cfg.forsaken:
		return 0
	case cfg.Throwaway:
		return syscall.SIGQUIT
	}
	return syscall.SIGINT
}

// sleep waits for d and reports whether ctx still lives then.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
