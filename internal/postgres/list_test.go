package postgres_test

import (
	"encoding/base64"
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

// zoo records one task of each sort for two tenants, and returns the log.
func zoo(tb testing.TB, db *postgres.DB) *log {
	l := newLog(tb)
	for _, tenant := range []string{"school", "other"} {
		started := events.Started{Attempt: 1, Dispatch: 1, Worker: "w"}
		l.add(tenant, "queued", queued())
		l.add(tenant, "terrain", queued(func(q *events.Queued) { q.Kind = "terrain" }))
		l.add(tenant, "hers", queued(func(q *events.Queued) { q.UserID = "head-teacher" }))
		l.add(tenant, "labelled", queued(func(q *events.Queued) { q.Labels = map[string]string{"class": "3b", "term": "1"} }))
		l.add(tenant, "running", queued())
		l.add(tenant, "running", started)
		l.add(tenant, "retrying", queued())
		l.add(tenant, "retrying", started)
		l.add(tenant, "retrying", events.Retrying{Attempt: 1, Cause: events.CauseProvider, Error: "status 429 for request 17", NextAt: l.at.Add(time.Minute)})
		l.add(tenant, "completed", queued())
		l.add(tenant, "completed", started)
		l.add(tenant, "completed", events.Completed{Attempt: 1, Result: []byte(`{"title": "Rome"}`)})
		for _, id := range []string{"failed", "discarded"} {
			l.add(tenant, id, queued())
			l.add(tenant, id, events.Failed{Cause: events.CauseBug, Error: fmt.Sprintf("index %d out of range", len(l.events))})
		}
		l.add(tenant, "discarded", events.Discarded{By: "admin"})
		l.add(tenant, "cancelled", queued())
		l.add(tenant, "cancelled", events.Cancelled{By: "teacher"})
		l.add(tenant, "scheduled", queued(func(q *events.Queued) { q.Origin = &events.Origin{Schedule: "nightly"} }))
		l.add(tenant, "step", queued(func(q *events.Queued) { q.Origin = &events.Origin{Workflow: "run-1", Step: "quiz"} }))
		l.add(tenant, "step", started)
		l.add(tenant, "step", events.Waiting{Attempt: 1, Wait: events.WaitSignal, Name: "approved"})
		l.add(tenant, "undecodable", events.Failed{Cause: events.CauseUndecodable, Error: "not JSON", Raw: []byte{0, 255}})
	}
	l.record(db)
	return l
}

func ids(tasks []task.Task) []string {
	out := make([]string, len(tasks))
	for i, t := range tasks {
		out[i] = t.ID
	}
	return out
}

func TestList_Filters(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Config{})
	l := zoo(t, db)
	if d := mismatch(t, db, l.events); d != "" {
		t.Fatal(d)
	}
	created := func(id string) *time.Time {
		i := slices.IndexFunc(l.events, func(e events.Event) bool { return e.Task == id && e.Tenant == "school" })
		return &l.events[i].Time
	}
	all := []string{
		"undecodable", "step", "scheduled", "cancelled", "discarded", "failed", "completed", "retrying", "running", "labelled", "hers", "terrain", "queued",
	}
	for name, c := range map[string]struct {
		filter task.Filter
		want   []string
	}{
		"none":          {task.Filter{}, all},
		"state":         {task.Filter{States: []task.State{task.Running}}, []string{"running"}},
		"states":        {task.Filter{States: []task.State{task.Failed, task.Retrying}}, []string{"undecodable", "discarded", "failed", "retrying"}},
		"kind":          {task.Filter{Kinds: []string{"terrain"}}, []string{"terrain"}},
		"kinds":         {task.Filter{Kinds: []string{"terrain", task.UnknownKind}}, []string{"undecodable", "terrain"}},
		"user":          {task.Filter{UserID: "head-teacher"}, []string{"hers"}},
		"label":         {task.Filter{Labels: map[string]string{"class": "3b"}}, []string{"labelled"}},
		"labels":        {task.Filter{Labels: map[string]string{"class": "3b", "term": "1"}}, []string{"labelled"}},
		"other label":   {task.Filter{Labels: map[string]string{"class": "3b", "term": "2"}}, []string{}},
		"dead letters":  {task.Filter{DeadLetters: true}, []string{"undecodable", "failed"}},
		"cause":         {task.Filter{Causes: []events.Cause{events.CauseBug}}, []string{"discarded", "failed"}},
		"causes":        {task.Filter{Causes: []events.Cause{events.CauseProvider, events.CauseUndecodable}}, []string{"undecodable", "retrying"}},
		"fingerprint":   {task.Filter{Fingerprint: task.Fingerprint(events.CauseBug, "index 99 out of range")}, []string{"discarded", "failed"}},
		"after":         {task.Filter{CreatedAfter: created("completed")}, []string{"undecodable", "step", "scheduled", "cancelled", "discarded", "failed"}},
		"before":        {task.Filter{CreatedBefore: created("hers")}, []string{"terrain", "queued"}},
		"all together":  {task.Filter{DeadLetters: true, Kinds: []string{"quiz"}, Causes: []events.Cause{events.CauseBug}, UserID: "teacher", CreatedAfter: created("running")}, []string{"failed"}},
		"unknown state": {task.Filter{States: []task.State{"lost"}}, []string{}},
		"waiting":       {task.Filter{States: []task.State{task.Waiting}}, []string{"step"}},
		"schedule":      {task.Filter{Schedule: "nightly"}, []string{"scheduled"}},
		"workflow":      {task.Filter{Workflow: "run-1"}, []string{"step"}},
		"id":            {task.Filter{IDs: []string{"hers"}}, []string{"hers"}},
		"ids":           {task.Filter{IDs: []string{"hers", "queued", "of nobody"}}, []string{"hers", "queued"}},
		"readable":      {task.Filter{Readable: &task.Readable{UserID: "head-teacher", IDs: []string{"queued", "failed", "of nobody"}}}, []string{"failed", "hers", "queued"}},
		"readable dead": {task.Filter{Readable: &task.Readable{UserID: "head-teacher", IDs: []string{"queued", "failed"}}, DeadLetters: true}, []string{"failed"}},
		"nothing":       {task.Filter{Readable: &task.Readable{UserID: "nobody"}}, []string{}},
		"search":        {task.Filter{Search: "OUT of"}, []string{"discarded", "failed"}},
		"search apart":  {task.Filter{Search: " 429  status"}, []string{"retrying"}},
		"search dead":   {task.Filter{Search: "range", DeadLetters: true}, []string{"failed"}},
		"search part":   {task.Filter{Search: "tatu"}, []string{"retrying"}},
		"search wild":   {task.Filter{Search: "%"}, []string{}},
		"limit":         {task.Filter{Limit: 2}, all[:2]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.filter.Tenant = "school"
			page, err := db.List(t.Context(), c.filter)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, ids(page.Tasks)); d != "" {
				t.Error(d)
			}
			for _, found := range page.Tasks {
				if found.Tenant != "school" || found.Input != nil || found.Result != nil {
					t.Errorf("task %s of %s came with %d bytes of input", found.ID, found.Tenant, len(found.Input))
				}
			}
			if more := len(c.want) < len(all) && c.filter.Limit > 0; (page.Next != "") != more {
				t.Errorf("the next page is %q", page.Next)
			}
		})
	}
}

func TestList_GoesOnWhenMoreIsSharedMeanwhile(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Config{})
	zoo(t, db)
	f := task.Filter{Tenant: "school", Limit: 1, Readable: &task.Readable{UserID: "head-teacher", IDs: []string{"queued", "failed"}}}
	first, err := db.List(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	f.Cursor, f.Limit = first.Next, 10
	f.Readable = &task.Readable{UserID: "head-teacher", IDs: []string{"queued", "terrain"}}
	rest, err := db.List(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"failed", "hers", "terrain", "queued"}, append(ids(first.Tasks), ids(rest.Tasks)...)); d != "" {
		t.Error(d)
	}
	f.Readable = &task.Readable{UserID: "teacher"}
	if _, err := db.List(t.Context(), f); !fault.Is(err, fault.Invalid) {
		t.Errorf("somebody else's cursor is taken: %v", err)
	}
	f.Cursor, f.Readable.IDs = "", make([]string, task.MaxReadable+1)
	if _, err := db.List(t.Context(), f); !fault.Is(err, fault.Invalid) {
		t.Errorf("%d shared tasks are taken: %v", len(f.Readable.IDs), err)
	}
}

func TestArchive_KeepsTenantsApart(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Config{})
	l := newLog(t)
	l.add("school", "a", queued(func(q *events.Queued) { q.Labels = map[string]string{"class": "3b"} }))
	l.add("other", "b", queued(func(q *events.Queued) { q.Labels = map[string]string{"school": "3b"} }))
	l.record(db)
	for _, id := range []string{"a", "b"} {
		own, foreign := "school", "other"
		if id == "b" {
			own, foreign = foreign, own
		}
		if _, err := db.Get(t.Context(), own, id); err != nil {
			t.Error(err)
		}
		if _, err := db.Get(t.Context(), foreign, id); !fault.Is(err, fault.NotFound) {
			t.Errorf("get %s for %s: %v, want NotFound", id, foreign, err)
		}
		if _, err := db.History(t.Context(), foreign, id, 0, 0); !fault.Is(err, fault.NotFound) {
			t.Errorf("history of %s for %s: %v, want NotFound", id, foreign, err)
		}
	}
	for _, labels := range []map[string]string{{"class": "3b"}, nil} {
		page, err := db.List(t.Context(), task.Filter{Tenant: "other", Labels: labels})
		if err != nil || slices.Contains(ids(page.Tasks), "a") {
			t.Errorf("the other tenant sees %v (%v)", ids(page.Tasks), err)
		}
	}
	for _, tenant := range []string{"", "School", "a b", "\x00"} {
		if _, err := db.List(t.Context(), task.Filter{Tenant: tenant}); !fault.Is(err, fault.Invalid) {
			t.Errorf("list of tenant %q: %v, want Invalid", tenant, err)
		}
		if _, err := db.Get(t.Context(), tenant, "a"); !fault.Is(err, fault.NotFound) {
			t.Errorf("get of tenant %q: %v, want NotFound", tenant, err)
		}
	}
}

func TestList_PagesStayWhileTasksAreAdded(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Config{})
	l := newLog(t)
	var want []string
	for i := range 25 {
		id := fmt.Sprintf("t%02d", i)
		e := l.add("school", id, queued())
		if i%3 == 0 { // some were submitted in the same microsecond
			l.events[len(l.events)-1].Time = e.Time.Add(-time.Millisecond - time.Nanosecond).Truncate(time.Microsecond)
		}
		want = append([]string{id}, want...)
	}
	l.record(db)
	var got []string
	f := task.Filter{Tenant: "school", Limit: 4}
	for pages := 0; ; pages++ {
		page, err := db.List(t.Context(), f)
		if err != nil || pages > 10 {
			t.Fatal(pages, err)
		}
		got = append(got, ids(page.Tasks)...)
		if page.Next == "" {
			break
		}
		f.Cursor = page.Next
		n := len(l.events)
		l.add("school", fmt.Sprint("new", pages), queued())
		if err := db.Record(t.Context(), l.events[n:]); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestList_RefusesCursorsOfOtherLists(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Config{})
	zoo(t, db)
	page, err := db.List(t.Context(), task.Filter{Tenant: "school", Limit: 1})
	if err != nil || page.Next == "" {
		t.Fatalf("%q %v", page.Next, err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(page.Next)
	if err != nil {
		t.Fatal(err)
	}
	newer := slices.Clone(raw)
	newer[0]++
	for name, f := range map[string]task.Filter{
		"tenant":  {Tenant: "other", Cursor: page.Next},
		"filter":  {Tenant: "school", Cursor: page.Next, DeadLetters: true},
		"label":   {Tenant: "school", Cursor: page.Next, Labels: map[string]string{"a": "b"}},
		"garbage": {Tenant: "school", Cursor: "garbage"},
		"cut":     {Tenant: "school", Cursor: page.Next[:len(page.Next)/2]},
		"padding": {Tenant: "school", Cursor: page.Next + "="},
		"long":    {Tenant: "school", Cursor: strings.Repeat("A", 1<<20)},
		"version": {Tenant: "school", Cursor: base64.RawURLEncoding.EncodeToString(newer)},
		"id":      {Tenant: "school", Cursor: base64.RawURLEncoding.EncodeToString(append(slices.Clone(raw), 0))},
	} {
		_, err := db.List(t.Context(), f)
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "cursor") {
			t.Errorf("%s: got %v, want Invalid for field cursor", name, err)
		}
	}
	if _, err := db.List(t.Context(), task.Filter{Tenant: "school", Limit: 7, Cursor: page.Next}); err != nil {
		t.Errorf("the limit may change from page to page: %v", err)
	}
	for _, limit := range []int{-1, task.MaxPage + 1} {
		if _, err := db.List(t.Context(), task.Filter{Tenant: "school", Limit: limit}); !fault.Is(err, fault.Invalid) {
			t.Errorf("limit %d: got %v, want Invalid", limit, err)
		}
	}
}

// No database is behind it: a cursor is judged before one is asked.
func FuzzList_Cursor(f *testing.F) {
	db := open(f, postgres.Config{URL: "postgres:///none?host=/nowhere"})
	f.Add("school", "", "")
	f.Add("school", "AQ", "u")
	f.Add("school", base64.RawURLEncoding.EncodeToString([]byte("\x01digest..timetimeid")), "\xff")
	f.Fuzz(func(t *testing.T, tenant, cursor, user string) {
		_, err := db.List(t.Context(), task.Filter{Tenant: tenant, Cursor: cursor, UserID: user})
		if !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.Unavailable) {
			t.Errorf("got %v, want Invalid or Unavailable", err)
		}
		if fault.Is(err, fault.Unavailable) && len(cursor) > 200 {
			t.Errorf("a cursor of %d bytes was taken", len(cursor))
		}
	})
}

func TestHistory_IsCutByPlaceAndNumber(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Config{})
	log := lives(t, 1, 1)
	if err := db.Record(t.Context(), log); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after uint64
		limit int
		want  []events.Event
	}{{0, 0, log}, {2, 0, log[2:]}, {0, 2, log[:2]}, {1, 1, log[1:2]}, {99, 0, nil}, {1 << 63, 5, nil}} {
		got, err := db.History(t.Context(), log[0].Tenant, log[0].Task, c.after, c.limit)
		if err != nil || len(got) != len(c.want) || len(got) > 0 && diff(c.want, got) != "" {
			t.Errorf("after %d, limit %d: %d events (%v), want %d", c.after, c.limit, len(got), err, len(c.want))
		}
	}
}

func TestList_ReadsEveryPageFromAnIndex(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	execute(t, url, `
		INSERT INTO tasks (tenant, id, seq, kind, user_id, state, cause, fingerprint, error, dead_letter, labels, created_at, doc, schedule,
			workflow)
		SELECT 'school', 't' || i, i, 'kind' || i % 10, 'user' || i % 100, CASE WHEN i % 50 = 0 THEN 'running' ELSE 'completed' END,
			CASE WHEN i % 20 = 0 THEN 'bug' END, CASE WHEN i % 20 = 0 THEN 'print' || i % 1000 END, CASE WHEN i % 20 = 0 THEN 'error' || i END, i % 40 = 0,
			CASE WHEN i % 5 = 0 THEN jsonb_build_object('school', jsonb_build_object('class', i % 1000)) ELSE '{}' END,
			now() - i * interval '1 minute', '{}', CASE WHEN i % 9 = 0 THEN 'nightly' || i % 50 END, CASE WHEN i % 7 = 0 THEN 'run' || i / 70 END
		FROM generate_series(1, 20000) AS i`)
	execute(t, url, "ANALYZE tasks")
	unused := query(t, url, `SELECT indexrelname::text FROM pg_stat_user_indexes WHERE relname = 'tasks'
		AND indexrelname NOT IN ('tasks_pkey', 'tasks_incidents')`)
	noon := time.Now()
	for index, f := range map[string]task.Filter{
		"tasks_by_time":        {CreatedBefore: &noon},
		"tasks_by_state":       {States: []task.State{task.Running}},
		"tasks_by_kind":        {Kinds: []string{"kind3"}},
		"tasks_by_user":        {UserID: "user7"},
		"tasks_dead_letters":   {DeadLetters: true},
		"tasks_by_fingerprint": {Fingerprint: "print20"},
		"tasks_by_schedule":    {Schedule: "nightly7"},
		"tasks_by_workflow":    {Workflow: "run7"},
		"tasks_failures":       {Search: "error 99"},
		"tasks_by_label":       {Labels: map[string]string{"class": "17"}},
	} {
		f.Tenant, f.Limit = "school", task.DefaultPage
		sql, args, err := postgres.ListStatement(f)
		if err != nil {
			t.Fatal(err)
		}
		plan := strings.Join(query(t, url, "EXPLAIN "+sql, args...), "\n")
		if !strings.Contains(plan, index) {
			t.Errorf("index %s is not used:\n%s", index, plan)
		}
		unused = slices.DeleteFunc(unused, func(name string) bool { return name == index })
	}
	if len(unused) > 0 {
		t.Errorf("no list needs the indexes %v", unused)
	}
}

func TestList_RefusesWhatIsTooMuch(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Config{})
	for field, f := range map[string]task.Filter{
		"ids":    {IDs: make([]string, task.MaxPage+1)},
		"search": {Search: strings.Repeat("x", 257)},
		"Search": {Search: strings.Repeat("x ", 9)},
	} {
		f.Tenant = "school"
		if _, err := db.List(t.Context(), f); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), strings.ToLower(field)) {
			t.Errorf("got %v, want Invalid for field %s", err, field)
		}
	}
}

// A campaign walks over the dead letters while it takes them off the list, and some fail again.
func TestList_MeetsEachDeadLetterOnceWhileTheyAreReplayed(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Config{})
	l := newLog(t)
	var want, got []string
	for i := range 30 {
		id := fmt.Sprintf("t%02d", i)
		want = append(want, id)
		l.add("school", id, queued())
		l.add("school", id, events.Failed{Cause: events.CauseBug, Error: "x"})
	}
	l.record(db)
	f := task.Filter{Tenant: "school", DeadLetters: true, Limit: 7}
	for {
		page, err := db.List(t.Context(), f)
		if err != nil || len(got) > len(want) {
			t.Fatal(len(got), err)
		}
		got = append(got, ids(page.Tasks)...)
		recorded := len(l.events)
		for i, found := range page.Tasks {
			l.add("school", found.ID, queued(func(q *events.Queued) { q.Dispatch, q.Replay = 2, &events.Replay{By: "admin"} }))
			if i%2 == 0 {
				l.add("school", found.ID, events.Failed{Cause: events.CauseBug, Error: "x"})
			}
		}
		if err := db.Record(t.Context(), l.events[recorded:]); err != nil {
			t.Fatal(err)
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			break
		}
	}
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	history, err := db.History(t.Context(), "school", "t29", 0, 0)
	if err != nil || len(history) != 4 {
		t.Fatalf("the history has %d events (%v)", len(history), err)
	}
	if q, err := events.DataAs[events.Queued](history[2]); err != nil || q.Replay == nil || q.Replay.By != "admin" {
		t.Errorf("the replay is not in the history: %+v (%v)", q, err)
	}
}
