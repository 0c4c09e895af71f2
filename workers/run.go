package workers

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task"
)

// Run is one attempt at a task as its agent sees it. Steps, sleeps and waits come one after another, in an order that depends on
// nothing but the task's input and what they return; Progress and Record may be called from any goroutine.
//
// An agent that runs again, after a crash, a retry or a wait, walks through its journal: each Step, Sleep and WaitFor that is
// on record returns what it returned before, and so do Now and Rand in between. The first one that is not on record is done,
// and from there on everything is new. An entry is on record for the place where it stands: for its name, its input, and all entries
// before it with what they returned. So where a replay comes with an edited input, the first step that this touches is done
// anew, and everything behind it too, signals included, whether or not it looks at what changed.
//
// A life is what Now, Rand and the bounds of the journal are counted in: it begins with the submission or with a replay, and
// goes on over attempts and waits.
type Run struct {
	log      task.Log
	board    task.ProgressBoard
	blobs    task.Blobs // nil: there are none
	source   string
	patience time.Duration
	logger   *slog.Logger
	started  uint64 // sequence of the attempt's task.started event

	mu         sync.Mutex
	task       task.Task
	journal    journal
	stopped    error        // why the journal takes nothing more in this attempt
	waiting    *WaitError   // what the agent was told to return
	ignored    string       // what the agent did instead
	open       events.Usage // recorded since the last step ended
	refused    []events.Refusal
	called     []events.ToolCall // since the last step ended
	provenance events.Provenance
	pen        *pen     // nil until something is written
	unsure     *written // the last write, when its answer was lost: it may be on the log
}

// Task returns the task as it stood when the attempt began or, after a step, when that ended.
func (r *Run) Task() task.Task {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.task
}

// Version returns the version of the agent that the task is to be worked on with: one of the agent's Versions, the current one
// when the task's life began; empty for an agent without versions.
func (r *Run) Version() string { return r.Task().Version }

// Now returns the task's time, which is the same in every attempt of a life at the same place in the agent: the latest of the
// times at which the life began and at which each step, sleep and signal that the agent has passed went on record. It stands
// still in between and never goes back.
func (r *Run) Now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.journal.clock
}

// Rand returns a source of random numbers that gives the same ones in every attempt of a life at the same place in the agent:
// it is seeded by the task's id, its life, and the number of entries that the agent has passed. It is for the goroutine of the agent, and to
// be asked for anew behind each step.
func (r *Run) Rand() *rand.Rand {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.journal.random(r.task.ID)
}

// Progress tells readers how far the attempt has come: percent from 0 to 100 and a few words. It never fails and never
// waits: a report may be lost.
func (r *Run) Progress(ctx context.Context, percent float64, message string) {
	r.report(ctx, events.Progress{Percent: min(max(percent, 0), 100), Message: message})
}

func (r *Run) report(ctx context.Context, p events.Progress) {
	p.Attempt = r.Task().Attempt
	r.tell(ctx, p)
}

// tell passes a volatile event to the board and reports whether that took it.
func (r *Run) tell(ctx context.Context, p events.Payload) bool {
	t := r.Task()
	e, err := events.New(t.Tenant, t.ID, r.source, p)
	if err == nil {
		err = r.board.Report(ctx, e)
	}
	if err != nil {
		r.logger.DebugContext(ctx, "volatile event not taken", "task_id", t.ID, "event", p.EventType(), "error", err)
	}
	return err == nil
}

// Record adds what a model call cost to the task, and says who answered. Inside a step it goes on record with the step.
func (r *Run) Record(u events.Usage, p events.Provenance) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open = r.open.Add(u)
	r.provenance = p
}

// Refuse keeps an answer of a model that was of no use. It goes on record with the attempt's end, unless that is the task's
// completion; of many, the newest.
func (r *Run) Refuse(answer events.Refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	answer.Attempt = r.task.Attempt
	r.refused = events.KeepRefusals(append(r.refused, answer))
}

// Called puts on record which tools of MCP servers a model had called: with the step in which that was, or else with the attempt's end.
func (r *Run) Called(calls ...events.ToolCall) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.called = events.KeepToolCalls(append(r.called, calls...))
}

// calls returns what Called kept and no step has on record.
func (r *Run) calls() []events.ToolCall {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.called
}

// refusals returns what Refuse kept.
func (r *Run) refusals() []events.Refusal {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refused
}

// restore makes the run continue from a history: t is its fold.
func (r *Run) restore(t task.Task, history []events.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.task, r.unsure = t, nil
	return r.journal.restore(history)
}

// rewind lets the agent begin again, in the same attempt.
func (r *Run) rewind() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting, r.ignored, r.stopped = nil, "", nil
	r.journal.rewind()
}

// spent returns what the task has cost in all its attempts, this one included, who answered last, and which part of the cost is
// not on record yet, nil when none is. A task that asked a model at all did not come from a cache.
func (r *Run) spent() (sum events.Usage, by events.Provenance, open *events.Usage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sum = r.open
	if r.task.Usage != nil {
		sum = sum.Add(*r.task.Usage)
	}
	if r.open.Calls > 0 {
		own := r.open
		open = &own
	}
	if by = r.provenance; sum.Calls > 0 {
		by.CacheHit, by.Cache = false, ""
	}
	return sum, by, open
}

// waits returns how often the task waited in this life: each wait ended a dispatch.
func (r *Run) waits() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.task.Dispatch - r.journal.life
}
