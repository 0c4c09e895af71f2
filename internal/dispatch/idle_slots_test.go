package dispatch_test

import (
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/policy"
	"github.com/toolboxai/orchestrator/internal/task"
)

// retry ends a job's attempt: the next one is due at a moment, and whoever holds the message for it takes it then.
func (w *world) retry(j *job, at time.Time) {
	j.leave()
	j.state = task.Retrying
	w.append(j, events.Retrying{Attempt: j.attempt, Cause: events.CauseProvider, Error: "busy", NextAt: at})
}

// A kind is paused because it fails: its tasks that wait to be tried again come due meanwhile, and nobody may take them. The slots
// that they would use are the other kinds'.
func TestBoard_KeepsNoSlotsForWhatIsPaused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, crewOf(2, "quiz", "script"))
	w.check = true
	for range 2 {
		j := w.submit(job{tenant: "a", length: time.Hour})
		w.pump()
		w.retry(j, w.now.Add(time.Second))
	}
	w.setPolicy(policy.Policy{Paused: map[string]policy.Pause{"quiz": {}}})
	w.runFor(2 * time.Second)
	other := w.submit(job{tenant: "b", kind: "script", length: time.Minute})
	w.runFor(time.Second)
	if other.state != task.Running {
		t.Errorf("with two free slots and only a paused kind's retries due, the other kind's task is %s", other.state)
	}
	if g := w.b.Gate(w.now); len(g.Kinds) > 0 {
		t.Errorf("the gate closes %v although a slot is free", g.Kinds)
	}
}

// A deployment took away the version that tasks began with: their messages go from hand to hand until a worker has it. The slots
// that they would use are everybody else's, and who asks is told.
func TestBoard_KeepsNoSlotsForAVersionThatNobodyRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, crewOf(2))
	w.check = true
	var pinned []*job
	for range 2 {
		j := w.submit(job{tenant: "a", length: time.Hour})
		w.pump()
		w.retry(j, w.now.Add(time.Second))
		pinned = append(pinned, j)
	}
	w.b.SetWorkers([]task.Worker{{Name: w.workers[0].name, Slots: 2, Kinds: []task.WorkerKind{{Kind: "quiz", Versions: []string{"2"}}}}}, w.now)
	w.runFor(2 * time.Second)
	fresh := w.submit(job{tenant: "b", length: time.Minute})
	w.runFor(time.Second)
	if fresh.state != task.Running {
		t.Errorf("with two free slots and only retries due that need another version, a new task is %s", fresh.state)
	}
	if x, ok := w.b.Explain("a", pinned[0].id, w.now); !ok || x.Code != task.ReasonNoWorker {
		t.Errorf("why a task does not begin whose version nobody runs: %+v", x)
	}
	w.hire()
	if x, ok := w.b.Explain("a", pinned[0].id, w.now); !ok || x.Code != task.ReasonRetry {
		t.Errorf("once somebody runs the version: %+v", x)
	}
}
