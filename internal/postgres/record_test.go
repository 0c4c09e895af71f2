package postgres_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/internal/task"
)

// Whatever the histories, wherever the batches end and however often and from where the log is recorded again: the archive
// holds what the log comes to.
func TestRecord_IsTheFoldOfTheLogHoweverItIsRepeated(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Config{})
	var first uint64 // the log goes on from check to check
	refusedBefore := uint64(0)
	round := 0
	rapid.Check(t, func(r *rapid.T) {
		round++
		log := drawLog(r, fmt.Sprintf("r%d", round), first)
		first += uint64(len(log))
		for done := 0; done < len(log); {
			from := done
			if rapid.IntRange(0, 3).Draw(r, "rewind") == 0 {
				from = rapid.IntRange(0, done).Draw(r, "from")
			}
			to := rapid.IntRange(max(from+1, done), len(log)).Draw(r, "to")
			if err := db.Record(t.Context(), log[from:to]); err != nil {
				r.Fatal(err)
			}
			done = max(done, to)
		}
		if d := mismatch(t, db, log); d != "" {
			r.Fatal(d)
		}
		refused := uint64(0)
		for _, history := range byTask(log) {
			_, n := fold(history)
			refused += uint64(n)
		}
		if got := db.SetAside() - refusedBefore; got != refused {
			r.Fatalf("%d events were set aside, want %d", got, refused)
		}
		refusedBefore += refused
	})
}

func byTask(log []events.Event) map[string][]events.Event {
	out := map[string][]events.Event{}
	for _, e := range log {
		out[e.Tenant+" "+e.Task] = append(out[e.Tenant+" "+e.Task], e)
	}
	return out
}

// drawLog draws a log of a few tasks that behave, mostly. Its first event has sequence first + 1.
func drawLog(r *rapid.T, tenant string, first uint64) []events.Event {
	var log []events.Event
	tasks := make([]task.Task, rapid.IntRange(1, 6).Draw(r, "tasks"))
	at := time.Now().UTC().Add(-time.Hour)
	for range rapid.IntRange(1, 60).Draw(r, "events") {
		i := rapid.IntRange(0, len(tasks)-1).Draw(r, "task")
		e, err := events.New(fmt.Sprintf("%s-%d", tenant, i%2), fmt.Sprintf("t%d", i), "/test", drawPayload(r, tasks[i]))
		if err != nil {
			r.Fatal(err)
		}
		if rapid.IntRange(0, 30).Draw(r, "unknown") == 0 {
			e.Type = "task.from_the_future"
		}
		at = at.Add(time.Duration(rapid.IntRange(1e3, 1e9).Draw(r, "pause")))
		e.Time, e.Seq = at, first+uint64(len(log))+1
		if rapid.Bool().Draw(r, "traced") {
			e.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		}
		_ = tasks[i].Apply(e)
		log = append(log, e)
	}
	return log
}

// drawPayload draws what may happen to t next, and now and then what may not.
func drawPayload(r *rapid.T, t task.Task) events.Payload {
	usage := &events.Usage{Calls: 1, InputTokens: rapid.IntRange(0, 5000).Draw(r, "tokens"), CostUSD: 0.1, CostKnown: true}
	text := rapid.StringN(0, 20, -1).Draw(r, "text")
	until := time.Now().UTC().Add(time.Hour)
	queued := queued(func(q *events.Queued) {
		q.Dispatch, q.UserID, q.RequestHash, q.Deadline = t.Dispatch+1, text, "abc", &until
		q.Input, _ = json.Marshal(map[string]string{"text": text})
		q.Labels = map[string]string{text + "label": text}
		q.NotBefore, q.ExpiresAt, q.TimeoutMS, q.Cost = &until, &until, 1000, 1.5
		q.Origin = &events.Origin{Schedule: text, Tick: &until, Workflow: text, Step: text}
	})
	refused := events.KeepRefusals([]events.Refusal{{Attempt: t.Attempt, Step: text, Round: 1, Reasons: []events.Reason{{Field: text, Reason: text}}, Text: text, Usage: usage}})
	ref := &events.Reference{Key: text, Bytes: 1 << 20, SHA256: "abc"}
	var next []events.Payload
	switch t.State {
	case "":
		next = []events.Payload{queued, queued, queued, events.Failed{Cause: events.CauseUndecodable, Error: text, Raw: []byte(text + "\x00")}}
	case task.Queued, task.Retrying:
		started := events.Started{Attempt: t.Attempt + 1, Dispatch: t.Dispatch, Worker: text, Version: text}
		next = []events.Payload{started, started, started, events.Cancelled{By: text}}
	case task.Waiting:
		resume := events.Queued{Kind: t.Kind, Input: t.Input, Dispatch: t.Dispatch + 1, UserID: t.UserID, Resume: &events.Resume{Wait: t.Wait.For, Seq: t.Wait.Seq}}
		next = []events.Payload{resume, resume, events.Signalled{Name: "go", Data: json.RawMessage(`1`), By: text}, events.Cancelled{By: text}}
	case task.Running:
		next = []events.Payload{
			events.Step{Attempt: t.Attempt, Name: text, Output: json.RawMessage(`[1,  2]`), Usage: usage},
			events.Step{Attempt: t.Attempt, Name: text, Output: json.RawMessage(`null`)},
			events.Started{Attempt: t.Attempt + 1, Dispatch: t.Dispatch, Worker: text},
			events.Step{Attempt: t.Attempt, Name: text, OutputRef: ref, Usage: usage},
			events.Retrying{Attempt: t.Attempt, Cause: events.CauseProvider, Error: text, NextAt: until, Refused: refused},
			events.Waiting{Attempt: t.Attempt, Wait: events.WaitTime, Name: text, Until: &until, Message: text, Usage: usage},
			events.Waiting{Attempt: t.Attempt, Wait: events.WaitSignal, Name: text, Message: text},
			events.Signalled{Name: "go", By: text},
			events.Completed{Attempt: t.Attempt, ResultRef: ref, Usage: *usage, Provenance: events.Provenance{GeneratedBy: text}},
			events.Completed{Attempt: t.Attempt, Result: json.RawMessage(`{"text":  "a\u0000b"}`), Usage: *usage, Provenance: events.Provenance{GeneratedBy: text}},
			events.Failed{Attempts: t.Attempt, Cause: events.CauseBug, Error: text, Usage: usage, Refused: refused},
		}
	case task.Failed:
		again := queued
		again.Replay = &events.Replay{By: text, Edited: true}
		next = []events.Payload{again, again, events.Discarded{By: text, Reason: text}}
	}
	next = append(next, events.Started{Attempt: 7, Dispatch: 7, Worker: "zombie"}, events.Completed{Attempt: 9})
	return rapid.SampledFrom(next).Draw(r, "next")
}

func TestRecord_WithoutItsGuardCountsStepsTwice(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	l.add("school", "a", queued())
	l.add("school", "a", events.Started{Attempt: 1, Dispatch: 1, Worker: "w"})
	l.add("school", "a", events.Step{Attempt: 1, Name: "draft", Output: json.RawMessage(`1`), Usage: &events.Usage{Calls: 1}})
	for _, guarded := range []bool{true, false} {
		db := open(t, postgres.Config{})
		if !guarded {
			db.Unguard()
		}
		l.record(db)
		l.record(db)
		if d := mismatch(t, db, l.events); (d == "") != guarded {
			t.Errorf("guarded %v: the difference to the log is %q", guarded, d)
		}
	}
}

func TestRecord_TakesTurnsWithOtherRecorders(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	log := lives(t, 60, 7)
	var wg sync.WaitGroup
	for i := range 4 {
		db := open(t, postgres.Config{URL: url})
		wg.Go(func() {
			for rest := log; len(rest) > 0; {
				n := min(10+i*7, len(rest))
				if err := db.Record(t.Context(), rest[:n]); err != nil {
					t.Error(err)
					return
				}
				rest = rest[n:]
			}
		})
	}
	wg.Wait()
	db := open(t, postgres.Config{URL: url})
	if d := mismatch(t, db, log); d != "" {
		t.Error(d)
	}
}

func TestRecord_SortsABatchAndDropsWhatItHoldsTwice(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Config{})
	log := lives(t, 5, 5)
	batch := append([]events.Event{log[3], log[2], log[3]}, log...)
	if err := db.Record(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if d := mismatch(t, db, log); d != "" {
		t.Error(d)
	}
	if batch[0].Seq != 4 || batch[1].Seq != 3 {
		t.Error("the caller's batch was changed")
	}
}

func TestRecord_RefusesEventsWithoutAPlaceInTheLog(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Config{})
	if err := db.Record(t.Context(), []events.Event{{ID: "x", Tenant: "school", Task: "a"}}); !fault.Is(err, fault.Invalid) {
		t.Errorf("got %v, want Invalid", err)
	}
	if err := db.Record(t.Context(), nil); err != nil {
		t.Errorf("an empty batch: %v", err)
	}
}

func TestPosition_IsTheLastEventThatWasRecorded(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Config{})
	log := lives(t, 4, 2)
	for _, c := range []struct{ from, to, want int }{{0, 0, 0}, {0, 7, 7}, {3, 5, 7}, {7, 20, 20}} {
		if err := db.Record(t.Context(), log[c.from:c.to]); err != nil {
			t.Fatal(err)
		}
		seq, at, err := db.Position(t.Context())
		if err != nil || seq != uint64(c.want) {
			t.Errorf("after %d to %d the position is %d (%v), want %d", c.from, c.to, seq, err, c.want)
		}
		if c.want > 0 && !at.Equal(log[c.want-1].Time.Truncate(time.Microsecond)) {
			t.Errorf("its time is %v", at)
		}
	}
}

func TestRecord_SplitsBatchesThatAreTooLarge(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Config{})
	l := newLog(t)
	for i := range 24 {
		l.add("school", fmt.Sprint("t", i), queued(func(q *events.Queued) {
			q.Input = json.RawMessage(`"` + strings.Repeat("x", 900<<10) + `"`)
		}))
	}
	l.record(db)
	if d := mismatch(t, db, l.events); d != "" {
		t.Error(d[:min(len(d), 1000)])
	}
	l = newLog(t)
	l.events = lives(t, 2000, 2000)
	l.record(open(t, postgres.Config{}))
}

// lines collects a log's lines.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), s)
}

// Each case is an event that something refuses, between events of other tasks.
func TestRecord_SetsAsideWhatCannotBe(t *testing.T) {
	t.Parallel()
	failed := func(body string) events.Event {
		return events.Event{ID: "e", Type: events.TypeFailed, Source: "/test", Tenant: "school", Task: "bad", Data: []byte(body)}
	}
	input := func(body string) events.Event {
		e := failed(body)
		e.Type, e.Task = events.TypeQueued, "worse"
		return e
	}
	for name, c := range map[string]struct {
		poison events.Event
		state  task.State // of task bad afterwards
	}{
		"impossible":            {failed(`{"attempts":"many"}`), task.Running},
		"no body":               {failed(``), task.Running},
		"no JSON":               {failed(`{`), task.Running},
		"NUL":                   {failed("\x00"), task.Running},
		"invalid UTF-8":         {failed("{\"cause\":\"bug\",\"error\":\"\xff\xfe\"}"), task.Failed},
		"invalid UTF-8 in kept": {input("{\"kind\":\"quiz\",\"dispatch\":1,\"priority\":\"low\",\"input\":\"\xff\"}"), task.Running},
		"no token":              {events.Event{ID: "e", Type: events.TypeQueued, Tenant: "\x00", Task: "\xff" + strings.Repeat("x", 9999), Data: []byte(`{}`)}, task.Running},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := &lines{}
			db := open(t, postgres.Config{Logger: slog.New(slog.NewTextHandler(out, nil))})
			l := newLog(t)
			l.add("school", "bad", queued())
			l.add("school", "bad", events.Started{Attempt: 1, Dispatch: 1, Worker: "w"})
			for i := range 20 {
				l.add("school", fmt.Sprint("good", i), queued())
			}
			l.append(c.poison)
			for i := range 20 {
				l.add("school", fmt.Sprint("good", i), events.Started{Attempt: 1, Dispatch: 1, Worker: "w"})
			}
			l.record(db)
			l.record(db)
			db2 := open(t, postgres.Config{URL: pgtest.New(t)}) // one by one comes to the same
			for _, e := range l.events {
				if err := db2.Record(t.Context(), []events.Event{e}); err != nil {
					t.Fatal(err)
				}
			}
			for _, db := range []*postgres.DB{db, db2} {
				if got := db.SetAside(); got != 1 {
					t.Errorf("%d events were set aside, want 1", got)
				}
				bad, err := db.Get(t.Context(), "school", "bad")
				if err != nil || bad.State != c.state {
					t.Errorf("task bad is %q (%v), want %q", bad.State, err, c.state)
				}
				page, err := db.List(t.Context(), task.Filter{Tenant: "school", States: []task.State{task.Running}})
				if want := 20; err != nil || len(page.Tasks) < want {
					t.Errorf("%d tasks are running (%v), want %d", len(page.Tasks), err, want)
				}
				if c.poison.Tenant != "school" {
					continue
				}
				history, err := db.History(t.Context(), "school", c.poison.Task, 0, 0)
				if err != nil || !bytes.Equal(history[len(history)-1].Data, c.poison.Data) {
					t.Errorf("the history ends with %+v (%v), want the raw body", history, err)
				}
			}
			if got := out.count("event set aside"); got != 1 {
				t.Errorf("%d lines say so, want 1", got)
			}
		})
	}
}

func TestRecord_FindsThePlaceOfWhatCameBeforeItsBeginning(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Config{})
	log := lives(t, 3, 3)
	if err := db.Record(t.Context(), log[5:]); err != nil {
		t.Fatal(err)
	}
	if db.SetAside() == 0 {
		t.Fatal("a task without its beginning was not set aside")
	}
	if err := db.Record(t.Context(), log); err != nil {
		t.Fatal(err)
	}
	if d := mismatch(t, db, log); d != "" {
		t.Error(d)
	}
}

func TestRecord_FillsATableThatWasEmptied(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	db := open(t, postgres.Config{URL: url})
	log := lives(t, 10, 3)
	for _, sql := range []string{"", "TRUNCATE tasks", "TRUNCATE task_events", "UPDATE recorder_position SET seq = 0",
		"TRUNCATE tasks; UPDATE recorder_position SET seq = 0"} {
		if sql != "" {
			execute(t, url, sql)
		}
		if err := db.Record(t.Context(), log); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		if d := mismatch(t, db, log); d != "" {
			t.Errorf("%s: %s", sql, d)
		}
	}
}

func TestRecord_KeepsEveryByte(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Config{})
	long := strings.Repeat("é", 100_000)
	l := newLog(t)
	until := time.Date(2030, 1, 2, 3, 4, 5, 6, time.FixedZone("", 7200))
	for id, q := range map[string]events.Queued{
		"nul":    queued(func(q *events.Queued) { q.UserID, q.Labels = "a\x00b", map[string]string{"x\x00": "\x00"} }),
		"input":  queued(func(q *events.Queued) { q.Input = json.RawMessage(`{"b" : "\u0000", "a":1.10, "a":2}`) }),
		"null":   queued(func(q *events.Queued) { q.Input = json.RawMessage(`null`) }),
		"absent": queued(func(q *events.Queued) { q.Input = nil }),
		"long":   queued(func(q *events.Queued) { q.UserID, q.Kind, q.Labels = long, long, map[string]string{long: long} }),
		"zone":   queued(func(q *events.Queued) { q.Deadline, q.RequestHash = &until, "feed" }),
		"deep": queued(func(q *events.Queued) {
			q.Input = json.RawMessage(strings.Repeat("[", 1000) + strings.Repeat("]", 1000))
		}),
	} {
		l.add("school", id, q)
		l.add("school", id, events.Started{Attempt: 1, Dispatch: 1, Worker: "\x00"})
		l.add("school", id, events.Retrying{Attempt: 1, Cause: events.CauseBug, Error: "\x00" + long, NextAt: until})
		l.add("school", id, events.Started{Attempt: 2, Dispatch: 1, Worker: "w"})
		l.add("school", id, events.Completed{Attempt: 2, Result: json.RawMessage(`"\u0000\ud800"`), Usage: events.Usage{CostUSD: 0.1 + 0.2, CostKnown: true},
			Provenance: events.Provenance{GeneratedBy: "\x00", Model: long}})
	}
	l.add("school", "raw", events.Failed{Cause: events.CauseUndecodable, Error: "\x00", Raw: []byte("\x00\xff")})
	l.add("school", "raw", events.Discarded{By: "admin\x00"})
	e := l.add("school", "attributes", queued())
	e.ID, e.TraceParent = "id", strings.Repeat("x", 10_000)
	l.events[len(l.events)-1] = e
	l.record(db)
	if d := mismatch(t, db, l.events); d != "" {
		t.Error(d[:min(len(d), 2000)])
	}
	if db.SetAside() != 0 {
		t.Errorf("%d events were set aside", db.SetAside())
	}
	for _, f := range []task.Filter{{UserID: "a\x00b"}, {UserID: long}, {Kinds: []string{long}}, {Labels: map[string]string{"x\x00": "\x00"}}, {Labels: map[string]string{long: long}}} {
		f.Tenant = "school"
		if page, err := db.List(t.Context(), f); err != nil || len(page.Tasks) != 1 {
			t.Errorf("a filter found %d tasks (%v), want 1", len(page.Tasks), err)
		}
	}
}

// A table that grew since it was analysed is where a planner goes wrong.
func TestRecord_LooksUpTheTasksOfABatchAlone(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	execute(t, url, `
		INSERT INTO tasks (tenant, id, seq, kind, user_id, state, dead_letter, labels, created_at, doc)
		SELECT 'school', 'old' || i, i, 'quiz', 'u', 'completed', false, '{}', now(), '{}' FROM generate_series(1, 20000) AS i`)
	db, err := postgres.Open(t.Context(), postgres.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	log := lives(t, 500, 500)
	for len(log) > 0 {
		if err := db.Record(t.Context(), log[:500]); err != nil {
			t.Fatal(err)
		}
		log = log[500:]
	}
	db.Close() // a session tells its statistics at its end
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); ; <-tick.C {
		scans := query(t, url, "SELECT seq_scan || ' ' || idx_scan FROM pg_stat_user_tables WHERE relname = 'tasks'")[0]
		if whole, looked, _ := strings.Cut(scans, " "); whole != "0" {
			t.Fatalf("the whole table was read %s times", whole)
		} else if looked != "0" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("no statistics came")
		}
	}
}

func TestRecord_KeepsTheMoneyExact(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	db := open(t, postgres.Config{URL: url})
	l := newLog(t)
	for i, cost := range []float64{0, 0.1, 1e-7, 123456.789, 1e300} {
		id := fmt.Sprint("t", i)
		l.add("school", id, queued())
		l.add("school", id, events.Started{Attempt: 1, Dispatch: 1})
		l.add("school", id, events.Completed{Attempt: 1, Result: json.RawMessage(`1`), Usage: events.Usage{Calls: 1, CostUSD: cost, CostKnown: i > 0}})
	}
	l.record(db)
	rows := query(t, url, "SELECT coalesce(cost_usd::text, 'unknown') FROM results ORDER BY task")
	want := []string{"unknown", "0.1", "0.0000001", "123456.789", "1" + strings.Repeat("0", 300)}
	if d := cmp.Diff(want, rows); d != "" {
		t.Error(d)
	}
}
