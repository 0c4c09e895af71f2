package postgres_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/postgres/local"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/internal/task"
)

// Postgres is stopped and started again under a recorder that repeats what fails, and under readers.
func TestDB_OutlivesAnOutage(t *testing.T) {
	t.Parallel()
	dir := reachable(t)
	start := func() *local.Server {
		s, err := local.Start(t.Context(), local.Config{Dir: dir, Throwaway: true})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	server := start()
	defer func() { _ = server.Stop(context.Background()) }()
	if _, err := postgres.Migrate(t.Context(), server.URL()); err != nil {
		t.Fatal(err)
	}
	db := open(t, postgres.Config{URL: server.URL()})
	reads := postgres.NewStaleReads(db)
	log := lives(t, 200, 20)
	record := func(batch []events.Event) error { return db.Record(t.Context(), batch) }
	if err := record(log[:300]); err != nil {
		t.Fatal(err)
	}
	f := task.Filter{Tenant: "school"}
	before, err := reads.List(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		if err := server.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		for name, err := range map[string]error{
			"record": record(log[300:600]), "ready": db.Ready(t.Context()),
			"list": errOf(db.List(t.Context(), f)), "get": errOf(db.Get(t.Context(), "school", "x")),
			"history": errOf(db.History(t.Context(), "school", "x", 0, 0)), "a list that was never given": errOf(reads.List(t.Context(), task.Filter{Tenant: "other"})),
		} {
			if !fault.Is(err, fault.Unavailable) || fault.RetryAfter(err) == 0 {
				t.Errorf("round %d: %s: got %v, want Unavailable and when to come back", round, name, err)
			}
		}
		page, err := reads.List(t.Context(), f)
		if err != nil || !page.Stale || diff(before.Tasks, page.Tasks) != "" {
			t.Errorf("round %d: the last page is not given again: stale %v, %v", round, page.Stale, err)
		}
		server = start()
	}
	deadline := time.Now().Add(time.Minute)
	for rest := log[300:]; len(rest) > 0; {
		n := min(50, len(rest))
		if err := record(rest[:n]); err == nil {
			rest = rest[n:]
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	if d := mismatch(t, db, log); d != "" {
		t.Error(d)
	}
}

func errOf[T any](_ T, err error) error { return err }

func TestOpen_NeedsNoDatabase(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Config{URL: "postgres://user:secret@/none?host=/nowhere"})
	err := db.Ready(t.Context())
	if !fault.Is(err, fault.Unavailable) || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want Unavailable", err)
	}
	if _, err := postgres.Migrate(t.Context(), "postgres://user:secret@/none?host=/nowhere"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("migrate: got %v, want Unavailable", err)
	}
}

func TestOpen_RefusesABadConfig(t *testing.T) {
	t.Parallel()
	for _, cfg := range []postgres.Config{
		{}, {URL: "postgres://user:secret@host:port/"}, {URL: "postgres:///", MaxConns: -1}, {URL: "postgres:///", ReadTimeout: -1},
	} {
		if _, err := postgres.Open(t.Context(), cfg); !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: got %v, want Invalid", cfg, err)
		}
	}
	if _, err := postgres.Migrate(t.Context(), "postgres://host:port/"); !fault.Is(err, fault.Invalid) {
		t.Errorf("migrate: got %v, want Invalid", err)
	}
}

func TestDB_GivesUpInTime(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	db := open(t, postgres.Config{URL: url, ReadTimeout: 50 * time.Millisecond, WriteTimeout: 50 * time.Millisecond, MaxConns: 2})
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "LOCK TABLE tasks, recorder_position"); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"record": db.Record(t.Context(), lives(t, 1, 1)), "list": errOf(db.List(t.Context(), task.Filter{Tenant: "school"})),
		"get": errOf(db.Get(t.Context(), "school", "a")),
	} {
		if !fault.Is(err, fault.Timeout) {
			t.Errorf("%s: got %v, want Timeout", name, err)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Record(gone, lives(t, 1, 1)); !fault.Is(err, fault.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
}
