// Package postgres is the query model and the long-term archive: what the log tells, in tables that can be asked.
//
// Nothing here is the truth. The recorder copies the log into it with Record, which folds each task as package task does
// and may be repeated from any point of the log; List, Get and History read it. When it is lost it is filled again from the
// log, and while it is away the platform goes on without it: lists then come from StaleReads and say how old they are.
//
// DB opens no connection before it needs one, so that a process starts while Postgres is down. Every error that leaves the
// package is a fault: Unavailable (no connection, restarting, full, not migrated), Timeout, NotFound, Invalid (a cursor or
// filter), Internal (a query of ours is wrong).
//
// Package local runs a Postgres for those who have none, package pgtest gives each test a database of its own.
package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// Config says which database to use and how.
type Config struct {
	// URL is the connection string, as libpq takes it. Required. Behind PgBouncer (1.21 or later) list
	// statement_timeout, idle_in_transaction_session_timeout, plan_cache_mode and jit in its ignore_startup_parameters.
	URL string
	// MaxConns bounds the connections; 8 when 0.
	MaxConns int
	// ReadTimeout bounds one read, with the wait for a connection; 5 s when 0.
	ReadTimeout time.Duration
	// WriteTimeout bounds one transaction of Record; 30 s when 0.
	WriteTimeout time.Duration
	// Head returns the sequence of the log's last event. Its answer is used for up to a second. With nil, or while it
	// fails, a list cannot know what it lacks: see Page.Stale on List.
	Head func(context.Context) (lastSeq uint64, err error)
	// Tracer observes every query; nil for none.
	Tracer pgx.QueryTracer
	Logger *slog.Logger // nil discards
}

// DB is the database. It is safe for concurrent use. Close it.
type DB struct {
	pool         *pgxpool.Pool
	head         *head
	logger       *slog.Logger
	readTimeout  time.Duration
	writeTimeout time.Duration
	unguarded    bool // only a negative control sets it
	setAside     atomic.Uint64
}

var _ task.Archive = (*DB)(nil)

// Open checks cfg and returns the database without connecting to it: that happens with the first call, so Postgres may be
// down. The error is Invalid and names what is wrong with cfg.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	if cfg.MaxConns == 0 {
		cfg.MaxConns = 8
	}
	if cfg.ReadTimeout == 0 {
		cfg.ReadTimeout = 5 * time.Second
	}
	if cfg.WriteTimeout == 0 {
		cfg.WriteTimeout = 30 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.URL == "" || cfg.MaxConns < 1 || cfg.ReadTimeout < 0 || cfg.WriteTimeout < 0 {
		return nil, fault.InvalidField("postgres.Config", "needs a URL, and limits that are not negative")
	}
	pc, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fault.InvalidField("postgres.Config.URL", "is no connection string: %v", err)
	}
	pc.MaxConns, pc.MinConns, pc.MinIdleConns = int32(min(cfg.MaxConns, 1000)), 0, 0
	pc.MaxConnLifetime, pc.MaxConnLifetimeJitter, pc.MaxConnIdleTime = 30*time.Minute, 5*time.Minute, 5*time.Minute
	pc.PingTimeout = 2 * time.Second
	pc.ConnConfig.ConnectTimeout = 3 * time.Second
	pc.ConnConfig.Tracer = cfg.Tracer
	setDefaults(pc.ConnConfig.RuntimeParams, map[string]string{
		"application_name":                    "toolboxai",
		"statement_timeout":                   milliseconds(max(cfg.ReadTimeout, cfg.WriteTimeout)), // when we vanish while it runs
		"idle_in_transaction_session_timeout": milliseconds(2 * cfg.WriteTimeout),
		"plan_cache_mode":                     "force_custom_plan", // filters differ too much for one plan
		"jit":                                 "off",               // nothing here runs long enough to pay for it
	})
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, fmt.Errorf("open postgres: %w", err)
	}
	return &DB{
		pool: pool, head: &head{ask: cfg.Head}, logger: cfg.Logger, readTimeout: cfg.ReadTimeout, writeTimeout: cfg.WriteTimeout,
	}, nil
}

// Close waits for calls that run and closes all connections.
func (db *DB) Close() { db.pool.Close() }

// Ready returns nil when the database can be reached and its schema is at least as new as this program's, and otherwise an
// Unavailable fault that says which of the two it is.
func (db *DB) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, db.readTimeout)
	defer cancel()
	want, err := latestMigration()
	if err != nil {
		return err
	}
	var have int64
	if err := db.pool.QueryRow(ctx, schemaVersion).Scan(&have); err != nil {
		return fmt.Errorf("ask postgres for its schema: %w", classify(err))
	}
	if have < want {
		return fault.After(retryAfter, "the database has schema version %d, this program needs %d: run migrate", have, want)
	}
	return nil
}

const schemaVersion = `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`

// Position returns the sequence of the last event that was recorded, 0 for none, and when that event happened. A recorder
// whose own place in the log is beyond it, as after a restored backup, must go back to it: Record takes repetitions.
func (db *DB) Position(ctx context.Context) (seq uint64, at time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, db.readTimeout)
	defer cancel()
	var lags, silent bool
	if err := db.pool.QueryRow(ctx, readPosition).Scan(&seq, &at, &lags, &silent); err != nil {
		return 0, time.Time{}, fmt.Errorf("read the recorder's position: %w", classify(err))
	}
	return seq, at.UTC(), nil
}

// SetAside returns how many events were set aside since Open: see Record.
func (db *DB) SetAside() uint64 { return db.setAside.Load() }

func setDefaults(params, defaults map[string]string) {
	for name, value := range defaults {
		if _, given := params[name]; !given {
			params[name] = value
		}
	}
}

func milliseconds(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }
