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
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/internal/task"
)

// fail adds a task that fails, and returns its last event.
func (l *log) fail(tenant, id string, cause events.Cause, message string, change ...func(*events.Queued)) events.Event {
	l.add(tenant, id, queued(change...))
	return l.add(tenant, id, events.Failed{Cause: cause, Error: message})
}

// troubles records dead letters of three incidents, and what is none, and returns the incidents, the last one seen first.
func troubles(tb testing.TB, db *postgres.DB) []task.Incident {
	l := newLog(tb)
	incident := func(cause events.Cause, sample, pattern string, failed []events.Event, kinds ...string) task.Incident {
		i := task.Incident{
			Fingerprint: task.Fingerprint(cause, sample), Cause: cause, Kinds: kinds, Pattern: pattern, Sample: sample, Count: len(failed),
			FirstSeen: failed[0].Time.Truncate(time.Microsecond), LastSeen: failed[len(failed)-1].Time.Truncate(time.Microsecond),
		}
		for _, e := range slices.Backward(failed[max(0, len(failed)-task.MaxSampleTasks):]) {
			i.Tasks = append(i.Tasks, e.Task)
		}
		return i
	}
	var bugs, away, gone []events.Event
	for i := range 7 {
		bugs = append(bugs, l.fail("school", fmt.Sprint("bug-", i), events.CauseBug, fmt.Sprintf("index %d out of range", i), func(q *events.Queued) {
			q.Kind = []string{"terrain", "quiz"}[i%2]
		}))
	}
	for i := range 3 {
		away = append(away, l.fail("school", fmt.Sprint("away-", i), events.CauseProvider, fmt.Sprintf("dial tcp 10.0.0.%d:443: i/o TIMEOUT", i), func(q *events.Queued) {
			q.UserID = "head-teacher"
		}))
	}
	l.fail("school", "decided", events.CauseCrash, "the worker vanished")
	l.add("school", "decided", events.Discarded{By: "admin"})
	l.fail("school", "again", events.CauseCrash, "the worker vanished")
	l.add("school", "again", queued(func(q *events.Queued) { q.Dispatch, q.Replay = 2, &events.Replay{By: "admin"} }))
	l.fail("other", "theirs", events.CauseBug, "index 1 out of range")
	gone = append(gone, l.add("school", "raw", events.Failed{Cause: events.CauseUndecodable, Error: "\x00" + strings.Repeat("é", 2000)}))
	l.record(db)
	return []task.Incident{
		incident(events.CauseUndecodable, "\x00"+strings.Repeat("é", 1023), "\x00"+strings.Repeat("é", 1023), gone, task.UnknownKind),
		incident(events.CauseProvider, "dial tcp 10.0.0.2:443: i/o TIMEOUT", "dial tcp <addr>: i/o timeout", away, "quiz"),
		incident(events.CauseBug, "index 6 out of range", "index <n> out of range", bugs, "quiz", "terrain"),
	}
}

func TestIncidents_AreDeadLettersByFingerprint(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Config{})
	all := troubles(t, db)
	all[0].Fingerprint = task.Fingerprint(events.CauseUndecodable, "\x00"+strings.Repeat("é", 2000))
	raw, away, bugs := all[0], all[1], all[2]
	wise := func(i task.Incident, change func(*task.Incident)) task.Incident { change(&i); return i }
	for name, c := range map[string]struct {
		filter task.IncidentFilter
		want   []task.Incident
	}{
		"all":       {task.IncidentFilter{}, []task.Incident{raw, away, bugs}},
		"last seen": {task.IncidentFilter{Order: task.ByLastSeen}, []task.Incident{raw, away, bugs}},
		"count":     {task.IncidentFilter{Order: task.ByCount}, []task.Incident{bugs, away, raw}},
		"search":    {task.IncidentFilter{Search: "timeout 443"}, []task.Incident{away}},
		"searched values": {task.IncidentFilter{Search: "10.0.0.1"}, []task.Incident{wise(away, func(i *task.Incident) {
			i.Count, i.Tasks, i.Sample, i.FirstSeen = 1, []string{"away-1"}, "dial tcp 10.0.0.1:443: i/o TIMEOUT", i.LastSeen
		})}},
		"cause":       {task.IncidentFilter{Causes: []events.Cause{events.CauseBug, events.CauseCrash}}, []task.Incident{bugs}},
		"fingerprint": {task.IncidentFilter{Fingerprint: away.Fingerprint}, []task.Incident{away}},
		"user":        {task.IncidentFilter{UserID: "head-teacher"}, []task.Incident{away}},
		"kind": {task.IncidentFilter{Kinds: []string{"terrain"}}, []task.Incident{wise(bugs, func(i *task.Incident) {
			i.Count, i.Kinds, i.Tasks = 4, []string{"terrain"}, []string{"bug-6", "bug-4", "bug-2", "bug-0"}
		})}},
		"after":  {task.IncidentFilter{FailedAfter: &bugs.LastSeen}, []task.Incident{raw, away}},
		"before": {task.IncidentFilter{FailedBefore: &away.FirstSeen}, []task.Incident{bugs}},
		"none":   {task.IncidentFilter{Search: "vanished"}, []task.Incident{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.filter.Tenant = "school"
			page, err := db.Incidents(t.Context(), c.filter)
			if err != nil {
				t.Fatal(err)
			}
			if name == "searched values" && len(page.Incidents) == 1 { // its time is its own
				page.Incidents[0].FirstSeen, page.Incidents[0].LastSeen = away.LastSeen, away.LastSeen
			}
			if d := cmp.Diff(c.want, page.Incidents); d != "" || page.Next != "" {
				t.Errorf("next %q: %s", page.Next, d)
			}
		})
	}
}

func TestIncidents_ComeInPages(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Config{})
	l := newLog(t)
	for i := range 40 { // incident n has n%4 + 1 dead letters
		for j := range i%4 + 1 {
			l.fail("school", fmt.Sprintf("t%d-%d", i, j), events.CauseBug, strings.Repeat("x", i+1)+" is broken")
		}
	}
	l.record(db)
	for _, order := range []task.IncidentOrder{task.ByLastSeen, task.ByCount} {
		whole, err := db.Incidents(t.Context(), task.IncidentFilter{Tenant: "school", Order: order, Limit: task.MaxPage})
		if err != nil || len(whole.Incidents) != 40 {
			t.Fatalf("%d incidents (%v)", len(whole.Incidents), err)
		}
		var got []task.Incident
		f := task.IncidentFilter{Tenant: "school", Order: order, Limit: 7}
		for pages := 0; ; pages++ {
			page, err := db.Incidents(t.Context(), f)
			if err != nil || pages > 6 {
				t.Fatal(pages, err)
			}
			got = append(got, page.Incidents...)
			if f.Cursor = page.Next; f.Cursor == "" {
				break
			}
		}
		if d := cmp.Diff(whole.Incidents, got); d != "" {
			t.Errorf("by %s: %s", order, d)
		}
	}
}

func TestIncidents_RefusesWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Config{})
	l := newLog(t)
	l.fail("school", "a", events.CauseBug, "x")
	l.fail("school", "b", events.CauseBug, "y")
	l.record(db)
	page, err := db.Incidents(t.Context(), task.IncidentFilter{Tenant: "school", Limit: 1})
	if err != nil || page.Next == "" {
		t.Fatalf("%q %v", page.Next, err)
	}
	for name, f := range map[string]task.IncidentFilter{
		"tenant":          {},
		"cursor":          {Tenant: "school", Cursor: "garbage"},
		"cursor of order": {Tenant: "school", Cursor: page.Next, Order: task.ByCount},
		"cursor of other": {Tenant: "other", Cursor: page.Next},
		"limit":           {Tenant: "school", Limit: task.MaxPage + 1},
		"order":           {Tenant: "school", Order: "name"},
		"search":          {Tenant: "school", Search: strings.Repeat("x", 1000)},
	} {
		field, _, _ := strings.Cut(name, " ")
		if _, err := db.Incidents(t.Context(), f); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v, want Invalid", name, err)
		}
	}
	list, err := db.List(t.Context(), task.Filter{Tenant: "school", Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Incidents(t.Context(), task.IncidentFilter{Tenant: "school", Cursor: list.Next}); !fault.Is(err, fault.Invalid) {
		t.Errorf("the cursor of a list of tasks: got %v, want Invalid", err)
	}
}

// storm fills a tenant's archive with n dead letters of 50 incidents, among as many tasks that are none.
func storm(tb testing.TB, n int) (url string) {
	url = pgtest.New(tb)
	execute(tb, url, fmt.Sprintf(`
		SET synchronous_commit = on; -- what was committed asynchronously is not marked as visible to all so soon
		INSERT INTO tasks (tenant, id, seq, kind, user_id, state, cause, fingerprint, error, failed_at, dead_letter, labels, created_at, doc)
		SELECT 'school', 't' || i, i, 'kind' || mod(i, 7), 'user' || mod(i, 100), CASE WHEN mod(i, 2) = 0 THEN 'failed' ELSE 'completed' END,
			CASE WHEN mod(i, 2) = 0 THEN 'bug' END, CASE WHEN mod(i, 2) = 0 THEN md5(mod(i, 100)::text) END,
			CASE WHEN mod(i, 2) = 0 THEN 'no ' || i || ' in ' || repeat('x', 300) END, CASE WHEN mod(i, 2) = 0 THEN now() - i * interval '1 second' END,
			mod(i, 2) = 0, '{}', now() - i * interval '1 minute',
			json_build_object('task_id', 't' || i, 'failure', json_build_object('error', repeat('x', 300)), 'filler', repeat('x', 500))
		FROM generate_series(1, %d) AS i`, 2*n))
	execute(tb, url, "VACUUM ANALYZE tasks")
	return url
}

func TestIncidents_AreGroupedFromAnIndex(t *testing.T) {
	t.Parallel()
	url := storm(t, 10_000)
	preferIndexes(t, url)
	for name, f := range map[string]task.IncidentFilter{
		"all":   {},
		"count": {Order: task.ByCount, Kinds: []string{"kind1"}},
		"one":   {Fingerprint: "cfcd208495d565ef66e7dff9f98764da"},
	} {
		f.Tenant, f.Limit = "school", task.DefaultPage
		sql, args, err := postgres.IncidentStatement(f)
		if err != nil {
			t.Fatal(err)
		}
		plan := strings.Join(query(t, url, "EXPLAIN "+sql, args...), "\n")
		if strings.Count(plan, "tasks_incidents") != 2 || strings.Contains(plan, "Seq Scan") {
			t.Errorf("%s: the index is not used for the groups and for their tasks:\n%s", name, plan)
		}
	}
}

// BenchmarkIncidents asks an archive with 100,000 dead letters.
func BenchmarkIncidents(b *testing.B) {
	db := open(b, postgres.Config{URL: storm(b, 100_000)})
	for name, f := range map[string]task.IncidentFilter{
		"all":         {},
		"by count":    {Order: task.ByCount},
		"search":      {Search: "no 4242"},
		"search none": {Search: "nothing"},
	} {
		f.Tenant = "school"
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := db.Incidents(b.Context(), f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for name, f := range map[string]task.Filter{
		"dead letters":             {DeadLetters: true},
		"dead letters search":      {DeadLetters: true, Search: "no 4242"},
		"dead letters search none": {DeadLetters: true, Search: "nothing"},
	} {
		f.Tenant = "school"
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := db.List(b.Context(), f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
