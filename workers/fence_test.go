package workers_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
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

// The broker settles messages, not deliveries: an ack by a worker that stalled would take the dispatch from the one that
// holds the task now.
func TestRunner_AStalledWorkerLeavesTheDispatchToItsHolder(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	var visits atomic.Int32
	stalled, working := make(chan struct{}), make(chan struct{})
	release := []chan struct{}{make(chan struct{}), make(chan struct{})}
	a := agentOf(func(ctx context.Context, run *workers.Run, in input) (output, error) {
		n := visits.Add(1)
		close([]chan struct{}{stalled, working}[n-1])
		<-release[n-1]
		return workers.Step(ctx, run, "only", in, func(context.Context) (output, error) { return output{Text: "x"}, nil })
	})
	runner := func(name string) *workers.Runner {
		r, err := workers.NewRunner(workers.RunnerConfig{Worker: name, Agents: []workers.Agent{a}, Log: m, Board: m, CancelCheck: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
	first, second := workerstest.Message(e), workerstest.Message(e)
	ended := []chan struct{}{make(chan struct{}), make(chan struct{})}
	go func() { defer close(ended[0]); _ = runner("w1").Handle(first) }()
	<-stalled
	go func() { defer close(ended[1]); _ = runner("w2").Handle(second) }()
	<-working
	close(release[0])
	<-ended[0]
	select {
	case <-first.Nacked():
	default:
		t.Fatal("the stalled worker acked the dispatch that another one works on")
	}
	if word := first.Metadata.Get(events.HeaderRetryAfter); word != events.LetGo {
		t.Errorf("it said %q, want %q", word, events.LetGo)
	}
	close(release[1])
	<-ended[1]
	if acked, _ := workerstest.Settled(t, second); !acked {
		t.Error("the holder did not settle its dispatch")
	}
	if got, history := workerstest.Read(t, m, e.Task); got.State != task.Completed || got.Attempt != 2 {
		t.Errorf("got %s in attempt %d: %v", got.State, got.Attempt, types(history))
	}
}

// unanswered stores a step and never says so, as a broker does whose answer is lost.
type unanswered struct{ *tasktest.Memory }

func (u unanswered) Append(ctx context.Context, e events.Event, after uint64) (uint64, error) {
	seq, err := u.Memory.Append(ctx, e, after)
	if err == nil && e.Type == events.TypeStep {
		return 0, fault.After(0, "no answer")
	}
	return seq, err
}

func TestRunner_KnowsItsOwnUnansweredWriteAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := tasktest.NewMemory()
		a := agentOf(func(ctx context.Context, run *workers.Run, in input) (output, error) {
			return workers.Step(ctx, run, "only", in, func(context.Context) (output, error) {
				run.Record(events.Usage{Calls: 1, OutputTokens: 3, CostKnown: true}, events.Provenance{})
				return output{Text: "x"}, nil
			})
		})
		r, err := workers.NewRunner(workers.RunnerConfig{Worker: "w1", Agents: []workers.Agent{a}, Log: unanswered{m}, Board: m})
		if err != nil {
			t.Fatal(err)
		}
		e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
		msg := workerstest.Message(e)
		handle(t, r, msg)
		got, history := workerstest.Read(t, m, e.Task)
		if diff := cmp.Diff([]string{"queued", "started", "step", "retrying"}, types(history)); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
		if got.State != task.Retrying || got.Failure.Cause != events.CauseBroker || got.Usage.OutputTokens != 3 {
			t.Errorf("got %s: %+v, usage %+v", got.State, got.Failure, got.Usage)
		}
		if acked, _ := workerstest.Settled(t, msg); acked {
			t.Error("the dispatch is gone while its task waits for an attempt")
		}
	})
}

// refusing takes no step, as a broker does that is away for longer than anybody waits, and is back right after.
type refusing struct{ *tasktest.Memory }

func (r refusing) Append(ctx context.Context, e events.Event, after uint64) (uint64, error) {
	if e.Type == events.TypeStep {
		return 0, fault.After(0, "no broker")
	}
	return r.Memory.Append(ctx, e, after)
}

// A step that was paid for and could not be put on record is lost; what it cost is not.
func TestRunner_KeepsWhatALostStepCost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := tasktest.NewMemory()
		a := agentOf(func(ctx context.Context, run *workers.Run, in input) (output, error) {
			return workers.Step(ctx, run, "only", in, func(context.Context) (output, error) {
				run.Record(events.Usage{Calls: 1, OutputTokens: 3, CostUSD: 0.5, CostKnown: true}, events.Provenance{Provider: "openai", Model: "gpt"})
				run.Called(events.ToolCall{Server: "maps", Tool: "search", Outcome: events.ToolOK})
				return output{Text: "x"}, nil
			})
		})
		r, err := workers.NewRunner(workers.RunnerConfig{Worker: "w1", Agents: []workers.Agent{a}, Log: refusing{m}, Board: m})
		if err != nil {
			t.Fatal(err)
		}
		e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
		handle(t, r, workerstest.Message(e))
		got, history := workerstest.Read(t, m, e.Task)
		if diff := cmp.Diff([]string{"queued", "started", "retrying"}, types(history)); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
		if got.Failure == nil || got.Failure.Cause != events.CauseBroker || got.Usage == nil || got.Usage.CostUSD != 0.5 || got.Usage.Calls != 1 {
			t.Errorf("%+v, usage %+v", got.Failure, got.Usage)
		}
		if end, err := events.DataAs[events.Retrying](history[len(history)-1]); err != nil || len(end.Tools) != 1 || end.Tools[0].Server != "maps" {
			t.Errorf("the calls of tools on record are %+v, %v", end.Tools, err)
		}
	})
}

func TestRunner_KeepsWhatFailedAttemptsCost(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	fails := true
	a := agentOf(func(ctx context.Context, run *workers.Run, in input) (output, error) {
		return workers.Step(ctx, run, "only", in, func(context.Context) (output, error) {
			run.Record(events.Usage{Calls: 1, CostUSD: 0.5, CostKnown: true}, events.Provenance{})
			if fails {
				return output{}, workers.InvalidOutput(errors.New("nonsense"))
			}
			return output{Text: "x"}, nil
		})
	})
	r, err := workers.NewRunner(workers.RunnerConfig{Worker: "w1", Agents: []workers.Agent{a}, Log: m, Board: m,
		Budgets: workers.Budgets{events.CauseInvalidOutput: {Retries: 3}}})
	if err != nil {
		t.Fatal(err)
	}
	e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
	handle(t, r, workerstest.Message(e))
	handle(t, r, workerstest.Message(e))
	fails = false
	handle(t, r, workerstest.Message(e))
	if got, _ := workerstest.Read(t, m, e.Task); got.State != task.Completed || got.Usage.Calls != 3 || got.Usage.CostUSD != 1.5 {
		t.Errorf("got %s, usage %+v; want three calls at 0.5", got.State, got.Usage)
	}
}

func TestRunner_BuriesADispatchThatIsNotItsTasks(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	victim := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
	r := runnerOf(t, m, "w1", agentOf(nil))

	forged := workerstest.Message(victim)
	forged.Payload = []byte(`{}`)
	handle(t, r, forged)
	if got, history := workerstest.Read(t, m, victim.Task); got.State != task.Queued || len(history) != 1 {
		t.Errorf("a forged body wrote to the task: %s, %v", got.State, types(history))
	}

	unrecorded := tasktest.QueuedEvent(t, "school")
	unrecorded.Seq = 12345
	msg := workerstest.Message(unrecorded)
	handle(t, r, msg)
	if acked, _ := workerstest.Settled(t, msg); !acked {
		t.Error("not acked")
	}
	page, err := tasktest.Archive{Memory: m}.List(t.Context(), task.Filter{Tenant: "school", DeadLetters: true})
	if err != nil || len(page.Tasks) != 2 {
		t.Errorf("%d dead letters (%v), want 2", len(page.Tasks), err)
	}
}
