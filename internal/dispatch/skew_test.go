package dispatch_test

import (
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task"
)

// A worker whose clock is behind does not take a sleep for over when the board does, and gives the slot back again. A task may do so
// only so often (workers.MaxWaits): each wait lasts a while also by the board's clock.
func TestBoard_DoesNotSpinWhereAWorkersClockIsBehind(t *testing.T) {
	t.Parallel()
	const behind = 10 * time.Second
	for _, wait := range []events.Wait{events.WaitTime, events.WaitSignal, events.WaitBudget, events.WaitProvider} {
		w := newWorld(t, crewOf(1))
		until := w.now.Add(time.Second)
		w.onStart = func(j *job) {
			w.after(time.Millisecond, func() {
				if clock := w.now.Add(-behind); clock.Before(until) && j.state == task.Running {
					w.suspend(j, events.Waiting{Wait: wait, Name: "x", Until: &until})
				}
			})
		}
		j := w.submit(job{tenant: "a", length: time.Hour})
		w.runFor(20 * time.Second)
		if j.state != task.Running || j.dispatch > 15 {
			t.Errorf("%s: after a sleep of a second the task is %s, dispatch %d", wait, j.state, j.dispatch)
		}
	}
}
