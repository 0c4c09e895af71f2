package postgres_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/internal/task"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, pgtest.LeakOptions()...) }

// open returns a database with cfg, in a new one with the schema unless cfg names one.
func open(tb testing.TB, cfg postgres.Config) *postgres.DB {
	tb.Helper()
	if cfg.URL == "" {
		cfg.URL = pgtest.New(tb)
	}
	db, err := postgres.Open(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(db.Close)
	return db
}

// execute runs SQL beside the package, as an operator would.
func execute(tb testing.TB, url, sql string, args ...any) {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), url)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(tb.Context(), sql, args...); err != nil {
		tb.Fatal(err)
	}
}

// log is a log under construction: it gives events their place.
type log struct {
	tb     testing.TB
	events []events.Event
	at     time.Time
}

func newLog(tb testing.TB) *log {
	return &log{tb: tb, at: time.Now().UTC().Add(-time.Hour).Truncate(time.Nanosecond)}
}

// add appends what happened to a task, 1.000001 ms after the event before.
func (l *log) add(tenant, id string, p events.Payload) events.Event {
	l.tb.Helper()
	e, err := events.New(tenant, id, "/test", p)
	if err != nil {
		l.tb.Fatal(err)
	}
	return l.append(e)
}

func (l *log) append(e events.Event) events.Event {
	l.at = l.at.Add(time.Millisecond + time.Nanosecond)
	e.Time, e.Seq = l.at, uint64(len(l.events)+1)
	l.events = append(l.events, e)
	return e
}

func (l *log) record(db *postgres.DB) {
	l.tb.Helper()
	if err := db.Record(l.tb.Context(), l.events); err != nil {
		l.tb.Fatal(err)
	}
}

func queued(change ...func(*events.Queued)) events.Queued {
	q := events.Queued{Kind: "quiz", Input: json.RawMessage(`{"subject": "History"}`), Priority: events.Normal, Dispatch: 1, UserID: "teacher"}
	for _, c := range change {
		c(&q)
	}
	return q
}

// fold returns what the events of a task come to, without those that cannot follow.
func fold(history []events.Event) (t task.Task, refused int) {
	for _, e := range history {
		if t.Apply(e) != nil {
			refused++
		}
	}
	return t, refused
}

// diff compares as cmp does, but large bodies fast.
func diff(want, got any) string {
	return cmp.Diff(want, got, cmp.Comparer(func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }))
}

// mismatch returns how the archive differs from what the log comes to, "" when it does not.
func mismatch(tb testing.TB, db *postgres.DB, log []events.Event) string {
	tb.Helper()
	type key struct{ tenant, id string }
	histories := map[key][]events.Event{}
	tenants := map[string][]task.Task{}
	for _, e := range log {
		histories[key{e.Tenant, e.Task}] = append(histories[key{e.Tenant, e.Task}], e)
	}
	for k, history := range histories {
		got, err := db.History(tb.Context(), k.tenant, k.id, 0, 0)
		if err != nil {
			return err.Error()
		}
		if d := diff(history, got); d != "" {
			return "history (-log +archive): " + d
		}
		want, _ := fold(history)
		if want.ID == "" {
			if _, err := db.Get(tb.Context(), k.tenant, k.id); !fault.Is(err, fault.NotFound) {
				return fmt.Sprintf("get %v: %v, want NotFound", k, err)
			}
			continue
		}
		have, err := db.Get(tb.Context(), k.tenant, k.id)
		if err != nil {
			return err.Error()
		}
		if d := diff(want, have); d != "" {
			return "task (-log +archive): " + d
		}
		want.Input, want.Result, want.Refused = nil, nil, nil
		if want.Failure != nil {
			want.Failure.Raw = nil
		}
		tenants[k.tenant] = append(tenants[k.tenant], want)
	}
	for tenant, want := range tenants {
		slices.SortFunc(want, func(a, b task.Task) int { return b.CreatedAt.Compare(a.CreatedAt) })
		page, err := db.List(tb.Context(), task.Filter{Tenant: tenant, Limit: task.MaxPage})
		if err != nil {
			return err.Error()
		}
		if d := diff(want, page.Tasks); d != "" {
			return "list (-log +archive): " + d
		}
	}
	return ""
}

// reachable returns a directory that every user can enter, as a Postgres of another user needs it.
func reachable(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "pg-")
	if err == nil {
		tb.Cleanup(func() { _ = os.RemoveAll(dir) })
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return dir
}

// query returns the first column of what sql selects.
func query(tb testing.TB, url, sql string, args ...any) []string {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), url)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(tb.Context(), sql, args...)
	if err != nil {
		tb.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		tb.Fatal(err)
	}
	return out
}
