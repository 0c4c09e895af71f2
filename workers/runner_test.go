package workers_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/workerstest"
)

type input struct {
	Subject string `json:"subject"`
}

type output struct {
	Text string `json:"text"`
}

var anyObject = json.RawMessage(`{"type":"object"}`)

func agentOf(work func(context.Context, *workers.Run, input) (output, error)) workers.Agent {
	return workers.New(task.Kind{
		Name: "quiz", Title: "Quiz", InputSchema: anyObject,
		OutputSchema: json.RawMessage(`{"type":"object","required":["text"],"properties":{"text":{"type":"string","minLength":1}}}`),
		Example:      json.RawMessage(`{}`),
	}, work)
}

func runnerOf(t *testing.T, m *tasktest.Memory, name string, a workers.Agent) *workers.Runner {
	t.Helper()
	r, err := workers.NewRunner(workers.RunnerConfig{Worker: name, Agents: []workers.Agent{a}, Log: m, Board: m, CancelCheck: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func handle(t *testing.T, r *workers.Runner, msg *message.Message) {
	t.Helper()
	if err := r.Handle(msg); err != nil {
		t.Fatal(err)
	}
}

func types(history []events.Event) (out []string) {
	for _, e := range history {
		out = append(out, strings.TrimPrefix(string(e.Type), "task."))
	}
	return out
}

func TestRunner_RunsAnAgentToItsResult(t *testing.T) {
	t.Parallel()
	got, history := workerstest.Work(t, agentOf(func(ctx context.Context, run *workers.Run, in input) (output, error) {
		run.Progress(ctx, 10, "outline")
		return workers.Step(ctx, run, "draft", in, func(context.Context) (output, error) {
			run.Record(events.Usage{Calls: 1, InputTokens: 7, OutputTokens: 5, CostUSD: 0.5, CostKnown: true}, events.Provenance{GeneratedBy: "openai/x", Provider: "openai"})
			return output{Text: "about " + in.Subject}, nil
		})
	}), json.RawMessage(`{"subject":"History"}`))
	if diff := cmp.Diff([]string{"queued", "started", "step", "completed"}, types(history)); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	if got.State != task.Completed || string(got.Result) != `{"text":"about History"}` {
		t.Errorf("got %s with result %s", got.State, got.Result)
	}
	if diff := cmp.Diff(&events.Usage{Calls: 1, InputTokens: 7, OutputTokens: 5, CostUSD: 0.5, CostKnown: true}, got.Usage); diff != "" {
		t.Errorf("usage (-want +got):\n%s", diff)
	}
	if got.Provenance.GeneratedBy != "openai/x" {
		t.Errorf("provenance: %+v", got.Provenance)
	}
}

func TestRunner_DecidesByTheCauseOfAFailure(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err   error
		state task.State
		cause events.Cause
		wait  time.Duration // at least
	}{
		"RetriesWhenRateLimited":      {&fault.Error{Kind: fault.RateLimited, Message: "429", RetryAfter: 40 * time.Second}, task.Retrying, events.CauseProvider, 40 * time.Second},
		"RetriesWhenTheProviderFails": {fault.New(fault.Unavailable, "502"), task.Retrying, events.CauseProvider, 0},
		"FailsAtOnceAfterRepair":      {workers.InvalidOutput(errors.New("no questions")), task.Failed, events.CauseInvalidOutput, 0},
		"RetriesOnceAfterABug":        {errors.New("nil map"), task.Retrying, events.CauseBug, 0},
		"FailsAtOnceOnBadInput":       {fault.InvalidField("input.subject", "is odd"), task.Failed, events.CauseInput, 0},
		"FailsAtOnceOnPolicy":         {workers.Terminal(events.CausePolicy, errors.New("not for schools")), task.Failed, events.CausePolicy, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := tasktest.NewMemory()
			r := runnerOf(t, m, "w1", agentOf(func(context.Context, *workers.Run, input) (output, error) { return output{}, c.err }))
			e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
			msg := workerstest.Message(e)
			handle(t, r, msg)
			got, _ := workerstest.Read(t, m, e.Task)
			if got.State != c.state || got.Failure.Cause != c.cause {
				t.Errorf("got %s by %s, want %s by %s", got.State, got.Failure.Cause, c.state, c.cause)
			}
			acked, wait := workerstest.Settled(t, msg)
			if acked != (c.state == task.Failed) || wait < c.wait {
				t.Errorf("acked %v, wait %v", acked, wait)
			}
		})
	}
}

func TestRunner_SpendsItsBudgetAndFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := tasktest.NewMemory()
		calls := 0
		r := runnerOf(t, m, "w1", agentOf(func(context.Context, *workers.Run, input) (output, error) {
			calls++
			return output{}, fault.New(fault.Unavailable, "503")
		}))
		e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
		for range 10 {
			msg := workerstest.Message(e)
			handle(t, r, msg)
			acked, wait := workerstest.Settled(t, msg)
			if acked {
				break
			}
			<-time.After(wait) // on the clock of the bubble
		}
		got, _ := workerstest.Read(t, m, e.Task)
		if got.State != task.Failed || calls != 4 || got.Attempt != 4 {
			t.Errorf("got %s after %d calls, attempt %d; want failed after 4", got.State, calls, got.Attempt)
		}
	})
}

func TestRunner_APanicIsAnErrorOfTheAgent(t *testing.T) {
	t.Parallel()
	got, _ := workerstest.Work(t, agentOf(func(context.Context, *workers.Run, input) (output, error) { panic("boom") }), json.RawMessage(`{}`))
	if got.State != task.Retrying || got.Failure.Cause != events.CauseBug || !strings.Contains(got.Failure.Error, "boom") {
		t.Errorf("got %s: %+v", got.State, got.Failure)
	}
}

func TestRunner_HoldsResultsAgainstTheSchema(t *testing.T) {
	t.Parallel()
	got, _ := workerstest.Work(t, agentOf(func(context.Context, *workers.Run, input) (output, error) { return output{}, nil }), json.RawMessage(`{}`))
	if got.State != task.Failed || got.Failure.Cause != events.CauseInvalidOutput || !strings.Contains(got.Failure.Error, "result.text") {
		t.Errorf("got %s: %+v", got.State, got.Failure)
	}
}

// crashAfter returns an agent with two steps that leaves its task like a killed worker does, the first time it is behind
// step one, and the count of how often each step ran.
func crashAfter(first *atomic.Int32, second *atomic.Int32, crash func(context.Context)) workers.Agent {
	return agentOf(func(ctx context.Context, run *workers.Run, in input) (output, error) {
		one, err := workers.Step(ctx, run, "one", in, func(context.Context) (string, error) {
			first.Add(1)
			run.Record(events.Usage{Calls: 1, OutputTokens: 3, CostKnown: true}, events.Provenance{GeneratedBy: "m"})
			return "one", nil
		})
		if err != nil {
			return output{}, err
		}
		crash(ctx)
		return workers.Step(ctx, run, "two", one, func(context.Context) (output, error) {
			second.Add(1)
			run.Record(events.Usage{Calls: 1, OutputTokens: 4, CostKnown: true}, events.Provenance{GeneratedBy: "m"})
			return output{Text: one + " two"}, nil
		})
	})
}

func TestRunner_ContinuesBehindTheLastStepOfAVanishedWorker(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	var first, second, visits atomic.Int32
	release, stalled := make(chan struct{}), make(chan struct{})
	a := crashAfter(&first, &second, func(context.Context) {
		if visits.Add(1) == 1 {
			close(stalled)
			<-release
		}
	})
	e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{"subject":"Art"}`))
	zombie := workerstest.Message(e)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = runnerOf(t, m, "w1", a).Handle(zombie)
	}()
	<-stalled
	second2 := workerstest.Message(e)
	handle(t, runnerOf(t, m, "w2", a), second2)
	close(release)
	<-ended

	got, history := workerstest.Read(t, m, e.Task)
	if diff := cmp.Diff([]string{"queued", "started", "step", "started", "step", "completed"}, types(history)); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	if got.Attempt != 2 || got.Worker != "w2" || string(got.Result) != `{"text":"one two"}` || got.Usage.OutputTokens != 7 {
		t.Errorf("got attempt %d by %s with %s, usage %+v", got.Attempt, got.Worker, got.Result, got.Usage)
	}
	if first.Load() != 1 {
		t.Errorf("step one ran %d times, want once", first.Load())
	}
	if acked, _ := workerstest.Settled(t, zombie); !acked {
		t.Error("the zombie hands back a dispatch that is settled")
	}
}

// Without the fence the same zombie writes a second outcome: what the test above shows is the fence's work.
func TestRunner_WithoutTheFenceAZombieWrites(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	m.Unfence()
	var first, second, visits atomic.Int32
	release, stalled := make(chan struct{}), make(chan struct{})
	a := crashAfter(&first, &second, func(context.Context) {
		if visits.Add(1) == 1 {
			close(stalled)
			<-release
		}
	})
	e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
	ended := make(chan struct{})
	runner := func(name string) *workers.Runner {
		r, err := workers.NewRunner(workers.RunnerConfig{Worker: name, Agents: []workers.Agent{a}, Log: m, Board: m, CancelCheck: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	go func() {
		defer close(ended)
		_ = runner("w1").Handle(workerstest.Message(e))
	}()
	<-stalled
	handle(t, runner("w2"), workerstest.Message(e))
	close(release)
	<-ended
	history, err := m.History(t.Context(), "school", e.Task, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	completed := 0
	for _, e := range history {
		if e.Type == events.TypeCompleted {
			completed++
		}
	}
	if completed != 2 {
		t.Errorf("%d outcomes without the fence, want 2: %v", completed, types(history))
	}
}

func TestRunner_QuarantinesATaskThatKillsItsWorkers(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
	last := e
	for i := range 3 { // three workers that claimed and were never heard of again
		last = tasktest.MustAppend(t, m, tasktest.Event(t, "school", e.Task, events.Started{Attempt: i + 1, Dispatch: 1, Worker: "w"}), last.Seq)
	}
	msg := workerstest.Message(e)
	handle(t, runnerOf(t, m, "w4", agentOf(func(context.Context, *workers.Run, input) (output, error) {
		t.Error("the agent was called")
		return output{}, nil
	})), msg)
	got, _ := workerstest.Read(t, m, e.Task)
	if got.State != task.Failed || got.Failure.Cause != events.CauseCrash {
		t.Errorf("got %s: %+v", got.State, got.Failure)
	}
	if acked, _ := workerstest.Settled(t, msg); !acked {
		t.Error("the dispatch is not acked")
	}
}

func TestRunner_StopsATaskThatIsCancelled(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	running := make(chan struct{})
	r := runnerOf(t, m, "w1", agentOf(func(ctx context.Context, _ *workers.Run, _ input) (output, error) {
		close(running)
		<-ctx.Done()
		return output{}, ctx.Err()
	}))
	e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
	msg := workerstest.Message(e)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = r.Handle(msg)
	}()
	<-running
	last, err := m.Last(t.Context(), "school", e.Task)
	if err != nil {
		t.Fatal(err)
	}
	tasktest.MustAppend(t, m, tasktest.Event(t, "school", e.Task, events.Cancelled{By: "teacher"}), last.Seq)
	<-ended
	got, history := workerstest.Read(t, m, e.Task)
	if got.State != task.Cancelled || len(history) != 3 {
		t.Errorf("got %s after %v", got.State, types(history))
	}
	if acked, _ := workerstest.Settled(t, msg); !acked {
		t.Error("the dispatch is not acked")
	}
}

func TestRunner_HandsBackWhatItCannotFinishBeforeItStops(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	stops := make(chan context.CancelCauseFunc, 1)
	r := runnerOf(t, m, "w1", agentOf(func(ctx context.Context, _ *workers.Run, _ input) (output, error) {
		(<-stops)(errors.New("worker w1 is shutting down"))
		<-ctx.Done()
		return output{}, ctx.Err()
	}))
	e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
	for range 10 {
		ctx, stop := context.WithCancelCause(t.Context())
		stops <- stop
		msg := workerstest.Message(e)
		msg.SetContext(ctx)
		handle(t, r, msg)
		if acked, wait := workerstest.Settled(t, msg); acked || wait != 0 {
			t.Fatalf("acked %v, wait %v; want it back in the queue at once", acked, wait)
		}
	}
	got, _ := workerstest.Read(t, m, e.Task)
	if got.State != task.Retrying || got.Failure.Cause != events.CauseDrain || got.Attempt != 10 {
		t.Errorf("got %s, attempt %d: %+v", got.State, got.Attempt, got.Failure)
	}
}

func TestRunner_EndsAnAttemptThatRunsTooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := tasktest.NewMemory()
		r := runnerOf(t, m, "w1", agentOf(func(ctx context.Context, _ *workers.Run, _ input) (output, error) {
			<-ctx.Done()
			return output{}, ctx.Err()
		}))
		e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
		began := time.Now()
		handle(t, r, workerstest.Message(e))
		got, _ := workerstest.Read(t, m, e.Task)
		if got.State != task.Retrying || got.Failure.Cause != events.CauseTimeout || time.Since(began) != 5*time.Minute {
			t.Errorf("got %s after %v: %+v", got.State, time.Since(began), got.Failure)
		}
	})
}

func TestRunner_FailsATaskWhoseDeadlinePassed(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	past := time.Now().Add(-time.Second)
	e := tasktest.QueuedEvent(t, "school")
	e = tasktest.MustAppend(t, m, tasktest.Event(t, "school", e.Task, events.Queued{
		Kind: "quiz", Input: json.RawMessage(`{}`), Priority: events.High, Dispatch: 1, UserID: "u", Deadline: &past}), 0)
	handle(t, runnerOf(t, m, "w1", agentOf(nil)), workerstest.Message(e))
	got, _ := workerstest.Read(t, m, e.Task)
	if got.State != task.Failed || got.Failure.Cause != events.CauseDeadline {
		t.Errorf("got %s: %+v", got.State, got.Failure)
	}
}

func TestRunner_ReplayKeepsFinishedSteps(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	var first, second atomic.Int32
	broken := true
	a := crashAfter(&first, &second, func(context.Context) {
		if broken {
			panic("boom")
		}
	})
	r, err := workers.NewRunner(workers.RunnerConfig{Worker: "w1", Agents: []workers.Agent{a}, Log: m, Board: m, Budgets: workers.Budgets{}})
	if err != nil {
		t.Fatal(err)
	}
	e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{"subject":"Art"}`))
	handle(t, r, workerstest.Message(e))
	got, history := workerstest.Read(t, m, e.Task)
	if !got.DeadLetter() {
		t.Fatalf("got %s", got.State)
	}
	q, err := events.DataAs[events.Queued](history[0])
	if err != nil {
		t.Fatal(err)
	}
	q.Dispatch = 2
	broken = false
	again := tasktest.MustAppend(t, m, tasktest.Event(t, "school", e.Task, q), got.Seq)
	handle(t, r, workerstest.Message(e)) // a late copy of the first dispatch
	if now, _ := workerstest.Read(t, m, e.Task); now.State != task.Queued {
		t.Fatalf("the first dispatch ran the second: %s", now.State)
	}
	handle(t, r, workerstest.Message(again))
	got, _ = workerstest.Read(t, m, e.Task)
	if got.State != task.Completed || got.Dispatch != 2 || got.Attempt != 1 || first.Load() != 1 || got.Usage.OutputTokens != 7 {
		t.Errorf("got %s, dispatch %d, attempt %d, step one %d times, usage %+v", got.State, got.Dispatch, got.Attempt, first.Load(), got.Usage)
	}
}

func TestRunner_BuriesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	r := runnerOf(t, m, "w1", agentOf(nil))
	var id string
	for range 2 { // the second delivery of the same bytes changes nothing
		msg := message.NewMessage("x", message.Payload("\xff\x00 no event"))
		msg.Metadata.Set(events.HeaderQueueSubject, "tasks.quiz.normal.school.t1.1")
		handle(t, r, msg)
		if acked, _ := workerstest.Settled(t, msg); !acked {
			t.Fatal("not acked")
		}
		page, err := tasktest.Archive{Memory: m}.List(t.Context(), task.Filter{Tenant: "school", DeadLetters: true})
		if err != nil || len(page.Tasks) != 1 {
			t.Fatalf("%d dead letters (%v), want 1", len(page.Tasks), err)
		}
		id = page.Tasks[0].ID
	}
	got, _ := workerstest.Read(t, m, id)
	if got.Kind != task.UnknownKind || string(got.Failure.Raw) != "\xff\x00 no event" || got.Failure.Cause != events.CauseUndecodable {
		t.Errorf("got kind %s: %+v", got.Kind, got.Failure)
	}
}

func TestRunner_HandsBackWhileTheBrokerIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := tasktest.NewMemory()
		e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
		m.SetDown(true)
		msg := workerstest.Message(e)
		handle(t, runnerOf(t, m, "w1", agentOf(nil)), msg)
		if acked, wait := workerstest.Settled(t, msg); acked || wait < time.Second {
			t.Errorf("acked %v, wait %v", acked, wait)
		}
	})
}
