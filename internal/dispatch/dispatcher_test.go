package dispatch_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/dispatch"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/policy"
	"github.com/toolboxai/orchestrator/internal/task"
)

// inHouse runs a test in a bubble with a house of its own.
func inHouse(t *testing.T, test func(t *testing.T, h *house)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.close()
		test(t, h)
	})
}

func TestDispatcher_KeepsABurstFromHoldingOthersUp(t *testing.T) {
	for _, slots := range []int{1, 4, 16} {
		t.Run("", func(t *testing.T) {
			inHouse(t, func(t *testing.T, h *house) {
				h.work("w1", slots, 10*time.Second)
				h.run("d1")
				pass(time.Second)
				for range 1000 {
					h.submit("burst")
				}
				pass(33 * time.Second)
				single := h.submit("single")
				pass(15 * time.Second)
				if s := h.read(single).State; s != task.Running {
					t.Errorf("%d slots: a single task is %s one and a half lengths after it was submitted", slots, s)
				}
			})
		})
	}
}

// The leader goes away in the middle of a burst, and comes back: every task runs once.
func TestDispatcher_ChangesLeadersInMidBurst(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.policy.set(policy.Policy{Limits: []policy.Limit{{Name: "six", Max: 6}}})
		h.work("w1", 8, time.Second)
		first, _ := h.run("d1")
		second, stopSecond := h.run("d2")
		pass(time.Second)
		var made []task.Task
		for i := range 300 {
			made = append(made, h.submit(tenantName(i%7)))
		}
		pass(10 * time.Second)
		holder, other, barred := first, second, "d1"
		if second.Leading() {
			holder, other, barred = second, first, "d2"
		}
		h.throne.set("", barred) // as if it had been cut off
		pass(2 * time.Second)
		if holder.Leading() || !other.Leading() {
			t.Errorf("the one that lost the lease leads: %v, the other: %v", holder.Leading(), other.Leading())
		}
		pass(8 * time.Second)
		h.throne.set("", "")
		pass(5 * time.Second)
		if err := stopSecond(); err != nil {
			t.Error(err)
		}
		pass(80 * time.Second)
		for _, m := range made {
			if got := h.read(m); got.State != task.Completed || got.Attempt != 1 || got.Dispatch != 1 {
				t.Fatalf("task %s is %s, attempt %d, dispatch %d", m.ID, got.State, got.Attempt, got.Dispatch)
			}
		}
		if s := first.Stats(); s.Open != 0 {
			t.Errorf("%d tasks are left: %+v", s.Open, s)
		}
	})
}

// A leader that takes over knows what its predecessor put into the queue, and keeps to the limits that count it.
func TestDispatcher_LearnsWhatIsInTheQueue(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.policy.set(policy.Policy{Limits: []policy.Limit{{Name: "three", Max: 3}}})
		_, stop := h.run("d1")
		pass(time.Second)
		for range 10 {
			h.submit("school")
		}
		pass(time.Second)
		if n := len(h.queue.waiting()); n != 3 {
			t.Fatalf("%d tasks are in the queue, want 3", n)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		h.run("d2")
		pass(5 * time.Second)
		if n := len(h.queue.waiting()); n != 3 {
			t.Errorf("%d tasks are in the queue of the next leader, want 3", n)
		}
	})
}

// What there is on the log when a dispatcher starts is all that it needs.
func TestDispatcher_GoesOnFromTheLogAlone(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.gates.strict = true
		soon := time.Now().Add(time.Minute)
		pending, running, retrying, waiting, ended := h.submit("a"), h.submit("a"), h.submit("a"), h.submit("a"), h.submit("a")
		for _, m := range []task.Task{running, retrying, waiting, ended} {
			seq := h.append(m, m.Seq, events.Started{Attempt: 1, Dispatch: 1, Worker: "w1", Version: "1"})
			switch m.ID {
			case retrying.ID:
				h.append(m, seq, events.Retrying{Attempt: 1, Cause: events.CauseBug, NextAt: soon})
			case waiting.ID:
				h.append(m, seq, events.Waiting{Attempt: 1, Wait: events.WaitTime, Until: &soon})
			case ended.ID:
				h.append(m, seq, events.Completed{Attempt: 1, Result: json.RawMessage(`{}`)})
			}
		}
		d, _ := h.run("d1")
		if _, err := d.Explain(h.ctx, "a", pending.ID); !fault.Is(err, fault.Unavailable) {
			t.Errorf("before the log is read: %v", err)
		}
		if _, err := d.Backlog(h.ctx); !fault.Is(err, fault.Unavailable) {
			t.Errorf("before the log is read: %v", err)
		}
		pass(2 * time.Second)
		for m, want := range map[string]task.Reason{
			pending.ID: task.ReasonNoWorker, running.ID: task.ReasonRunning, retrying.ID: task.ReasonRetry, waiting.ID: task.ReasonSleep,
		} {
			if x, err := d.Explain(h.ctx, "a", m); err != nil || x.Code != want {
				t.Errorf("got %+v, %v, want %s", x, err, want)
			}
		}
		if _, err := d.Explain(h.ctx, "a", ended.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("a task that ended: %v", err)
		}
		b, err := d.Backlog(h.ctx)
		want := []task.Backlog{{Kind: "quiz", Pending: 1, Later: 2, Running: 1, OldestAge: 2, Load: 2 + 2.0/60}}
		if diff := cmp.Diff(want, b); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		if _, waits := h.m.Queued(pending.DispatchEntry()); !waits {
			t.Error("the pending task was not dispatched")
		}
	})
}

func TestDispatcher_TellsWhatItHolds(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.work("w1", 2, 10*time.Second)
		h.run("d1")
		pass(time.Second)
		if g := h.gates.last(); h.gates.count() == 0 || !g.Direct("school", "quiz", nil) || g.At.IsZero() {
			t.Errorf("the gate of an idle house is %+v", g)
		}
		for range 100 {
			h.submit("school")
		}
		pass(100 * time.Millisecond)
		g := h.gates.last()
		if g.Direct("school", "quiz", nil) || g.Direct("other", "quiz", nil) || g.Direct("school", "content", nil) || !g.Direct("other", "content", nil) {
			t.Errorf("the gate during a burst is %+v", g)
		}
		before := h.gates.count()
		for i := range 1000 {
			h.submit(tenantName(i))
			<-time.After(time.Millisecond)
		}
		pass(0)
		if n := h.gates.count() - before; n > 22 {
			t.Errorf("%d gates in a second, want at most 20", n)
		}
		h.policy.set(policy.Policy{Limits: []policy.Limit{{Name: "l", Kind: "content", Labels: map[string]string{"gpu": "yes"}, Max: 1}}})
		pass(200 * time.Millisecond)
		if g := h.gates.last(); g.Direct("other", "content", map[string]string{"gpu": "yes"}) || !g.Direct("other", "content", nil) {
			t.Errorf("the gate with a limit is %+v", g)
		}
		before = h.gates.count()
		pass(11 * time.Second)
		if h.gates.count() == before {
			t.Error("the gate is not repeated")
		}
	})
}

func TestDispatcher_KnowsTheTasksOfASchedule(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		d, _ := h.run("d1")
		made := h.submit("school", func(s *task.Submission) { s.Origin = &events.Origin{Schedule: "daily"} })
		if _, err := d.Open(h.ctx, "daily"); !fault.Is(err, fault.Unavailable) {
			t.Errorf("before the log is read: %v", err)
		}
		pass(time.Second)
		if got, err := d.Open(h.ctx, "daily"); err != nil || !cmp.Equal(got, []string{made.ID}) {
			t.Errorf("got %v, %v", got, err)
		}
		if has, err := d.Has(h.ctx, "school", made.ID); !has || err != nil {
			t.Errorf("got %v, %v", has, err)
		}
		if _, err := h.tasks.Cancel(h.ctx, "school", made.ID, "u", ""); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if got, err := d.Open(h.ctx, "daily"); err != nil || len(got) > 0 {
			t.Errorf("once it is cancelled: %v, %v", got, err)
		}
		if has, _ := d.Has(h.ctx, "school", made.ID); has {
			t.Error("once it is cancelled it is still there")
		}
	})
}

// brokenWatcher loses the log.
type brokenWatcher struct{ err error }

func (w brokenWatcher) Watch(context.Context, func(events.Event)) error { return w.err }

func TestDispatcher_EndsWhenTheLogIsLost(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		lost := errors.New("the stream was replaced")
		d, err := dispatch.New(dispatch.Config{
			Log: h.m, Queue: h.queue, Tasks: h.tasks, Watcher: brokenWatcher{lost}, Fleet: h.fleet, Lease: &seat{h.throne, "d"}, Policies: h.policy,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Run(h.ctx); !errors.Is(err, lost) {
			t.Errorf("got %v", err)
		}
		if who := h.throne.who(); who != "" {
			t.Errorf("%s keeps the lease", who)
		}
	})
}

func TestNew_NamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	if _, err := dispatch.New(dispatch.Config{}); err == nil || err.Error() != "dispatcher: Config.Log is missing" {
		t.Errorf("got %v", err)
	}
}
