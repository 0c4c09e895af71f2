// Package postgres is the query model and the long-term archive: what the log tells, in tables that can be asked.
//
// Nothing here is the truth. The recorder copies the log into it with Record, which folds each task as package task does
// and may be repeated from any point of the log; List, Get and History read it. When it is lost it is filled again from the
// log, and while it is away the platform goes on without it: lists then come from StaleReads and say how old they are.
//
// Two more things come of the same fold. The ledger has an entry for each event that brought usage: Spent, SpentAll and
// UsageReport add it up. Incidents are the dead letters by the fingerprint of their error.
//
// # Two locks
//
// The database also keeps identities: schools, accounts, API keys, the audit log. Whatever is asked for one tenant says so in each
// query, and is asked behind a second lock: in the role toolboxai_tenant, for which row-level security shows and takes the rows of the
// one tenant that the transaction is bound to. A query that forgets its condition then finds nothing of anybody else. Binding costs no
// round trip of its own. What is done for no tenant (recording, jobs, finding who signs in) is done in the login role, which no policy
// may hide rows from. That role is one of
//
//   - the owner of the tables, who migrates them: no superuser, but with CREATEROLE, or with toolboxai_tenant made before and granted;
//   - another role with BYPASSRLS, membership in toolboxai_tenant, and SELECT, INSERT, UPDATE and DELETE on all tables.
//
// Ready says what such a role lacks.
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
	// WriteTimeout bounds one transaction of Record, and what is for jobs: SpentAll, a page of Backfill; 30 s when 0.
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
	sabotage     sabotage
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

// Ready returns nil when the database can be reached, its schema is at least as new as this program's, and the login role has the
// rights that the package's doc lists; otherwise an Unavailable fault that says which of these it is.
func (db *DB) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, db.readTimeout)
	defer cancel()
	want, err := latestMigration()
	if err != nil {
		return err
	}
	var have int64
	var blind, bound bool
	if err := db.pool.QueryRow(ctx, schemaVersion).Scan(&have, &blind, &bound); err != nil {
		return fmt.Errorf("ask postgres for its schema: %w", classify(err))
	}
	if have < want {
		return fault.After(retryAfter, "the database has schema version %d, this program needs %d: run migrate", have, want)
	}
	if blind {
		return fault.After(retryAfter, "row-level security hides the tables from the login role: it must own them or have BYPASSRLS")
	}
	if !bound {
		return fault.After(retryAfter, "the login role is no member of toolboxai_tenant: grant it that")
	}
	return nil
}

const schemaVersion = `
	SELECT (SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied),
		coalesce(row_security_active(to_regclass('users')), false),
		EXISTS (SELECT FROM pg_roles WHERE rolname = 'toolboxai_tenant'
			AND pg_has_role(oid, CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END))`

// Position returns the sequence of the last event that was recorded, 0 for none, and when that event happened. A recorder
// whose own place in the log is beyond it must go back to it: see Gap.
func (db *DB) Position(ctx context.Context) (seq uint64, at time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, db.readTimeout)
	defer cancel()
	var lags, silent bool
	if err := db.pool.QueryRow(ctx, readPosition).Scan(&seq, &at, &lags, &silent); err != nil {
		return 0, time.Time{}, fmt.Errorf("read the recorder's position: %w", classify(err))
	}
	return seq, at.UTC(), nil
}

// Gap reports whether the archive is behind what its recorder has settled with the log, as after a restored backup: nobody
// would deliver again what lies in between. The recorder must then go back in the log to from, the first event that is
// missing; Record takes repetitions. Where the log's last settled messages were no events, it says so for those as well: there
// is nothing to find then, and going back does no harm.
func (db *DB) Gap(ctx context.Context, settled uint64) (from uint64, behind bool, err error) {
	seq, _, err := db.Position(ctx)
	if err != nil {
		return 0, false, err
	}
	return seq + 1, settled > seq, nil
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
