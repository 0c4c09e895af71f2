package dispatch_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/dispatch"
	"github.com/toolboxai/orchestrator/internal/policy"
	"github.com/toolboxai/orchestrator/internal/task"
)

func TestBoard_ResumesWhenTheSignalComes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, crewOf(5))
	w.check = true
	waiting := func() *job {
		j := w.submit(job{tenant: "a", length: time.Hour})
		w.pump()
		return j
	}
	before, after, other, late := waiting(), waiting(), waiting(), waiting()
	timeout := w.now.Add(time.Minute)
	w.append(before, events.Signalled{Name: "go", By: "u"}) // just ahead of the wait
	w.suspend(before, events.Waiting{Wait: events.WaitSignal, Name: "go"})
	w.suspend(after, events.Waiting{Wait: events.WaitSignal, Name: "go"})
	w.suspend(other, events.Waiting{Wait: events.WaitSignal, Name: "go"})
	w.suspend(late, events.Waiting{Wait: events.WaitSignal, Name: "go", Until: &timeout})
	w.append(other, events.Signalled{Name: "stay", By: "u"})
	w.pump()
	if before.state != task.Running || before.dispatch != 2 {
		t.Errorf("a signal ahead of the wait: the task is %s, dispatch %d", before.state, before.dispatch)
	}
	if after.state != task.Waiting {
		t.Errorf("without a signal the task is %s", after.state)
	}
	w.append(after, events.Signalled{Name: "go", By: "u"})
	w.runFor(time.Second)
	if after.state != task.Running || other.state != task.Waiting || late.state != task.Waiting {
		t.Errorf("after the signal: %s, of another name: %s, without: %s", after.state, other.state, late.state)
	}
	w.runFor(time.Minute)
	if late.state != task.Running || other.state != task.Waiting {
		t.Errorf("after the timeout: %s, without one: %s", late.state, other.state)
	}
}

// A step is the worker's own word: what was signalled before it is its to know.
func TestBoard_LeavesSignalsBeforeAStepToTheWorker(t *testing.T) {
	t.Parallel()
	w := newWorld(t, crewOf(1))
	j := w.submit(job{tenant: "a", length: time.Hour})
	w.pump()
	w.append(j, events.Signalled{Name: "go", By: "u"})
	w.append(j, events.Step{Attempt: 1, Name: "signal:go"})
	w.suspend(j, events.Waiting{Wait: events.WaitSignal, Name: "go"})
	w.runFor(time.Minute)
	if j.state != task.Waiting {
		t.Errorf("a signal that was consumed ended the wait: the task is %s", j.state)
	}
}

func TestBoard_ResumesWhenTheBudgetChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, crewOf(2))
	j := w.submit(job{tenant: "a", length: time.Hour})
	next := w.submit(job{tenant: "a", length: time.Hour})
	w.pump()
	until := w.now.Add(time.Hour)
	w.suspend(j, events.Waiting{Wait: events.WaitBudget, Name: "tenant a", Until: &until})
	w.suspend(next, events.Waiting{Wait: events.WaitBudget, Name: "tenant a"})
	w.setPolicy(policy.Policy{Fairness: policy.Fairness{Outstanding: 3}})
	w.runFor(time.Second)
	if j.state != task.Waiting {
		t.Errorf("a policy with the same budgets ended the wait")
	}
	w.setPolicy(policy.Policy{TopUps: []policy.TopUp{{Scope: policy.ScopeTenant, ID: "a", USD: 1}}})
	w.runFor(time.Second)
	if j.state != task.Running || next.state != task.Running {
		t.Fatalf("after the top-up the tasks are %s and %s", j.state, next.state)
	}
	w.suspend(j, events.Waiting{Wait: events.WaitBudget, Name: "tenant a", Until: &until})
	w.runFor(10 * time.Second)
	if j.state != task.Waiting {
		t.Errorf("the same top-up ended the wait twice")
	}
	w.runFor(time.Minute) // its worker may not have heard of the top-up when it ran
	if j.state != task.Running {
		t.Errorf("a worker that had not heard of the top-up decided: the task is %s", j.state)
	}
	w.suspend(j, events.Waiting{Wait: events.WaitBudget, Name: "tenant a", Until: &until})
	w.runFor(10 * time.Minute)
	if j.state != task.Waiting {
		t.Errorf("a top-up long ago ended the wait")
	}
	w.run(until.Add(time.Second))
	if j.state != task.Running {
		t.Errorf("in the next period the task is %s", j.state)
	}
}

// Many tasks that wake at the same moment do so one after the other.
func TestBoard_StaggersWhatWakesAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, crewOf(2000))
	until := w.now.Add(time.Hour)
	for range 2000 {
		j := w.submit(job{tenant: "a", length: 24 * time.Hour})
		w.pump()
		w.suspend(j, events.Waiting{Wait: events.WaitTime, Until: &until})
	}
	resumed := func() int {
		n := 0
		for _, j := range w.order {
			if j.dispatch == 2 {
				n++
			}
		}
		return n
	}
	w.run(until.Add(time.Second))
	if n := resumed(); n < 500 || n > 560 {
		t.Errorf("%d tasks resumed in the first second, want about 500", n)
	}
	w.run(until.Add(5 * time.Second))
	if n := resumed(); n != 2000 {
		t.Errorf("%d tasks resumed in the end, want 2000", n)
	}
}

func TestBoard_AsksForExpiry(t *testing.T) {
	t.Parallel()
	b := dispatch.NewBoard(dispatch.BoardConfig{})
	b.Act(true)
	now := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	soon, later := now.Add(time.Minute), now.Add(time.Hour)
	b.SetPolicy(policy.Policy{Paused: map[string]policy.Pause{"quiz": {}}}, now)
	seq := uint64(0)
	put := func(id string, q events.Queued) {
		seq++
		q.Kind, q.Priority, q.Dispatch = "quiz", events.Normal, 1
		b.Apply(event(t, id, seq, now, q), now)
	}
	put("expires", events.Queued{ExpiresAt: &soon})
	put("deadline", events.Queued{Deadline: &soon})
	put("runs", events.Queued{Deadline: &soon, ExpiresAt: &soon})
	put("lasts", events.Queued{ExpiresAt: &later})
	seq++
	b.Apply(event(t, "runs", seq, now, events.Started{Attempt: 1, Dispatch: 1, Worker: "w"}), now)
	if w := b.Work(now, 10); len(w) > 0 {
		t.Fatalf("too early: %+v", w)
	}
	if wake := b.Wake(); !wake.Equal(soon) {
		t.Errorf("wakes at %s, want %s", wake, soon)
	}
	var got []string
	for _, w := range b.Work(soon, 10) {
		if w.Do != dispatch.Expire {
			t.Errorf("got %+v", w)
		}
		got = append(got, w.Task)
		b.Done(w, nil, soon)
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"deadline", "expires"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if w := b.Work(soon.Add(time.Second), 10); len(w) > 0 {
		t.Errorf("asked again at once: %+v", w)
	}
	if w := b.Work(soon.Add(time.Minute), 10); len(w) != 2 {
		t.Errorf("asked again for %d tasks that have not changed, want 2", len(w))
	}
}

func event(t *testing.T, id string, seq uint64, now time.Time, p events.Payload) events.Event {
	t.Helper()
	e, err := events.New("school", id, "/test", p)
	if err != nil {
		t.Fatal(err)
	}
	e.Seq, e.Time = seq, now
	return e
}
