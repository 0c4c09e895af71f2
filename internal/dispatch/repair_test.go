package dispatch_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
)

func TestDispatcher_DispatchesWhatIsOnRecordAndNotInTheQueue(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		direct := func() events.Event {
			e := tasktest.QueuedEvent(t, "school")
			q, err := events.DataAs[events.Queued](e)
			if err != nil {
				t.Fatal(err)
			}
			q.Direct = true
			return tasktest.MustAppend(t, h.m, tasktest.Event(t, "school", e.Task, q), 0)
		}
		d, _ := h.run("d1")
		pass(time.Second)
		lost, waits, done, gone := direct(), direct(), direct(), direct()
		if err := h.queue.Dispatch(h.ctx, tasktest.EntryOf(t, waits), waits); err != nil {
			t.Fatal(err)
		}
		tasktest.MustAppend(t, h.m, tasktest.Event(t, "school", done.Task, events.Cancelled{By: "u"}), done.Seq)
		pass(time.Second)
		h.m.Forget("school", gone.Task, 1) // aged out of the log
		pass(7 * time.Second)
		if n := len(h.queue.waiting()); n != 1 {
			t.Errorf("%d dispatches wait within the grace, want 1", n)
		}
		pass(20 * time.Second)
		got := map[string]bool{}
		for _, d := range h.queue.waiting() {
			got[d.Task] = true
		}
		if diff := cmp.Diff(map[string]bool{lost.Task: true, waits.Task: true}, got); diff != "" {
			t.Errorf("in the queue (-want +got):\n%s", diff)
		}
		if s := d.Stats(); s.Again != 1 {
			t.Errorf("%d dispatches were repeated, want 1", s.Again)
		}
		if _, err := d.Explain(t.Context(), "school", gone.Task); !fault.Is(err, fault.NotFound) {
			t.Errorf("a task that the log has lost is still waited for: %v", err)
		}
	})
}

func TestDispatcher_RebuildsAQueueThatWasLost(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.run("d1")
		pass(time.Second)
		for i := range 500 { // as they come while no gate holds them
			e := tasktest.QueuedEvent(t, tenantName(i))
			q, err := events.DataAs[events.Queued](e)
			if err != nil {
				t.Fatal(err)
			}
			q.Direct = true
			e = tasktest.MustAppend(t, h.m, tasktest.Event(t, e.Tenant, e.Task, q), 0)
			if err := h.queue.Dispatch(h.ctx, tasktest.EntryOf(t, e), e); err != nil {
				t.Fatal(err)
			}
		}
		pass(time.Second)
		h.queue.lose()
		pass(45 * time.Second)
		if n := len(h.queue.waiting()); n != 500 {
			t.Errorf("%d of 500 dispatches are in the queue again", n)
		}
	})
}

func TestDispatcher_DispatchesAgainWhatRunsNowhere(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		leave := h.work("w1", 1, time.Hour)
		h.run("d1")
		pass(time.Second)
		made := h.submit("school", func(s *task.Submission) { s.Timeout = 30 * time.Second })
		pass(time.Second)
		if s := h.read(made).State; s != task.Running {
			t.Fatalf("the task is %s", s)
		}
		leave()
		h.m.Ack(made.DispatchEntry()) // the queue lost it
		pass(80 * time.Second)
		if n := len(h.queue.waiting()); n != 0 {
			t.Errorf("dispatched again within the time of its attempt")
		}
		pass(15 * time.Second)
		if n := len(h.queue.waiting()); n != 1 {
			t.Errorf("%d dispatches wait, want 1", n)
		}
	})
}

func TestDispatcher_LosesNothingWhileTheQueueIsAway(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.gates.strict = true
		h.work("w1", 4, time.Second)
		d, _ := h.run("d1")
		pass(time.Second)
		var made []task.Task
		for i := range 40 {
			made = append(made, h.submit(tenantName(i%3)))
		}
		pass(2 * time.Second)
		h.m.SetFull(true)
		pass(20 * time.Second)
		h.m.SetFull(false)
		pass(6 * time.Second)
		h.m.SetDown(true)
		pass(2 * time.Second) // within what workers wait, were they real
		h.m.SetDown(false)
		pass(30 * time.Second)
		h.work("w2", 4, time.Second) // for the slots of those that died of it
		pass(30 * time.Second)
		if s := d.Stats(); s.Refused == 0 {
			t.Error("nothing was refused: the test shows nothing")
		}
		for _, m := range made {
			if n := h.queue.sends[m.DispatchEntry()]; n == 0 {
				t.Fatalf("task %s was never dispatched: %s", m.ID, h.read(m).State)
			}
		}
	})
}

func TestDispatcher_ResumesAndExpires(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		d, _ := h.run("d1")
		pass(time.Second)
		soon := time.Now().Add(time.Minute)
		expires := h.submit("school", func(s *task.Submission) { s.ExpiresAt = &soon })
		later := h.submit("school", func(s *task.Submission) { s.RunAt = &soon })
		sleeps, signalled := h.submit("school"), h.submit("school")
		for _, m := range []task.Task{sleeps, signalled} {
			seq := h.append(m, m.Seq, events.Started{Attempt: 1, Dispatch: 1, Worker: "w"})
			wait := events.Waiting{Attempt: 1, Wait: events.WaitTime, Until: &soon}
			if m.ID == signalled.ID {
				wait = events.Waiting{Attempt: 1, Wait: events.WaitSignal, Name: "go"}
			}
			h.append(m, seq, wait)
			h.m.Ack(m.DispatchEntry())
		}
		pass(59 * time.Second)
		if s := h.read(sleeps); s.State != task.Waiting {
			t.Errorf("the sleeping task is %s", s.State)
		}
		if _, waits := h.m.Queued(later.DispatchEntry()); waits {
			t.Error("a task was queued before its time")
		}
		if _, err := h.tasks.Signal(h.ctx, "school", signalled.ID, "go", nil, "u"); err != nil {
			t.Fatal(err)
		}
		pass(10 * time.Second)
		if s := h.read(expires); s.State != task.Failed || s.Failure.Cause != events.CauseExpired {
			t.Errorf("the expired task is %s", s.State)
		}
		for name, m := range map[string]task.Task{"sleeping": sleeps, "signalled": signalled} {
			now := h.read(m)
			if _, waits := h.m.Queued(now.DispatchEntry()); !waits || now.Dispatch != 2 {
				t.Errorf("the %s task is %s, dispatch %d, in the queue: %v", name, now.State, now.Dispatch, waits)
			}
		}
		if _, waits := h.m.Queued(later.DispatchEntry()); !waits {
			t.Error("a task was not queued when its time came")
		}
		if s := d.Stats(); s.Resumed != 2 || s.Expired != 1 || s.Again != 0 {
			t.Errorf("got %+v", s)
		}
	})
}

// append puts an event behind one of a task.
func (h *house) append(m task.Task, after uint64, p events.Payload) uint64 {
	h.t.Helper()
	return tasktest.MustAppend(h.t, h.m, tasktest.Event(h.t, m.Tenant, m.ID, p), after).Seq
}

// However long the broker was away, what was lost meanwhile is dispatched within seconds of its return.
func TestDispatcher_DoesNotLagBehindABrokerThatIsBack(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.run("d1")
		pass(time.Second)
		e := tasktest.QueuedEvent(t, "school")
		q, err := events.DataAs[events.Queued](e)
		if err != nil {
			t.Fatal(err)
		}
		q.Direct = true // and its submitter died before it queued it
		lost := tasktest.MustAppend(t, h.m, tasktest.Event(t, "school", e.Task, q), 0)
		h.m.SetDown(true)
		pass(5 * time.Minute)
		h.m.SetDown(false)
		pass(12 * time.Second)
		if waiting := h.queue.waiting(); len(waiting) != 1 || waiting[0].Task != lost.Task {
			t.Errorf("12 s after the broker came back the queue holds %v", waiting)
		}
	})
}
