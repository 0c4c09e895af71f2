package dispatch_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/dispatch"
	"github.com/toolboxai/orchestrator/internal/policy"
	"github.com/toolboxai/orchestrator/internal/task"
)

// says is what an explanation says, as "code: message".
func (w *world) says(j *job) string {
	x, ok := w.b.Explain(j.tenant, j.id, w.now)
	if !ok {
		return "unknown"
	}
	if x.TaskID != j.id || !x.AsOf.Equal(w.now) || x.Since.After(w.now) {
		w.t.Errorf("explanation of %s: %+v", j.id, x)
	}
	return string(x.Code) + ": " + x.Message
}

func TestBoard_ExplainsInPlainWords(t *testing.T) {
	t.Parallel()
	w := newWorld(t, crewOf(1, "quiz", "content"), &crew{name: "t", kinds: []string{"terrain"}, slots: 9})
	w.setPolicy(policy.Policy{
		Limits: []policy.Limit{{Name: "terrain-gpu", Kind: "terrain", Max: 1}},
		Paused: map[string]policy.Pause{"script": {By: "ada", Reason: "a bad deploy", Since: w.now.Add(-time.Hour)}},
	})
	var jobs []*job
	for range 3 {
		jobs = append(jobs, w.submit(job{tenant: "a", length: time.Minute}))
	}
	terrain := []*job{w.submit(job{tenant: "a", kind: "terrain", length: time.Minute}), w.submit(job{tenant: "a", kind: "terrain", length: time.Minute})}
	low := w.submit(job{tenant: "b", kind: "content", lane: events.Low, length: time.Minute})
	script := w.submit(job{tenant: "a", kind: "script", length: time.Minute})
	review := w.submit(job{tenant: "a", kind: "review", length: time.Minute})
	w.pump()
	for i, want := range []string{
		"running: it is held by worker w1-quiz since 2026-03-02T08:00:00Z, attempt 1",
		"behind: it is next, as soon as a slot for kind quiz is free",
		"behind: behind 1 task of lane normal",
	} {
		if diff := cmp.Diff(want, w.says(jobs[i])); diff != "" {
			t.Errorf("task %d (-want +got):\n%s", i, diff)
		}
	}
	for j, want := range map[*job]string{
		terrain[1]: "limit: limit terrain-gpu of 1 is reached",
		low:        "behind: behind 2 tasks of lane low",
		script:     "paused: kind script is paused by ada since 2026-03-02T07:00:00Z: a bad deploy",
		review:     "no_worker: no worker serves kind review",
	} {
		if diff := cmp.Diff(want, w.says(j)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", j.kind, diff)
		}
	}
	if got := w.says(&job{tenant: "a", id: "other"}); got != "unknown" {
		t.Errorf("a task that is not there: %s", got)
	}
}

// A kind that was paused after its task went to the queue is why nobody takes it from there.
func TestBoard_ExplainsThatWhatIsInTheQueueIsPaused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	j := w.submit(job{tenant: "a", kind: "quiz", direct: true, length: time.Minute})
	w.setPolicy(policy.Policy{Paused: map[string]policy.Pause{"quiz": {By: "ada", Since: w.now}}})
	if diff := cmp.Diff("paused: kind quiz is paused by ada since 2026-03-02T08:00:00Z", w.says(j)); diff != "" {
		t.Error(diff)
	}
}

func TestBoard_ExplainsWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, crewOf(5))
	until := w.now.Add(time.Hour)
	for wait, want := range map[events.Wait]string{
		events.WaitTime:     "sleep: it sleeps until 2026-03-02T09:00:00Z",
		events.WaitSignal:   "signal: it waits for the signal x until 2026-03-02T09:00:00Z",
		events.WaitBudget:   "budget: budget x is spent until 2026-03-02T09:00:00Z",
		events.WaitProvider: "provider: provider x is paused until 2026-03-02T09:00:00Z",
	} {
		j := w.submit(job{tenant: "a", length: time.Minute})
		w.pump()
		w.suspend(j, events.Waiting{Wait: wait, Name: "x", Until: &until})
		if diff := cmp.Diff(want, w.says(j)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", wait, diff)
		}
	}
	j := w.submit(job{tenant: "a", length: time.Minute})
	w.pump()
	w.append(j, events.Retrying{Attempt: 1, Cause: events.CauseBug, NextAt: until})
	if diff := cmp.Diff("retry: its next attempt is at 2026-03-02T09:00:00Z", w.says(j)); diff != "" {
		t.Error(diff)
	}
	later := w.submitAt(job{tenant: "a"}, until)
	w.pump()
	if diff := cmp.Diff("not_before: it may not begin before 2026-03-02T09:00:00Z", w.says(later)); diff != "" {
		t.Error(diff)
	}
}

// suspend lets a running task wait, and its worker do something else.
func (w *world) suspend(j *job, p events.Waiting) {
	p.Attempt = j.attempt
	j.leave()
	j.state = task.Waiting
	w.append(j, p)
}

// submitAt puts a task on the log that may not begin before a time.
func (w *world) submitAt(j job, when time.Time) *job {
	j.id, j.kind, j.lane, j.state, j.sends, j.dispatch, j.submitted = "later", "quiz", events.Normal, task.Queued, map[int]int{}, 1, w.now
	own := &j
	w.jobs[j.id] = own
	w.order = append(w.order, own)
	w.append(own, events.Queued{Kind: "quiz", Input: json.RawMessage(`{}`), Priority: events.Normal, Dispatch: 1, NotBefore: &when})
	return own
}

func TestBoard_SaysWhatToScaleBy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, crewOf(2))
	w.setPolicy(policy.Policy{Limits: []policy.Limit{{Name: "held", Kind: "terrain", Max: 0}}})
	for range 6 {
		w.submit(job{tenant: "a", length: time.Hour})
	}
	for range 3 {
		w.submit(job{tenant: "a", kind: "terrain"})
	}
	w.submitAt(job{tenant: "a"}, w.now.Add(24*time.Hour))
	w.runFor(30 * time.Second)
	want := []task.Backlog{
		{Kind: "quiz", Pending: 4, Later: 1, Running: 2, OldestAge: 30, Slots: 2, Workers: 1, Load: 2 + 4 + 2},
		{Kind: "terrain", Pending: 3, Held: 3},
	}
	if diff := cmp.Diff(want, w.b.Backlog(w.now)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoad_GrowsWithWhatDoesNotMove(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		b    task.Backlog
		want float64
	}{
		{task.Backlog{}, 0},
		{task.Backlog{Running: 7, Slots: 10}, 7},
		{task.Backlog{Running: 7, Pending: 3, Slots: 10}, 10},
		{task.Backlog{Running: 100, Pending: 3, OldestAge: 60, Slots: 100}, 123},
		{task.Backlog{Running: 100, Pending: 300, OldestAge: 600, Slots: 100}, 700},
		{task.Backlog{Running: 4, Pending: 50, Held: 50, OldestAge: 600, Slots: 10}, 4},
	} {
		if got := dispatch.Load(c.b); got != c.want {
			t.Errorf("%+v: got %v, want %v", c.b, got, c.want)
		}
	}
}
