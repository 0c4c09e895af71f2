package postgres_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/policy"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/internal/task"
)

// spender is a task as its workers see it, with what they really spent.
type spender struct {
	task  task.Task
	spent events.Usage
}

// next draws what happens to the task next.
func (s *spender) next(r *rapid.T) events.Payload {
	t := s.task
	until := time.Now().UTC().Add(time.Hour)
	switch t.State {
	case "":
		return queued()
	case task.Queued, task.Retrying:
		return events.Started{Attempt: t.Attempt + 1, Dispatch: t.Dispatch, Worker: "w"}
	case task.Waiting:
		if rapid.IntRange(0, 3).Draw(r, "gives up") == 0 {
			return events.Failed{Attempts: t.Attempt, Cause: events.CauseDeadline, Usage: t.Usage}
		}
		return queued(func(q *events.Queued) {
			q.Dispatch, q.Resume = t.Dispatch+1, &events.Resume{Wait: t.Wait.For, Seq: t.Wait.Seq}
		})
	case task.Failed:
		return queued(func(q *events.Queued) { q.Dispatch, q.Replay = t.Dispatch+1, &events.Replay{By: "admin"} })
	case task.Completed, task.Cancelled, task.Running:
	}
	own, sum := s.take(r)
	by := &events.Provenance{Provider: "openai", Model: rapid.SampledFrom([]string{"gpt-5", "gpt-5-mini"}).Draw(r, "model")}
	switch rapid.IntRange(0, 6).Draw(r, "what") {
	case 0:
		return events.Completed{Attempt: t.Attempt, Result: json.RawMessage(`1`), Usage: sum, Provenance: *by}
	case 1:
		return events.Failed{Attempts: t.Attempt, Cause: events.CauseBug, Usage: &sum}
	case 2:
		return events.Retrying{Attempt: t.Attempt, Cause: events.CauseProvider, NextAt: until, Usage: own}
	case 3:
		return events.Waiting{Attempt: t.Attempt, Wait: events.WaitTime, Until: &until, Usage: own}
	case 4: // a crash: what was not on record is on no event
		s.spent = deref(t.Usage)
		return events.Started{Attempt: t.Attempt + 1, Dispatch: t.Dispatch, Worker: "w"}
	}
	return events.Step{Attempt: t.Attempt, Name: "step", Output: json.RawMessage(`{"usage": {"calls": 7}}`), Usage: own, Provenance: by}
}

// take draws calls of models, and returns what they cost and what the task has cost with them.
func (s *spender) take(r *rapid.T) (own *events.Usage, sum events.Usage) {
	if rapid.IntRange(0, 3).Draw(r, "calls") > 0 {
		u := events.Usage{
			Calls: rapid.IntRange(1, 3).Draw(r, "n"), InputTokens: rapid.IntRange(0, 5000).Draw(r, "in"), OutputTokens: rapid.IntRange(0, 5000).Draw(r, "out"),
			CostUSD:   rapid.SampledFrom([]float64{0, 0.0000004, 0.0000007, 0.1, 1. / 3, 12.345678901}).Draw(r, "usd"),
			CostKnown: rapid.IntRange(0, 9).Draw(r, "known") > 0,
		}
		own, s.spent = &u, s.spent.Add(u)
	}
	return own, deref(own).Add(deref(s.task.Usage))
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// entries returns what the ledger says of each task.
func entries(tb testing.TB, url string) map[string]string {
	tb.Helper()
	out := map[string]string{}
	for _, row := range query(tb, url, `
		SELECT tenant || ' ' || task || ' ' || sum(calls) || ' ' || sum(input_tokens) || ' ' || sum(output_tokens) || ' ' || sum(cost) || ' ' || bool_and(priced)
		FROM ledger GROUP BY tenant, task`) {
		f := strings.SplitN(row, " ", 3)
		out[f[0]+" "+f[1]] = f[2]
	}
	return out
}

func entry(u events.Usage) string {
	return fmt.Sprint(u.Calls, u.InputTokens, u.OutputTokens, int64(math.Round(u.CostUSD*1e6)), u.CostKnown)
}

// What workers spent, what the tasks say by the fold of the log, and what the ledger adds up to are the same, whatever the
// histories, wherever the batches end, in whatever order their events stand, and however often they come.
func TestLedger_IsTheUsageOnTheLog(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	var first uint64
	round := 0
	rapid.Check(t, func(r *rapid.T) {
		round++
		tenant := fmt.Sprintf("r%d", round)
		spenders := make([]spender, rapid.IntRange(1, 4).Draw(r, "tasks"))
		var log []events.Event
		for range rapid.IntRange(1, 80).Draw(r, "events") {
			i := rapid.IntRange(0, len(spenders)-1).Draw(r, "task")
			s := &spenders[i]
			if s.task.State == task.Completed {
				continue
			}
			e, err := events.New(tenant, fmt.Sprint("t", i), "/test", s.next(r))
			if err != nil {
				r.Fatal(err)
			}
			e.Seq = first + uint64(len(log)) + 1
			if err := s.task.Apply(e); err != nil {
				r.Fatal(err)
			}
			log = append(log, e)
		}
		first += uint64(len(log))
		db := open(t, postgres.Config{URL: url})
		defer db.Close()
		for done := 0; done < len(log); {
			from := done
			if rapid.IntRange(0, 2).Draw(r, "redelivered") == 0 {
				from = rapid.IntRange(0, done).Draw(r, "from")
			}
			to := rapid.IntRange(max(from+1, done), len(log)).Draw(r, "to")
			if err := db.Record(t.Context(), rapid.Permutation(log[from:to]).Draw(r, "batch")); err != nil {
				r.Fatal(err)
			}
			done = max(done, to)
		}
		ledger := entries(t, url)
		var total events.Usage
		for i, s := range spenders {
			key := fmt.Sprintf("%s t%d", tenant, i)
			if s.spent.Calls == 0 {
				if ledger[key] != "" {
					r.Errorf("task %d spent nothing, the ledger has %s", i, ledger[key])
				}
				continue
			}
			total = total.Add(s.spent)
			onLog := *s.task.Usage
			if d := math.Abs(onLog.CostUSD - s.spent.CostUSD); d > 1e-9 {
				r.Fatalf("the log is off by %v", d)
			}
			onLog.CostUSD = s.spent.CostUSD
			if d := cmp.Diff(s.spent, onLog); d != "" {
				r.Fatalf("the log (-spent +log): %s", d)
			}
			if got, want := ledger[key], entry(*s.task.Usage); got != want {
				r.Errorf("the ledger says %s of task %d, want %s", got, i, want)
			}
		}
		cost, tokens, err := db.Spent(t.Context(), policy.ScopeTenant, tenant, "", time.Now().Add(-time.Hour))
		if err != nil || tokens != int64(total.InputTokens+total.OutputTokens) || math.Abs(float64(cost)-total.CostUSD*1e6) > float64(len(spenders)) {
			r.Errorf("the tenant spent %d micro-USD and %d tokens (%v), want %+v", cost, tokens, err, total)
		}
	})
}

// Two things keep an event from being counted twice: the fold passes over what it knows, and the ledger's key.
func TestLedger_CountsTwiceWithoutItsGuards(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	usage := events.Usage{Calls: 1, InputTokens: 10, CostUSD: 0.5, CostKnown: true}
	l.add("school", "a", queued())
	l.add("school", "a", events.Started{Attempt: 1, Dispatch: 1, Worker: "w"})
	l.add("school", "a", events.Step{Attempt: 1, Name: "draft", Output: json.RawMessage(`1`), Usage: &usage})
	once := map[string]string{"school a": entry(usage)}
	for _, c := range []struct{ fold, key bool }{{true, true}, {true, false}, {false, true}, {false, false}} {
		url := pgtest.New(t)
		db := open(t, postgres.Config{URL: url})
		if !c.fold {
			db.Unguard()
		}
		if !c.key {
			execute(t, url, "ALTER TABLE ledger DROP CONSTRAINT ledger_pkey")
		}
		l.record(db)
		l.record(db)
		if d := cmp.Diff(once, entries(t, url)); (d == "") != (c.fold || c.key) {
			t.Errorf("guards %+v: %s", c, d)
		}
	}
}

func TestLedger_SaysWhoSpentWhatOnWhichModel(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	db := open(t, postgres.Config{URL: url})
	l := newLog(t)
	until := l.at.Add(time.Hour)
	cents := func(n int) *events.Usage {
		return &events.Usage{Calls: 1, InputTokens: n, OutputTokens: 1, CostUSD: float64(n) / 100, CostKnown: true}
	}
	unknown := &events.Usage{Calls: 1, InputTokens: 9}
	by := events.Provenance{GeneratedBy: "openai/gpt-5", Provider: "openai", Model: "gpt-5"}
	origin := &events.Origin{Workflow: "run-1", Step: "quiz"}
	l.add("school", "a", queued(func(q *events.Queued) { q.Origin = origin }))
	l.add("school", "a", events.Started{Attempt: 1, Dispatch: 1})
	l.add("school", "a", events.Step{Attempt: 1, Name: "x", Usage: cents(1), Provenance: &by})
	l.add("school", "a", events.Step{Attempt: 1, Name: "y", Usage: unknown, Provenance: &events.Provenance{Provider: "ollama", Model: "own\x00"}})
	l.add("school", "a", events.Retrying{Attempt: 1, Cause: events.CauseProvider, NextAt: until, Usage: cents(2)})
	l.add("school", "a", events.Started{Attempt: 2, Dispatch: 1})
	l.add("school", "a", events.Waiting{Attempt: 2, Wait: events.WaitTime, Until: &until, Usage: cents(3)})
	l.add("school", "a", queued(func(q *events.Queued) { q.Dispatch, q.Resume = 2, &events.Resume{Wait: events.WaitTime} }))
	l.add("school", "a", events.Started{Attempt: 1, Dispatch: 2})
	l.add("school", "a", events.Completed{Attempt: 1, Result: []byte("1"), Usage: events.Usage{Calls: 5, InputTokens: 19, OutputTokens: 4, CostUSD: 0.1}, Provenance: by})
	l.add("other", "b", queued(func(q *events.Queued) { q.Kind, q.UserID = "terrain", "head" }))
	l.add("other", "b", events.Started{Attempt: 1, Dispatch: 1})
	l.add("other", "b", events.Failed{Attempts: 1, Cause: events.CauseBug, Usage: cents(7)})
	l.add("other", "b", queued(func(q *events.Queued) {
		q.Kind, q.UserID, q.Dispatch, q.Replay = "terrain", "head", 2, &events.Replay{By: "admin"}
	}))
	l.add("other", "b", events.Started{Attempt: 1, Dispatch: 2})
	l.add("other", "b", events.Completed{Attempt: 1, Result: []byte("1"), Usage: *cents(7)})
	l.record(db)
	want := []string{
		"3 school a teacher run-1 quiz openai/gpt-5 1 1 1 10000 true",
		"4 school a teacher run-1 quiz ollama/own\uFFFD 1 9 0 0 false",
		"5 school a teacher run-1 quiz / 1 2 1 20000 true",
		"7 school a teacher run-1 quiz / 1 3 1 30000 true",
		"10 school a teacher run-1 quiz openai/gpt-5 1 4 1 40000 false", // the sum's price is not known, so neither is this part's
		"13 other b head  terrain / 1 7 1 70000 true",
	}
	got := query(t, url, `
		SELECT concat_ws(' ', seq, tenant, task, user_id, workflow, kind, provider || '/' || model, calls, input_tokens, output_tokens, cost, priced::text)
		FROM ledger ORDER BY seq`)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// A worker that saw only what the log still holds of a task tells a smaller sum than the archive has on record.
func TestLedger_TakesNothingBack(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	db := open(t, postgres.Config{URL: url})
	l := newLog(t)
	usage := func(calls int) events.Usage {
		return events.Usage{Calls: calls, InputTokens: calls, CostUSD: float64(calls), CostKnown: true}
	}
	step, failed := usage(5), usage(2)
	l.add("school", "a", queued())
	l.add("school", "a", events.Started{Attempt: 1, Dispatch: 1})
	l.add("school", "a", events.Step{Attempt: 1, Name: "x", Usage: &step})
	l.add("school", "a", events.Failed{Attempts: 1, Cause: events.CauseBug, Usage: &failed})
	l.add("school", "a", queued(func(q *events.Queued) { q.Dispatch, q.Replay = 2, &events.Replay{By: "admin"} }))
	l.add("school", "a", events.Started{Attempt: 1, Dispatch: 2})
	l.add("school", "a", events.Completed{Attempt: 1, Result: []byte("1"), Usage: usage(3)})
	huge := events.Usage{Calls: 1, CostUSD: 1e300, CostKnown: true}
	l.add("school", "huge", queued())
	l.add("school", "huge", events.Started{Attempt: 1, Dispatch: 1})
	l.add("school", "huge", events.Completed{Attempt: 1, Result: []byte("1"), Usage: huge})
	l.record(db)
	want := map[string]string{"school a": "6 6 0 6000000 true", "school huge": "1 0 0 1000000000000000 true"}
	if d := cmp.Diff(want, entries(t, url)); d != "" {
		t.Error(d)
	}
}
