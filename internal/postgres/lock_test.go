package postgres_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/policy"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/internal/task"
)

// twoSchools records the same for two tenants, but that whatever belongs to "other" says so.
func twoSchools(tb testing.TB, db *postgres.DB) {
	tb.Helper()
	l := newLog(tb)
	usage := events.Usage{Calls: 1, InputTokens: 10, OutputTokens: 1, CostUSD: 0.01, CostKnown: true}
	for _, tenant := range []string{"school", "other"} {
		for _, id := range []string{"done", "dead"} {
			l.add(tenant, id+"-of-"+tenant, queued(func(q *events.Queued) {
				q.UserID, q.Labels, q.Kind = "user-of-"+tenant, map[string]string{"class": "3b"}, "kind-of-"+tenant
			}))
		}
		l.add(tenant, "done-of-"+tenant, events.Started{Attempt: 1, Dispatch: 1, Worker: "w"})
		l.add(tenant, "done-of-"+tenant, events.Completed{Attempt: 1, Result: []byte(`"` + tenant + `"`), Usage: usage})
		l.add(tenant, "dead-of-"+tenant, events.Failed{Cause: events.CauseBug, Error: "broken for " + tenant})
	}
	l.record(db)
}

// reads are all queries of the archive for the tenant "school". Each returns what it found, in which "other" must not be.
func reads(db *postgres.DB) map[string]func(testing.TB) any {
	ask := func(read func(tb testing.TB) (any, error)) func(testing.TB) any {
		return func(tb testing.TB) any {
			found, err := read(tb)
			switch {
			case fault.Is(err, fault.NotFound): // and says what was asked for
				return nil
			case err != nil:
				tb.Error(err)
			}
			return found
		}
	}
	from, to := time.Now().Add(-24*time.Hour), time.Now()
	spent := func(scope policy.Scope, id string) func(testing.TB) any {
		return ask(func(tb testing.TB) (any, error) {
			cost, _, err := db.Spent(tb.Context(), scope, id, "school", from)
			return strings.Repeat("other ", int(cost/10_001)), err // each school spent 10,000
		})
	}
	out := map[string]func(testing.TB) any{
		"get":  ask(func(tb testing.TB) (any, error) { return db.Get(tb.Context(), "school", "done-of-other") }),
		"dead": ask(func(tb testing.TB) (any, error) { return db.Get(tb.Context(), "school", "dead-of-other") }),
		"history": ask(func(tb testing.TB) (any, error) {
			found, err := db.History(tb.Context(), "school", "done-of-other", 0, 0)
			return len(found) > 0, err
		}),
		"incidents": ask(func(tb testing.TB) (any, error) {
			return db.Incidents(tb.Context(), task.IncidentFilter{Tenant: "school"})
		}),
		"usage": ask(func(tb testing.TB) (any, error) {
			return db.UsageReport(tb.Context(), task.UsageFilter{Tenant: "school", From: from, To: to, By: []task.UsageUnit{task.UsageByUser}})
		}),
		"spent of the tenant": spent(policy.ScopeTenant, "school"),
	}
	for name, f := range map[string]task.Filter{
		"list": {}, "list of a label": {Labels: map[string]string{"class": "3b"}}, "list of ids": {IDs: []string{"done-of-other", "done-of-school"}},
		"dead letters": {DeadLetters: true}, "search": {Search: "broken"},
	} {
		f.Tenant = "school"
		out[name] = ask(func(tb testing.TB) (any, error) { return db.List(tb.Context(), f) })
	}
	return out
}

// leaks returns which of the queries found something of the other school.
func leaks(tb testing.TB, queries map[string]func(testing.TB) any) (leaking []string) {
	tb.Helper()
	for name, read := range queries {
		found := fmt.Sprintf("%+v", read(tb))
		if strings.Contains(found, "other") || found == "true" {
			leaking = append(leaking, name)
		}
	}
	slices.Sort(leaking)
	return leaking
}

func TestSecondLock_HoldsWhenEveryQueryForgetsItsTenant(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	db := open(t, postgres.Config{URL: url})
	twoSchools(t, db)
	if found := leaks(t, reads(db)); len(found) > 0 {
		t.Fatalf("%v find another school's as they are", found)
	}
	db.ForgetTenant()
	if found := leaks(t, reads(db)); len(found) > 0 {
		t.Errorf("%v find another school's when they forget the tenant", found)
	}

	unlocked := open(t, postgres.Config{URL: url})
	unlocked.Unlock()
	if found := leaks(t, reads(unlocked)); len(found) > 0 {
		t.Errorf("%v find another school's without the second lock", found)
	}
	unlocked.ForgetTenant()
	var all []string
	for name := range reads(unlocked) {
		if name != "list of a label" { // it is asked of a view that is bound to the tenant itself
			all = append(all, name)
		}
	}
	slices.Sort(all)
	if d := cmp.Diff(all, leaks(t, reads(unlocked))); d != "" {
		t.Errorf("without any lock these should leak (-want +got): %s", d)
	}
}

// A connection that served a tenant must not keep its role: the next to use it may be a recorder.
func TestSecondLock_EndsWithItsTransaction(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Config{MaxConns: 1})
	twoSchools(t, db)
	before, err := db.Roles(t.Context())
	if err != nil || len(before) != 1 {
		t.Fatalf("roles %v (%v)", before, err)
	}
	for name, read := range reads(db) {
		_ = read(t)
		if after, err := db.Roles(t.Context()); err != nil || !slices.Equal(before, after) {
			t.Errorf("%s leaves the connection as %v, it was %v (%v)", name, after, before, err)
		}
	}
	if err := db.InTenant(t.Context(), "school", "SELECT 1/0"); err == nil {
		t.Error("a division by zero is well")
	}
	if after, err := db.Roles(t.Context()); err != nil || !slices.Equal(before, after) {
		t.Errorf("a failed transaction leaves the connection as %v, it was %v (%v)", after, before, err)
	}
}

func TestSecondLock_TakesNoRowsForAnotherTenant(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	execute(t, url, "INSERT INTO tenants (id, name, created_at, updated_at) VALUES ('school', '', now(), now()), ('other', '', now(), now())")
	execute(t, url, "INSERT INTO classes (id, tenant, name, created_by, created_at, updated_at) VALUES ('theirs', 'other', '', '', now(), now())")
	db := open(t, postgres.Config{URL: url})
	const insert = "INSERT INTO classes (id, tenant, name, created_by, created_at, updated_at) VALUES ($1, $2, '', '', now(), now())"
	if err := db.InTenant(t.Context(), "school", insert, "ours", "school"); err != nil {
		t.Fatal(err)
	}
	for sql, refused := range map[string]bool{
		"INSERT INTO classes (id, tenant, name, created_by, created_at, updated_at) VALUES ('x', 'other', '', '', now(), now())": true,
		"UPDATE classes SET tenant = 'other'":           true,
		"UPDATE tenants SET state = 'suspended'":        true,
		"DELETE FROM tasks":                             true,
		"INSERT INTO audit_log SELECT * FROM audit_log": true,
		"TRUNCATE classes":                              true,
		"UPDATE classes SET name = 'changed'":           false,
		"DELETE FROM classes WHERE id = 'theirs'":       false,
	} {
		if err := db.InTenant(t.Context(), "school", sql); refused != (err != nil) {
			t.Errorf("%s: got %v, want it refused: %v", sql, err, refused)
		}
	}
	want := []string{"other theirs ", "school ours changed"}
	if d := cmp.Diff(want, query(t, url, "SELECT tenant || ' ' || id || ' ' || name FROM classes ORDER BY 1")); d != "" {
		t.Error(d)
	}
}

// Row-level security puts its own condition before any that is not leakproof, and those on jsonb are not.
func TestSecondLock_LeavesTheIndexOnLabels(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	execute(t, url, `
		INSERT INTO tasks (tenant, id, seq, kind, user_id, state, dead_letter, labels, created_at, doc)
		SELECT 'school', 't' || n, n, 'quiz', 'u', 'queued', false, jsonb_build_object('school', jsonb_build_object('class', n)), now(), '{}'
		FROM generate_series(1, 5000) n`)
	execute(t, url, "ANALYZE tasks")
	db := open(t, postgres.Config{URL: url})
	sql, args, err := postgres.ListStatement(task.Filter{Tenant: "school", Labels: map[string]string{"class": "3b"}, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	plan := func(sql string) string {
		rows, err := db.Explain(t.Context(), "school", sql, args...)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(rows, "\n")
	}
	if p := plan(sql); !strings.Contains(p, "tasks_by_label") {
		t.Errorf("the list of a label does not use its index: %s", p)
	}
	if p := plan(strings.Replace(sql, "tasks_of_tenant", "tasks", 1)); strings.Contains(p, "tasks_by_label") {
		t.Errorf("the table itself would do: %s", p)
	}
}
