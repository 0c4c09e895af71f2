package workers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/workerstest"
)

// hooked is a log that calls before and after around each append. What after returns, when it is an error, is the answer.
type hooked struct {
	*tasktest.Memory
	before func(e events.Event)
	after  func(e events.Event) error
}

func (h hooked) Append(ctx context.Context, e events.Event, after uint64) (uint64, error) {
	if h.before != nil {
		h.before(e)
	}
	seq, err := h.Memory.Append(ctx, e, after)
	if err == nil && h.after != nil {
		if err := h.after(e); err != nil {
			return 0, err
		}
	}
	if err == nil && ctx.Err() != nil { // stored, and nobody waited for the answer
		return 0, context.Cause(ctx)
	}
	return seq, err
}

func hookedRunner(t *testing.T, log hooked, a workers.Agent) *workers.Runner {
	t.Helper()
	r, err := workers.NewRunner(workers.RunnerConfig{Worker: "w1", Agents: []workers.Agent{a}, Log: log, Board: log, CancelCheck: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A signal moves the history behind the worker's back, and decides nothing: whatever the worker was about to write, it writes.
func TestRunner_SignalsDoNotTakeATaskFromItsWorker(t *testing.T) {
	t.Parallel()
	for _, signals := range []int{1, 3, task.MaxSignals} {
		for _, front := range []events.Type{events.TypeStarted, events.TypeStep, events.TypeCompleted, events.TypeWaiting, events.TypeRetrying} {
			t.Run(fmt.Sprintf("%d in front of %s", signals, front), func(t *testing.T) {
				t.Parallel()
				m := tasktest.NewMemory()
				sent := 0
				log := hooked{Memory: m, before: func(e events.Event) {
					if e.Type == front && sent < signals {
						sent++ // one in front of each try
						workerstest.Signal(t, m, e.Task, "other", nil)
					}
				}}
				r := hookedRunner(t, log, agentOf(func(ctx context.Context, run *workers.Run, in input) (output, error) {
					out, err := workers.Step(ctx, run, "one", in, func(context.Context) (output, error) { return output{Text: "x"}, nil })
					switch front {
					case events.TypeWaiting:
						err = run.Sleep(ctx, "nap", time.Hour)
					case events.TypeRetrying:
						err = fault.New(fault.Unavailable, "503")
					}
					return out, err
				}))
				e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
				msg := workerstest.Message(e)
				handle(t, r, msg)
				got, history := workerstest.Read(t, m, e.Task)
				want := map[events.Type]task.State{events.TypeWaiting: task.Waiting, events.TypeRetrying: task.Retrying}[front]
				if want == "" {
					want = task.Completed
				}
				if got.State != want || got.Signals != signals || got.Attempt != 1 || len(history) != 4+signals {
					t.Errorf("got %s with %d signals in attempt %d: %v", got.State, got.Signals, got.Attempt, types(history))
				}
				if acked, _ := workerstest.Settled(t, msg); acked != (want != task.Retrying) {
					t.Errorf("acked: %v", acked)
				}
			})
		}
	}
}

// The answer to a write is lost, and signals come behind it: the worker must find its own event under them.
func TestRunner_FindsItsUnansweredWriteUnderSignals(t *testing.T) {
	t.Parallel()
	for _, lost := range []events.Type{events.TypeStarted, events.TypeStep, events.TypeCompleted, events.TypeWaiting} {
		t.Run(string(lost), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := tasktest.NewMemory()
				once := true
				log := hooked{Memory: m, after: func(e events.Event) error {
					if e.Type != lost || !once {
						return nil
					}
					once = false
					if !lost.Terminal() {
						workerstest.Signal(t, m, e.Task, "approve", json.RawMessage(`"yes"`))
						workerstest.Signal(t, m, e.Task, "other", nil)
					}
					return fault.After(0, "no answer")
				}}
				var ran []string
				r := hookedRunner(t, log, approval(&ran, new(bool)))
				e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
				if lost == events.TypeCompleted {
					workerstest.Signal(t, m, e.Task, "approve", json.RawMessage(`"yes"`))
				}
				handle(t, r, workerstest.Message(e))
				if lost == events.TypeWaiting {
					handle(t, r, workerstest.Message(workerstest.Resume(t, m, e.Task)))
				}
				got, history := workerstest.Read(t, m, e.Task)
				if got.State != task.Completed || string(got.Result) != `{"text":"yes"}` || got.Attempt != 1 || len(ran) != 1 {
					t.Errorf("got %s %s in attempt %d, ran %v: %v", got.State, got.Result, got.Attempt, ran, types(history))
				}
			})
		})
	}
}

// The signal comes in between the agent's look at the log and the event that says that it waits. It would wait for ever: nobody
// wakes a task for a signal that came before.
func TestWaitFor_NeverWaitsBehindItsSignal(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	once := true
	log := hooked{Memory: m, before: func(e events.Event) {
		if e.Type == events.TypeWaiting && once {
			once = false
			workerstest.Signal(t, m, e.Task, "approve", json.RawMessage(`"yes"`))
		}
	}}
	var ran []string
	e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
	msg := workerstest.Message(e)
	handle(t, hookedRunner(t, log, approval(&ran, new(bool))), msg)
	got, history := workerstest.Read(t, m, e.Task)
	if diff := cmp.Diff([]string{"queued", "started", "step", "signalled", "step", "completed"}, types(history)); diff != "" || len(ran) != 1 {
		t.Errorf("got %s, ran %v, history (-want +got):\n%s", got.State, ran, diff)
	}
	if acked, _ := workerstest.Settled(t, msg); !acked {
		t.Error("not acked")
	}
}

func TestRunner_ASignalDoesNotEndAnAttemptThatIsWatched(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := tasktest.NewMemory()
		r := runnerOf(t, m, "w1", agentOf(func(ctx context.Context, run *workers.Run, _ input) (output, error) {
			<-time.After(time.Minute) // it is watched by now
			workerstest.Signal(t, m, run.Task().ID, "other", nil)
			select {
			case <-ctx.Done():
			case <-time.After(time.Minute):
			}
			return output{Text: "x"}, ctx.Err()
		}))
		e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
		handle(t, r, workerstest.Message(e))
		if got, history := workerstest.Read(t, m, e.Task); got.State != task.Completed {
			t.Errorf("got %s (%+v): %v", got.State, got.Failure, types(history))
		}
	})
}

// A cancel that hides behind a signal is a cancel.
func TestRunner_SeesADecisionUnderASignal(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	log := hooked{Memory: m, before: func(e events.Event) {
		if e.Type != events.TypeCompleted {
			return
		}
		last, err := m.Last(t.Context(), "school", e.Task)
		if err != nil {
			t.Fatal(err)
		}
		if last.Type == events.TypeStarted { // another worker's claim, and a signal on top
			tasktest.MustAppend(t, m, tasktest.Event(t, "school", e.Task, events.Started{Attempt: 2, Dispatch: 1, Worker: "w2"}), last.Seq)
			workerstest.Signal(t, m, e.Task, "other", nil)
		}
	}}
	e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
	msg := workerstest.Message(e)
	handle(t, hookedRunner(t, log, agentOf(func(context.Context, *workers.Run, input) (output, error) { return output{Text: "x"}, nil })), msg)
	got, history := workerstest.Read(t, m, e.Task)
	if got.State != task.Running || got.Worker != "w2" {
		t.Errorf("got %s by %s: %v", got.State, got.Worker, types(history))
	}
	if word := msg.Metadata.Get(events.HeaderRetryAfter); word != events.LetGo {
		t.Errorf("it said %q, want %q: the dispatch is the other worker's", word, events.LetGo)
	}
}

// A step's answer never comes, so that the attempt ends; what it writes then must follow the step, and the signals behind it.
func TestRunner_FindsTheWriteBeforeThisOneUnderSignals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := tasktest.NewMemory()
		sent := false
		log := hooked{Memory: m, before: func(e events.Event) {
			if e.Type == events.TypeRetrying && !sent {
				sent = true
				workerstest.Signal(t, m, e.Task, "other", nil)
			}
		}, after: func(e events.Event) error {
			if e.Type == events.TypeStep {
				return fault.After(0, "no answer")
			}
			return nil
		}}
		var ran []string
		e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
		handle(t, hookedRunner(t, log, approval(&ran, new(bool))), workerstest.Message(e))
		got, history := workerstest.Read(t, m, e.Task)
		if diff := cmp.Diff([]string{"queued", "started", "step", "signalled", "retrying"}, types(history)); diff != "" || got.Failures[events.CauseBroker] != 1 {
			t.Errorf("got %s, failures %v, history (-want +got):\n%s", got.State, got.Failures, diff)
		}
	})
}

// A worker that stalled comes back to a task that waits by now: its dispatch has nothing left to do.
func TestRunner_AStalledWorkerAcksTheDispatchOfATaskThatWaits(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	log := hooked{Memory: m, before: func(e events.Event) {
		if e.Type != events.TypeCompleted {
			return
		}
		last, err := m.Last(t.Context(), "school", e.Task)
		if err != nil {
			t.Fatal(err)
		}
		other := tasktest.MustAppend(t, m, tasktest.Event(t, "school", e.Task, events.Started{Attempt: 2, Dispatch: 1, Worker: "w2"}), last.Seq)
		tasktest.MustAppend(t, m, tasktest.Event(t, "school", e.Task, events.Waiting{Attempt: 2, Wait: events.WaitSignal, Name: "approve"}), other.Seq)
	}}
	e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
	msg := workerstest.Message(e)
	handle(t, hookedRunner(t, log, agentOf(func(context.Context, *workers.Run, input) (output, error) { return output{Text: "x"}, nil })), msg)
	if acked, _ := workerstest.Settled(t, msg); !acked {
		t.Error("not acked")
	}
}
