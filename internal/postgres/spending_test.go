package postgres_test

import (
	"encoding/json"
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

// spend adds a task that spends so many cents at a time, one call and 100 tokens for each cent.
func (l *log) spend(at time.Time, tenant, user, kind, workflow, model string, cents int) {
	id := fmt.Sprint("t", len(l.events))
	first := len(l.events)
	l.add(tenant, id, queued(func(q *events.Queued) {
		q.UserID, q.Kind = user, kind
		if workflow != "" {
			q.Origin = &events.Origin{Workflow: workflow}
		}
	}))
	usage := events.Usage{Calls: cents, InputTokens: 60 * cents, OutputTokens: 40 * cents, CostUSD: float64(cents) / 100, CostKnown: model != "own"}
	l.add(tenant, id, events.Started{Attempt: 1, Dispatch: 1})
	l.add(tenant, id, events.Completed{Attempt: 1, Result: json.RawMessage("1"), Usage: usage, Provenance: events.Provenance{Provider: "p", Model: model}})
	for i := range l.events[first:] {
		l.events[first+i].Time = at
	}
}

// accounts records what two tenants spent on two days, and returns the first moment of the first day.
func accounts(tb testing.TB, db *postgres.DB) time.Time {
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	l := newLog(tb)
	l.spend(day.Add(-time.Microsecond), "school", "ann", "quiz", "", "big", 1)
	l.spend(day, "school", "ann", "quiz", "", "big", 2)
	l.spend(day.Add(time.Hour), "school", "ann", "quiz", "run-1", "small", 4)
	l.spend(day.Add(24*time.Hour), "school", "bob", "terrain", "run-1", "small", 8)
	l.spend(day.Add(25*time.Hour), "school", "bob", "terrain", "", "own", 16)
	l.spend(day.Add(2*time.Hour), "other", "ann", "quiz", "run-1", "big", 32)
	l.record(db)
	return day
}

func TestSpent_IsByScopeAndPeriod(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Config{})
	day := accounts(t, db)
	for _, c := range []struct {
		scope      policy.Scope
		id, tenant string
		from       time.Time
		cents      int64
	}{
		{policy.ScopeTenant, "school", "", day.Add(-time.Hour), 31},
		{policy.ScopeTenant, "school", "", day, 30},
		{policy.ScopeTenant, "school", "school", day.Add(24 * time.Hour), 24},
		{policy.ScopeTenant, "nobody", "", day, 0},
		{policy.ScopeUser, "ann", "school", day, 6},
		{policy.ScopeUser, "ann", "other", day, 32},
		{policy.ScopeUser, "ann", "", day, 38},
		{policy.ScopeWorkflow, "run-1", "school", day, 12},
		{policy.ScopeWorkflow, "run-1", "", day, 44},
		{policy.ScopeWorkflow, "run-1", "school", day.Add(48 * time.Hour), 0},
	} {
		cost, tokens, err := db.Spent(t.Context(), c.scope, c.id, c.tenant, c.from)
		if err != nil || cost != c.cents*10_000 || tokens != c.cents*100 {
			t.Errorf("%+v: %d micro-USD, %d tokens (%v)", c, cost, tokens, err)
		}
	}
	for field, c := range map[string]struct {
		scope policy.Scope
		id    string
	}{"scope": {"planet", "x"}, "id": {policy.ScopeUser, ""}} {
		if _, _, err := db.Spent(t.Context(), c.scope, c.id, "", day); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), field) {
			t.Errorf("got %v, want Invalid for field %s", err, field)
		}
	}
}

func TestSpentAll_AddsUpToWhatEachSpent(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Config{})
	day := accounts(t, db)
	var got []string
	err := db.SpentAll(t.Context(), day, day.Add(25*time.Hour), func(tenant, user, workflow string, microUSD, tokens int64) {
		got = append(got, fmt.Sprint(tenant, " ", user, " ", workflow, " ", microUSD, " ", tokens))
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	want := []string{"other ann run-1 320000 3200", "school ann  20000 200", "school ann run-1 40000 400", "school bob run-1 80000 800"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestUsageReport_TellsApartWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Config{})
	day := accounts(t, db)
	next := day.Add(24 * time.Hour)
	row := func(cents int64, change func(*task.UsageRow)) task.UsageRow {
		r := task.UsageRow{Calls: cents, InputTokens: 60 * cents, OutputTokens: 40 * cents, MicroUSD: 10_000 * cents, CostKnown: true}
		change(&r)
		return r
	}
	for name, c := range map[string]struct {
		filter task.UsageFilter
		want   []task.UsageRow
	}{
		"total": {task.UsageFilter{}, []task.UsageRow{row(62, func(r *task.UsageRow) { r.CostKnown = false })}},
		"tenant": {task.UsageFilter{By: []task.UsageUnit{task.UsageByTenant}}, []task.UsageRow{
			row(32, func(r *task.UsageRow) { r.Tenant = "other" }),
			row(30, func(r *task.UsageRow) { r.Tenant, r.CostKnown = "school", false }),
		}},
		"user": {task.UsageFilter{Tenant: "school", By: []task.UsageUnit{task.UsageByUser, task.UsageByKind}}, []task.UsageRow{
			row(6, func(r *task.UsageRow) { r.Tenant, r.UserID, r.Kind = "school", "ann", "quiz" }),
			row(24, func(r *task.UsageRow) { r.Tenant, r.UserID, r.Kind, r.CostKnown = "school", "bob", "terrain", false }),
		}},
		"model and day": {task.UsageFilter{Tenant: "school", By: []task.UsageUnit{task.UsageByDay, task.UsageByModel}}, []task.UsageRow{
			row(2, func(r *task.UsageRow) { r.Provider, r.Model, r.Day = "p", "big", &day }),
			row(16, func(r *task.UsageRow) { r.Provider, r.Model, r.Day, r.CostKnown = "p", "own", &next, false }),
			row(4, func(r *task.UsageRow) { r.Provider, r.Model, r.Day = "p", "small", &day }),
			row(8, func(r *task.UsageRow) { r.Provider, r.Model, r.Day = "p", "small", &next }),
		}},
		"workflow": {task.UsageFilter{Workflow: "run-1", UserID: "ann", Kinds: []string{"quiz"}, Models: []string{"small", "big"}, By: []task.UsageUnit{task.UsageByWorkflow}}, []task.UsageRow{
			row(36, func(r *task.UsageRow) { r.Workflow = "run-1" }),
		}},
		"nothing":       {task.UsageFilter{Tenant: "nobody"}, []task.UsageRow{}},
		"nothing by it": {task.UsageFilter{Tenant: "nobody", By: []task.UsageUnit{task.UsageByDay}}, []task.UsageRow{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.filter.From, c.filter.To = day, day.Add(48*time.Hour)
			got, err := db.UsageReport(t.Context(), c.filter)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
	for field, f := range map[string]task.UsageFilter{"from": {From: next, To: day}, "by": {From: day, To: next, By: []task.UsageUnit{"moon"}}} {
		if _, err := db.UsageReport(t.Context(), f); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), field) {
			t.Errorf("got %v, want Invalid for field %s", err, field)
		}
	}
}

// fillLedger writes n entries of 20 tenants over 30 days, each of a user of its own in every thousand.
func fillLedger(tb testing.TB, n int) (url string, from time.Time) {
	url = pgtest.New(tb)
	from = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	execute(tb, url, fmt.Sprintf(`
		SET synchronous_commit = on;
		INSERT INTO ledger (seq, at, cost, input_tokens, output_tokens, calls, priced, tenant, task, user_id, workflow, kind, provider, model)
		SELECT i, '2026-03-01T00:00:00Z'::timestamptz + i * (interval '30 days' / %d), 4200, 900, 400, 1, true, 'school' || mod(i, 20), 't' || i,
			'user' || mod(i, 1000), CASE WHEN mod(i, 4) = 0 THEN 'run' || i / 40 ELSE '' END, 'quiz', 'openai', 'gpt-5'
		FROM generate_series(0, %[1]d - 1) AS i`, n))
	execute(tb, url, "VACUUM ANALYZE ledger")
	return url, from
}

func TestUsageReport_IsBounded(t *testing.T) {
	t.Parallel()
	url, from := fillLedger(t, 50_000)
	db := open(t, postgres.Config{URL: url})
	f := task.UsageFilter{From: from, To: from.Add(30 * 24 * time.Hour), By: []task.UsageUnit{task.UsageByUser, task.UsageByDay}}
	if _, err := db.UsageReport(t.Context(), f); !fault.Is(err, fault.TooLarge) {
		t.Errorf("got %v, want TooLarge", err)
	}
	f.Tenant = "school7"
	if rows, err := db.UsageReport(t.Context(), f); err != nil || len(rows) != 50*30 {
		t.Errorf("%d rows (%v), want 1500", len(rows), err)
	}
}

// preferIndexes has the planner of a database take an index wherever one serves. Otherwise its choice depends on how many pages a vacuum has put on
// record as visible to all, and that on what else goes on in the cluster; what no index serves is read from end to end all the same.
func preferIndexes(tb testing.TB, url string) {
	tb.Helper()
	for _, scan := range []string{"enable_bitmapscan", "enable_seqscan"} {
		execute(tb, url, "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET "+scan+" = off', current_database()); END $$")
	}
}

func TestSpent_ReadsNothingButIndexes(t *testing.T) {
	t.Parallel()
	url, from := fillLedger(t, 50_000)
	preferIndexes(t, url)
	for scope, want := range map[policy.Scope]string{
		policy.ScopeTenant: "Index Only Scan using ledger_by_tenant", policy.ScopeUser: "Index Only Scan using ledger_by_tenant",
		policy.ScopeWorkflow: "ledger_by_workflow",
	} {
		id := map[policy.Scope]string{policy.ScopeTenant: "school7", policy.ScopeUser: "user7", policy.ScopeWorkflow: "run77"}[scope]
		sql, args, err := postgres.SpentStatement(scope, id, "school7", from)
		if err != nil {
			t.Fatal(err)
		}
		if plan := strings.Join(query(t, url, "EXPLAIN "+sql, args...), "\n"); !strings.Contains(plan, want) {
			t.Errorf("%s: %s is not in\n%s", scope, want, plan)
		}
	}
}

// BenchmarkSpent asks a ledger of a million entries in a month.
func BenchmarkSpent(b *testing.B) {
	url, from := fillLedger(b, 1_000_000)
	db := open(b, postgres.Config{URL: url})
	to := from.Add(30 * 24 * time.Hour)
	for scope, id := range map[policy.Scope]string{policy.ScopeTenant: "school7", policy.ScopeUser: "user7", policy.ScopeWorkflow: "run77"} {
		b.Run(string(scope), func(b *testing.B) {
			for b.Loop() {
				if _, _, err := db.Spent(b.Context(), scope, id, "school7", from); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			if err := db.SpentAll(b.Context(), from, to, func(_, _, _ string, _, _ int64) {}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("report", func(b *testing.B) {
		f := task.UsageFilter{From: from, To: to, By: []task.UsageUnit{task.UsageByTenant, task.UsageByModel, task.UsageByDay}}
		for b.Loop() {
			if _, err := db.UsageReport(b.Context(), f); err != nil {
				b.Fatal(err)
			}
		}
	})
}
