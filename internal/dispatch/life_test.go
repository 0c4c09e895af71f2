package dispatch_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/dispatch"
	"github.com/toolboxai/orchestrator/internal/policy"
	"github.com/toolboxai/orchestrator/internal/task"
)

// A retry keeps its place under a limit and takes no slot while it waits.
func TestBoard_ARetryKeepsItsPlaceAndNoSlot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, crewOf(2, "quiz", "terrain"))
	w.check = true
	w.setPolicy(policy.Policy{Limits: []policy.Limit{{Name: "one", Kind: "terrain", Max: 1}}})
	first := w.submit(job{tenant: "a", kind: "terrain", length: time.Minute})
	second := w.submit(job{tenant: "b", kind: "terrain", length: time.Minute})
	w.pump()
	first.state = task.Retrying
	first.leave()
	w.append(first, events.Retrying{Attempt: 1, Cause: events.CauseBug, NextAt: w.now.Add(time.Minute)})
	quizzes := []*job{w.submit(job{tenant: "c", length: time.Minute}), w.submit(job{tenant: "c", length: time.Minute})}
	w.pump()
	if second.state != task.Queued {
		t.Error("another task took the retry's place under the limit")
	}
	if quizzes[0].state != task.Running || quizzes[1].state != task.Running {
		t.Errorf("the retry's slot is idle: %s, %s", quizzes[0].state, quizzes[1].state)
	}
}

func TestBoard_PausesAndResumesKinds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, crewOf(1, "quiz", "content"))
	w.check = true
	running := w.submit(job{tenant: "a", length: time.Minute})
	w.pump()
	w.setPolicy(policy.Policy{Fairness: policy.Fairness{Outstanding: 2}, Paused: map[string]policy.Pause{"quiz": {}}})
	var paused []*job
	for range 10 {
		paused = append(paused, w.submit(job{tenant: "a", length: time.Minute}))
	}
	other := w.submit(job{tenant: "a", kind: "content", length: time.Minute})
	w.runFor(90 * time.Second)
	if running.state != task.Completed || other.state != task.Running {
		t.Errorf("what ran is %s, and what is not paused is %s", running.state, other.state)
	}
	if x, _ := w.b.Explain("a", other.id, w.now); x.Code != task.ReasonRunning {
		t.Errorf("got %+v", x)
	}
	for _, j := range paused {
		if j.state != task.Queued {
			t.Fatalf("a paused task is %s", j.state)
		}
	}
	w.setPolicy(policy.Policy{})
	w.runFor(time.Hour)
	for _, j := range paused {
		if j.state != task.Completed {
			t.Fatalf("a task is %s after the pause", j.state)
		}
	}
}

// What needs a version of its agent waits for a worker that runs it.
func TestBoard_HoldsWhatNoWorkerCanContinue(t *testing.T) {
	t.Parallel()
	w := newWorld(t, crewOf(2))
	j := w.submit(job{tenant: "a", length: time.Minute})
	w.pump()
	until := w.now.Add(time.Second)
	w.suspend(j, events.Waiting{Wait: events.WaitTime, Until: &until})
	upgraded := []task.Worker{{Name: "new", Slots: 2, Kinds: []task.WorkerKind{{Kind: "quiz", Versions: []string{"2"}}}}}
	w.b.SetWorkers(upgraded, w.now)
	w.runFor(10 * time.Second)
	if want := "no_worker: no live worker runs version 1 of kind quiz"; w.says(j) != want {
		t.Errorf("got %q, want %q", w.says(j), want)
	}
	upgraded[0].Kinds[0].Versions = []string{"2", "1"}
	w.b.SetWorkers(upgraded, w.now)
	w.pump()
	if j.sends[2] != 1 {
		t.Errorf("released %d times once a worker runs its version", j.sends[2])
	}
}

// Nobody is known to work: a little is put into the queue, so that a worker that comes begins at once, and the rest is kept in order.
func TestBoard_KeepsALittleAheadOfUnknownWorkers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 100 {
		w.submit(job{tenant: fmt.Sprintf("t%d", i), kind: allKinds[i%2], length: time.Minute})
	}
	w.pump()
	if n := len(w.queue); n != 2*16 {
		t.Errorf("%d tasks of two kinds are in the queue, want 32", n)
	}
	w.workers = []*crew{crewOf(1, "quiz")}
	w.hire()
	w.runFor(30 * time.Second)
	if n := len(w.queue); n != 2*16-1 {
		t.Errorf("%d tasks are in the queue, want 31", n)
	}
}

// A refused release takes its place again.
func TestBoard_PutsBackWhatTheQueueRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, crewOf(1))
	w.setPolicy(policy.Policy{Limits: []policy.Limit{{Name: "one", Max: 1}}})
	first, second := w.submit(job{tenant: "a"}), w.submit(job{tenant: "b"})
	again := w.now.Add(time.Second)
	r := w.b.Next(w.now, 10)
	if len(r) != 1 || r[0].Dispatch.Task != first.id || r[0].Event == nil || r[0].Event.Seq != r[0].QueuedSeq {
		t.Fatalf("released %+v, want the first task", r)
	}
	w.b.Refused(r[0], again, w.now)
	w.verify()
	r = w.b.Next(w.now, 10)
	if len(r) != 1 || r[0].Dispatch.Task != second.id {
		t.Fatalf("released %+v, want the second task while the first is put off", r)
	}
	w.b.Refused(r[0], again.Add(time.Hour), w.now)
	if wake := w.b.Wake(); !wake.Equal(again) {
		t.Errorf("wakes at %s, want %s", wake, again)
	}
	r = w.b.Next(again, 10)
	if len(r) != 1 || r[0].Dispatch.Task != first.id || r[0].Event == nil {
		t.Fatalf("released %+v, want the first task again", r)
	}
	w.b.Sent(r[0], again)
	w.verify()
}

func TestBoard_LeavesAloneWhatCannotBeTold(t *testing.T) {
	t.Parallel()
	b := dispatch.NewBoard(dispatch.BoardConfig{})
	now := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	step := event(t, "old", 7, now, events.Step{Attempt: 1, Name: "draft"})
	b.Apply(step, now)
	reads := b.Work(now, 10)
	if len(reads) != 1 || reads[0].Do != dispatch.Read || b.Unread() != 1 {
		t.Fatalf("got %+v, %d unread", reads, b.Unread())
	}
	b.Load("school", "old", []events.Event{step}, now)
	step.Seq = 8
	b.Apply(step, now)
	if b.Open() != 0 || len(b.Work(now, 10)) != 0 {
		t.Error("a task whose beginning has aged out is read again and again")
	}
	again := event(t, "old", 9, now, events.Queued{Kind: "quiz", Priority: events.Normal, Dispatch: 2})
	b.Apply(again, now)
	if n := len(b.Next(now, 10)); n != 1 {
		t.Errorf("its replay was released %d times, want once", n)
	}
	if err := b.Check(now); err != nil {
		t.Error(err)
	}
}
