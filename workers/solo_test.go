package workers_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers"
)

// alone runs a task of the work on the clock of a bubble.
func alone(t *testing.T, within time.Duration, work func(context.Context, *workers.Run, input) (output, error)) (got task.Task, took time.Duration, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		began := time.Now()
		got, err = workers.Solo(ctx, workers.SoloConfig{Agent: agentOf(work), Input: json.RawMessage(`{}`), NoCache: true})
		took = time.Since(began)
	})
	return got, took, err
}

func TestSolo_ReturnsTheResult(t *testing.T) {
	t.Parallel()
	got, _, err := alone(t, time.Hour, func(_ context.Context, run *workers.Run, _ input) (output, error) {
		if !run.Task().NoCache {
			t.Error("the caches are on")
		}
		return output{"done"}, nil
	})
	if err != nil || got.State != task.Completed || got.Attempt != 1 || got.Result == nil {
		t.Errorf("%s in attempt %d, result %s: %v", got.State, got.Attempt, got.Result, err)
	}
}

func TestSolo_TriesAgainWhenTheTimeIsThere(t *testing.T) {
	t.Parallel()
	calls := 0
	got, took, err := alone(t, time.Hour, func(context.Context, *workers.Run, input) (output, error) {
		if calls++; calls < 3 {
			return output{}, fault.After(10*time.Second, "busy")
		}
		return output{"done"}, nil
	})
	if err != nil || got.State != task.Completed || got.Attempt != 3 || took < 20*time.Second {
		t.Errorf("%s in attempt %d after %s: %v", got.State, got.Attempt, took, err)
	}
}

func TestSolo_SleepsAndResumesBehindWhatIsOnRecord(t *testing.T) {
	t.Parallel()
	steps := 0
	got, took, err := alone(t, time.Hour, func(ctx context.Context, run *workers.Run, _ input) (output, error) {
		_, err := workers.Step(ctx, run, "first", nil, func(context.Context) (int, error) { steps++; return steps, nil })
		if err != nil {
			return output{}, err
		}
		return output{"done"}, run.Sleep(ctx, "nap", time.Minute)
	})
	if err != nil || got.State != task.Completed || steps != 1 || took < time.Minute || got.Dispatch != 2 {
		t.Errorf("%s after %s, %d dispatches and %d steps: %v", got.State, took, got.Dispatch, steps, err)
	}
}

func TestSolo_EndsWithItsContextAndBudgets(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		work  func(context.Context, *workers.Run, input) (output, error)
		state task.State
		says  string // of the error; none when empty
	}{
		"ARefusalIsNoError": {func(context.Context, *workers.Run, input) (output, error) {
			return output{}, workers.Terminal(events.CauseInput, errors.New("no"))
		}, task.Failed, ""},
		"WhileItWorks": {func(ctx context.Context, _ *workers.Run, _ input) (output, error) {
			<-ctx.Done()
			return output{}, ctx.Err()
		}, task.Retrying, "deadline exceeded"},
		"WhileItWaits": {func(context.Context, *workers.Run, input) (output, error) {
			return output{}, fault.After(time.Hour, "busy")
		}, task.Retrying, "the next attempt is at"},
		"WhileNobodySignals": {func(ctx context.Context, run *workers.Run, _ input) (output, error) {
			_, err := workers.WaitFor[string](ctx, run, "approval", time.Minute)
			return output{}, err
		}, task.Waiting, "the next attempt is at"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, _, err := alone(t, time.Second, c.work)
			if got.State != c.state || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v", got.State, err)
			}
		})
	}
}

func TestSolo_RefusesABadInput(t *testing.T) {
	t.Parallel()
	_, err := workers.Solo(t.Context(), workers.SoloConfig{Agent: agentOf(func(context.Context, *workers.Run, input) (output, error) { return output{}, nil }), Input: json.RawMessage(`[]`)})
	if !fault.Is(err, fault.Invalid) {
		t.Errorf("error %v", err)
	}
}
