package workers_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/workerstest"
)

func TestSleep_GivesTheSlotBackAndGoesOnBehindIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := tasktest.NewMemory()
		var ran []string
		d := time.Hour
		r := runnerOf(t, m, "w1", agentOf(func(ctx context.Context, run *workers.Run, in input) (output, error) {
			if _, err := workers.Step(ctx, run, "one", in, noting(&ran, "one")); err != nil {
				return output{}, err
			}
			if err := run.Sleep(ctx, "nap", d); err != nil {
				return output{}, err
			}
			_, err := workers.Step(ctx, run, "two", in, noting(&ran, "two"))
			return output{Text: "x"}, err
		}))
		e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
		msg := workerstest.Message(e)
		began := time.Now()
		handle(t, r, msg)
		got, _ := workerstest.Read(t, m, e.Task)
		if acked, _ := workerstest.Settled(t, msg); !acked || time.Since(began) != 0 {
			t.Errorf("acked %v after %v, want the slot back at once", acked, time.Since(began))
		}
		if w := got.Wait; got.State != task.Waiting || w.For != events.WaitTime || w.Name != "nap" || !w.Until.Equal(began.Add(time.Hour)) || w.Message == "" {
			t.Fatalf("got %s: %+v", got.State, w)
		}
		late := workerstest.Message(e) // its ack was lost
		handle(t, r, late)
		if acked, _ := workerstest.Settled(t, late); !acked {
			t.Error("a dispatch that ended in a wait comes again")
		}

		<-time.After(30 * time.Minute)
		d = 5 * time.Hour // of no consequence by now
		handle(t, r, workerstest.Message(workerstest.Resume(t, m, e.Task)))
		if got, _ := workerstest.Read(t, m, e.Task); got.State != task.Waiting || !got.Wait.Until.Equal(began.Add(time.Hour)) {
			t.Fatalf("resumed too early it is %s: %+v, want it to wait for the same moment", got.State, got.Wait)
		}
		<-time.After(30*time.Minute - 200*time.Millisecond) // the dispatcher's clock is ahead
		handle(t, r, workerstest.Message(workerstest.Resume(t, m, e.Task)))
		got, history := workerstest.Read(t, m, e.Task)
		if got.State != task.Completed || !slices.Equal(ran, []string{"one", "two"}) || time.Since(began) != time.Hour {
			t.Errorf("got %s after %v (%+v), ran %v", got.State, time.Since(began), got.Failure, ran)
		}
		want := []string{"queued", "started", "step", "waiting", "queued", "started", "waiting", "queued", "started", "step", "step", "completed"}
		if diff := cmp.Diff(want, types(history)); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
	})
}

func TestSleep_ThatIsShortKeepsTheSlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		got, history := workerstest.Work(t, agentOf(func(ctx context.Context, run *workers.Run, _ input) (output, error) {
			return output{Text: "x"}, run.Sleep(ctx, "blink", 900*time.Millisecond)
		}), json.RawMessage(`{}`))
		if got.State != task.Completed || time.Since(began) != 900*time.Millisecond {
			t.Errorf("got %s after %v", got.State, time.Since(began))
		}
		if diff := cmp.Diff([]string{"queued", "started", "step", "completed"}, types(history)); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
	})
}

// approval is an agent that drafts, waits an hour for the signal "approve", and returns what came with it.
func approval(ran *[]string, stop *bool) workers.Agent {
	return agentOf(func(ctx context.Context, run *workers.Run, in input) (output, error) {
		if _, err := workers.Step(ctx, run, "draft", in, noting(ran, "draft")); err != nil {
			return output{}, err
		}
		word, err := workers.WaitFor[string](ctx, run, "approve", time.Hour)
		if err == nil && *stop {
			err = errStop
		}
		return output{Text: word}, err
	})
}

func TestWaitFor_ReturnsASignalThatIsThereAtOnce(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	var ran []string
	r := runnerOf(t, m, "w1", approval(&ran, new(bool)))
	e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
	workerstest.Signal(t, m, e.Task, "other", json.RawMessage(`"no"`))
	workerstest.Signal(t, m, e.Task, "approve", json.RawMessage(`"yes"`))
	workerstest.Signal(t, m, e.Task, "approve", json.RawMessage(`"later"`))
	handle(t, r, workerstest.Message(e))
	got, history := workerstest.Read(t, m, e.Task)
	want := []string{"queued", "signalled", "signalled", "signalled", "started", "step", "step", "completed"}
	if diff := cmp.Diff(want, types(history)); diff != "" || string(got.Result) != `{"text":"yes"}` {
		t.Errorf("got %s %s, history (-want +got):\n%s", got.State, got.Result, diff)
	}
}

func TestWaitFor_WaitsForItsSignal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := tasktest.NewMemory()
		var ran []string
		stop := true
		r := runnerOf(t, m, "w1", approval(&ran, &stop))
		e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{"subject":"Art"}`))
		handle(t, r, workerstest.Message(e))
		waiting := func(what string) {
			t.Helper()
			got, _ := workerstest.Read(t, m, e.Task)
			if got.State != task.Waiting || got.Wait.For != events.WaitSignal || got.Wait.Name != "approve" || got.Wait.Until == nil {
				t.Fatalf("%s: got %s: %+v, %+v", what, got.State, got.Wait, got.Failure)
			}
		}
		waiting("first")
		workerstest.Signal(t, m, e.Task, "approve", json.RawMessage(`"yes"`))
		<-time.After(2 * time.Hour) // nobody had time for it; the signal counts all the same
		handle(t, r, workerstest.Message(workerstest.Resume(t, m, e.Task)))
		if got, _ := workerstest.Read(t, m, e.Task); !got.DeadLetter() {
			t.Fatalf("got %s", got.State)
		}

		ran = nil
		handle(t, r, workerstest.Message(workerstest.Replay(t, m, e.Task, json.RawMessage(`{"subject":"History"}`))))
		waiting("the approval of one draft is none of another")
		workerstest.Signal(t, m, e.Task, "approve", json.RawMessage(`"again"`))
		handle(t, r, workerstest.Message(workerstest.Resume(t, m, e.Task)))

		stop = false
		handle(t, r, workerstest.Message(workerstest.Replay(t, m, e.Task, json.RawMessage(`{"subject":"Art"}`))))
		got, _ := workerstest.Read(t, m, e.Task)
		if got.State != task.Completed || string(got.Result) != `{"text":"yes"}` || !slices.Equal(ran, []string{"draft"}) {
			t.Errorf("got %s %s, ran %v; want the first draft with its own approval", got.State, got.Result, ran)
		}
	})
}

func TestWaitFor_SaysThatNoSignalCameInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := tasktest.NewMemory()
		var seen error
		r := runnerOf(t, m, "w1", agentOf(func(ctx context.Context, run *workers.Run, _ input) (output, error) {
			_, err := workers.WaitFor[string](ctx, run, "approve", time.Hour)
			seen = err
			return output{Text: "x"}, err
		}))
		e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
		handle(t, r, workerstest.Message(e))
		if errors.Is(seen, workers.ErrNoSignal) {
			t.Error("the time was over before it began")
		}
		<-time.After(time.Hour)
		handle(t, r, workerstest.Message(workerstest.Resume(t, m, e.Task)))
		got, _ := workerstest.Read(t, m, e.Task)
		if !errors.Is(seen, workers.ErrNoSignal) || got.State != task.Failed || got.Failure.Cause != events.CauseTimeout || got.Attempt != 1 {
			t.Fatalf("the agent saw %v, the task is %s: %+v", seen, got.State, got.Failure)
		}
		handle(t, r, workerstest.Message(workerstest.Replay(t, m, e.Task, nil)))
		if got, _ := workerstest.Read(t, m, e.Task); got.State != task.Waiting {
			t.Errorf("the replay is %s, want it to wait anew", got.State)
		}
	})
}

func TestWaitFor_RefusesDataThatDoesNotFit(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	var ran []string
	e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
	workerstest.Signal(t, m, e.Task, "approve", json.RawMessage(`{"no":"string"}`))
	handle(t, runnerOf(t, m, "w1", approval(&ran, new(bool))), workerstest.Message(e))
	if got, _ := workerstest.Read(t, m, e.Task); got.State != task.Failed || got.Failure.Cause != events.CauseInput {
		t.Errorf("got %s: %+v", got.State, got.Failure)
	}
}

func TestWait_AnAgentThatGoesOnBehindItHasABug(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		work func(context.Context, *workers.Run) error
		want string
	}{
		"Finishes": {func(ctx context.Context, run *workers.Run) error {
			_ = run.Sleep(ctx, "nap", time.Hour)
			return nil
		}, "and finished"},
		"TakesAStep": {func(ctx context.Context, run *workers.Run) error {
			slept := run.Sleep(ctx, "nap", time.Hour)
			_, _ = workers.Step(ctx, run, "one", 1, func(context.Context) (int, error) { return 1, nil })
			return slept
		}, "went on to one"},
		"WaitsTwice": {func(ctx context.Context, run *workers.Run) error {
			_, _ = workers.WaitFor[int](ctx, run, "a", time.Hour)
			_, err := workers.WaitFor[int](ctx, run, "b", time.Hour)
			return err
		}, "went on to signal:b"},
		"ReturnsAnotherError": {func(ctx context.Context, run *workers.Run) error {
			_ = run.Sleep(ctx, "nap", time.Hour)
			return errors.New("tired")
		}, "returned another error: tired"},
		"NameTwice": {func(ctx context.Context, run *workers.Run) error {
			return errors.Join(run.Sleep(ctx, "nap", 0), run.Sleep(ctx, "nap", 0))
		}, `uses the name "sleep:nap" twice`},
		"NoTimeout": {func(ctx context.Context, run *workers.Run) error {
			_, err := workers.WaitFor[int](ctx, run, "a", 0)
			return err
		}, "must be above 0"},
		"NoMoment": {func(context.Context, *workers.Run) error {
			return workers.Wait(events.WaitProvider, "m", nil, "paused")
		}, "does not say until when"},
		"NoSuchOne": {func(context.Context, *workers.Run) error { return workers.Wait("rain", "m", nil, "wet") }, "none of time"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, history := workerstest.Work(t, agentOf(func(ctx context.Context, run *workers.Run, _ input) (output, error) {
				return output{Text: "x"}, c.work(ctx, run)
			}), json.RawMessage(`{}`))
			if got.State != task.Retrying || got.Failure.Cause != events.CauseBug || !strings.Contains(got.Failure.Error, c.want) {
				t.Errorf("got %s: %+v, want a bug that says %q; history %v", got.State, got.Failure, c.want, types(history))
			}
		})
	}
}

func TestSleep_IsBounded(t *testing.T) {
	t.Parallel()
	got, _ := workerstest.Work(t, agentOf(func(ctx context.Context, run *workers.Run, _ input) (output, error) {
		return output{}, run.Sleep(ctx, "winter", workers.MaxWait+time.Second)
	}), json.RawMessage(`{}`))
	if got.State != task.Failed || got.Failure.Cause != events.CausePolicy {
		t.Errorf("got %s: %+v", got.State, got.Failure)
	}
}

func TestWait_GivesTheSlotBackAndCountsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := tasktest.NewMemory()
		r := runnerOf(t, m, "w1", agentOf(func(_ context.Context, run *workers.Run, _ input) (output, error) {
			run.Record(events.Usage{Calls: 1, OutputTokens: 3, CostKnown: true}, events.Provenance{})
			now := time.Now()
			return output{}, workers.Wait(events.WaitBudget, "tenant/school/day", &now, "the school's budget of the day is spent")
		}))
		e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
		for range 5 {
			handle(t, r, workerstest.Message(e))
			got, _ := workerstest.Read(t, m, e.Task)
			if got.State != task.Waiting || len(got.Failures) != 0 || got.Wait.For != events.WaitBudget || !got.Wait.Until.Equal(time.Now().Add(time.Second)) {
				t.Fatalf("got %s: %+v, failures %v", got.State, got.Wait, got.Failures)
			}
			e = workerstest.Resume(t, m, e.Task)
		}
		for n := 6; n <= workers.MaxWaits; n++ {
			e = waited(t, m, e, n)
		}
		handle(t, r, workerstest.Message(e))
		got, _ := workerstest.Read(t, m, e.Task)
		if got.State != task.Failed || got.Failure.Cause != events.CausePolicy || !strings.Contains(got.Failure.Error, "MaxWaits") || got.Usage.Calls != 6 {
			t.Errorf("got %s: %+v, usage %+v", got.State, got.Failure, got.Usage)
		}
	})
}

// The log forgets: what waits for next month's budget, or for nobody knows what, tries again before it does.
func TestWait_EndsBeforeTheLogForgets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		nextMonth := time.Now().Add(31 * 24 * time.Hour)
		for _, until := range []*time.Time{nil, &nextMonth} {
			m := tasktest.NewMemory()
			r := runnerOf(t, m, "w1", agentOf(func(context.Context, *workers.Run, input) (output, error) {
				return output{}, workers.Wait(events.WaitBudget, "tenant/school/month", until, "the school's budget of the month is spent")
			}))
			e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
			handle(t, r, workerstest.Message(e))
			got, _ := workerstest.Read(t, m, e.Task)
			if got.State != task.Waiting || got.Wait.Until == nil || !got.Wait.Until.Equal(time.Now().Add(workers.MaxWait)) {
				t.Errorf("until %v: got %s: %+v", until, got.State, got.Wait)
			}
		}
	})
}

// A task that does not get its turn at a busy model, again and again, is not failed for it within the day.
func TestWait_GetsLongerTheMoreOftenItDidNotHelp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := tasktest.NewMemory()
		r := runnerOf(t, m, "w1", agentOf(func(context.Context, *workers.Run, input) (output, error) {
			soon := time.Now().Add(5 * time.Second)
			return output{}, workers.Wait(events.WaitProvider, "openai/gpt", &soon, "the model has used up its requests of this minute")
		}))
		e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
		began := time.Now()
		for range workers.MaxWaits {
			handle(t, r, workerstest.Message(e))
			got, _ := workerstest.Read(t, m, e.Task)
			if got.State != task.Waiting {
				t.Fatalf("after %s it is %s: %+v", time.Since(began), got.State, got.Failure)
			}
			<-time.After(time.Until(*got.Wait.Until))
			e = workerstest.Resume(t, m, e.Task)
		}
		if took := time.Since(began); took < 24*time.Hour {
			t.Errorf("%d waits are used up after %s", workers.MaxWaits, took)
		}
	})
}

// waited lets a task wait once more and returns its n-th resume.
func waited(t *testing.T, m *tasktest.Memory, e events.Event, n int) events.Event {
	t.Helper()
	for _, p := range []events.Payload{
		events.Started{Attempt: 1, Dispatch: n, Worker: "w"},
		events.Waiting{Attempt: 1, Wait: events.WaitBudget, Name: "tenant/school/day"},
		events.Queued{Kind: "quiz", Input: []byte(`{}`), Priority: events.Normal, Dispatch: n + 1, UserID: "u1", Resume: &events.Resume{Wait: events.WaitBudget}},
	} {
		e = tasktest.MustAppend(t, m, tasktest.Event(t, "school", e.Task, p), e.Seq)
	}
	return e
}
