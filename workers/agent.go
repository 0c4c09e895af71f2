// Package workers runs tasks: it claims them from the queue, lets an agent work on them, and settles what came of it.
//
//   - Agent is what serves one kind. New makes one from a function; workers/agents holds ours.
//   - Runner handles one dispatch: claim, run, settle. Each of its writes is fenced by the log, so a worker that stalled and
//     came back cannot touch a task that another one holds by now.
//   - Run is an attempt as its agent sees it. Work done inside Step is on record once the step ends, and is not done, nor
//     paid for, a second time. Sleep, WaitFor and Wait give the slot back until a time, a signal or money comes; the agent then
//     begins again, in a later attempt, and walks through what is on record to where it was. See Run for what that asks of it.
//     Run.Text shows readers what a model writes, as it writes it.
//   - Versioned is an Agent that can still work as its earlier versions did: a task keeps to the one that it began with.
//   - Recorder copies the log into the archive.
//   - Solo runs one task in this process, without a platform.
package workers

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// Agent serves one kind of task. It is safe for concurrent use.
type Agent interface {
	// Kind describes what the agent takes and gives.
	Kind() task.Kind
	// Work does the task of run and returns its result as JSON. It ends with ctx. Its error decides what follows: see
	// Terminal, InvalidOutput and Wait; a fault of kind RateLimited, Unavailable or Timeout is tried again, one of kind Invalid
	// fails the task at once, and everything else counts as a bug of the agent.
	Work(ctx context.Context, run *Run) (json.RawMessage, error)
}

// New returns an agent that decodes its input as In, calls work, and encodes what it returns.
func New[In, Out any](kind task.Kind, work func(ctx context.Context, run *Run, in In) (Out, error)) Agent {
	return agent[In, Out]{kind, work}
}

type agent[In, Out any] struct {
	kind task.Kind
	work func(context.Context, *Run, In) (Out, error)
}

func (a agent[In, Out]) Kind() task.Kind { return a.kind }

func (a agent[In, Out]) Work(ctx context.Context, run *Run) (json.RawMessage, error) {
	var in In
	if err := json.Unmarshal(run.Task().Input, &in); err != nil {
		return nil, fault.InvalidField("input", "does not fit kind %s: %v", a.kind.Name, err)
	}
	out, err := a.work(ctx, run, in)
	if err != nil {
		return nil, err
	}
	data, err := events.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encode the result: %w", err)
	}
	return data, nil
}

// OutcomeError says what is to follow an attempt that failed.
type OutcomeError struct {
	Cause    events.Cause
	Terminal bool // no retry helps
	Err      error
}

func (e *OutcomeError) Error() string { return string(e.Cause) + ": " + e.Err.Error() }
func (e *OutcomeError) Unwrap() error { return e.Err }

// Terminal fails the task at once, for a cause that no retry can mend: CauseInput or CausePolicy.
func Terminal(cause events.Cause, err error) error {
	return &OutcomeError{Cause: cause, Terminal: true, Err: err}
}

// InvalidOutput says that the model's answer broke the rules even after repair. The attempt is repeated within the budget
// of CauseInvalidOutput, which by default allows no repetition: the task fails at once, with what was refused, see Run.Refuse.
func InvalidOutput(err error) error {
	return &OutcomeError{Cause: events.CauseInvalidOutput, Err: err}
}
