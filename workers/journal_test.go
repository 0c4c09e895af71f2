package workers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// errStop ends an attempt for good, and its task as a dead letter.
var errStop = workers.Terminal(events.CausePolicy, errors.New("stop"))

// noting returns a step that returns its name, and notes in ran that it was run.
func noting(ran *[]string, name string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		*ran = append(*ran, name)
		return name, nil
	}
}

// three is an agent of three steps of which only the first looks at the task's input. stop ends it in front of the step of that
// name.
func three(ran *[]string, stop *string) workers.Agent {
	return agentOf(func(ctx context.Context, run *workers.Run, in input) (output, error) {
		for _, step := range []struct {
			name  string
			input any
		}{{"one", in}, {"two", "always"}, {"three", "always"}} {
			if *stop == step.name {
				return output{}, errStop
			}
			if _, err := workers.Step(ctx, run, step.name, step.input, noting(ran, step.name)); err != nil {
				return output{}, err
			}
		}
		if *stop == "end" {
			return output{}, errStop
		}
		return output{Text: "x"}, nil
	})
}

func TestStep_AChangedInputRunsAnewFromThereOn(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	var ran []string
	stop := "end"
	r := runnerOf(t, m, "w1", three(&ran, &stop))
	e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{"subject":"Art"}`))
	attempt := func(what string, e events.Event, want ...string) {
		t.Helper()
		ran = nil
		handle(t, r, workerstest.Message(e))
		if !slices.Equal(ran, want) {
			t.Errorf("%s: ran %v, want %v", what, ran, want)
		}
	}
	attempt("first", e, "one", "two", "three")
	attempt("replay with the same input", workerstest.Replay(t, m, e.Task, nil))
	stop = "three"
	attempt("replay with another input, up to step three", workerstest.Replay(t, m, e.Task, json.RawMessage(`{"subject":"History"}`)), "one", "two")
	stop = "end"
	attempt("its second half", workerstest.Replay(t, m, e.Task, nil), "three")
	attempt("replay with the first input again", workerstest.Replay(t, m, e.Task, json.RawMessage(`{"subject":"Art"}`)))
}

// A step of an edited replay must not serve the line that was left: its place in the journal is another one.
func TestStep_IsOnRecordForItsPlaceOnly(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	var ran []string
	stop := "two"
	r := runnerOf(t, m, "w1", three(&ran, &stop))
	e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{"subject":"Art"}`))
	handle(t, r, workerstest.Message(e))
	stop = "end"
	handle(t, r, workerstest.Message(workerstest.Replay(t, m, e.Task, json.RawMessage(`{"subject":"History"}`))))
	ran = nil
	handle(t, r, workerstest.Message(workerstest.Replay(t, m, e.Task, json.RawMessage(`{"subject":"Art"}`))))
	if want := []string{"two", "three"}; !slices.Equal(ran, want) {
		t.Errorf("ran %v, want %v: the steps on record were done behind another step one", ran, want)
	}
}

func TestStep_ReturnsTheFirstTimeWhatItReturnsAgain(t *testing.T) {
	t.Parallel()
	type out struct {
		Kept   string
		hidden string
	}
	got, _ := workerstest.Work(t, agentOf(func(ctx context.Context, run *workers.Run, in input) (output, error) {
		o, err := workers.Step(ctx, run, "one", in, func(context.Context) (out, error) { return out{"kept", "hidden"}, nil })
		return output{Text: o.Kept + o.hidden}, err
	}), json.RawMessage(`{}`))
	if string(got.Result) != `{"text":"kept"}` {
		t.Errorf("the agent saw what no later attempt would see: %s", got.Result)
	}
}

func TestStep_KeepsLargeOutputsInTheObjectStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, blobs := tasktest.NewMemory(), tasktest.NewBlobs()
		large := strings.Repeat("x", workers.MaxOutput+1)
		runs, stop := 0, true
		a := agentOf(func(ctx context.Context, run *workers.Run, in input) (output, error) {
			out, err := workers.Step(ctx, run, "large", in, func(context.Context) (output, error) { runs++; return output{Text: large}, nil })
			if err == nil && stop {
				err = errStop
			}
			return out, err
		})
		r, err := workers.NewRunner(workers.RunnerConfig{Worker: "w1", Agents: []workers.Agent{a}, Log: m, Board: m, Blobs: blobs})
		if err != nil {
			t.Fatal(err)
		}
		e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
		handle(t, r, workerstest.Message(e))
		_, history := workerstest.Read(t, m, e.Task)
		step, err := events.DataAs[events.Step](history[2])
		if err != nil || step.OutputRef == nil || step.Output != nil || blobs.Len() != 1 {
			t.Fatalf("the step is %.200s (%v), %d objects", history[2].Data, err, blobs.Len())
		}

		blobs.SetDown(true)
		again := workerstest.Replay(t, m, e.Task, nil)
		for range 5 {
			handle(t, r, workerstest.Message(again))
			<-time.After(time.Minute)
		}
		if got, _ := workerstest.Read(t, m, e.Task); got.State != task.Retrying || got.Failure.Cause != events.CauseBroker || runs != 1 {
			t.Errorf("store away: %s (%+v) after %d runs, want it to be tried again at no cost", got.State, got.Failure, runs)
		}

		blobs.SetDown(false)
		handle(t, r, workerstest.Message(again))
		if got, _ := workerstest.Read(t, m, e.Task); got.State != task.Failed || runs != 1 {
			t.Errorf("store back: %s after %d runs", got.State, runs)
		}

		blobs.Forget(*step.OutputRef)
		stop = false
		handle(t, r, workerstest.Message(workerstest.Replay(t, m, e.Task, nil)))
		got, _ := workerstest.Read(t, m, e.Task)
		if got.State != task.Completed || runs != 2 || got.Result != nil || got.ResultRef == nil {
			t.Fatalf("output lost: %s after %d runs, reference %+v", got.State, runs, got.ResultRef)
		}
		if data, err := blobs.Get(t.Context(), *got.ResultRef); err != nil || string(data) != `{"text":"`+large+`"}` {
			t.Errorf("the result has %d bytes (%v)", len(data), err)
		}
	})
}

func TestStep_RefusesWhatNobodyKeeps(t *testing.T) {
	t.Parallel()
	outputOf := func(n int) workers.Agent {
		return agentOf(func(ctx context.Context, run *workers.Run, in input) (output, error) {
			return workers.Step(ctx, run, "large", in, func(context.Context) (output, error) { return output{Text: strings.Repeat("x", n)}, nil })
		})
	}
	for name, c := range map[string]struct {
		agent workers.Agent
		blobs task.Blobs
		want  string
	}{
		"NoObjectStore":      {outputOf(workers.MaxOutput), nil, "at most 262144 are kept"},
		"AboveTheStoresSize": {outputOf(task.MaxBlob), tasktest.NewBlobs(), "at most 16777216 are kept"},
		"ReservedName": {agentOf(func(ctx context.Context, run *workers.Run, in input) (output, error) {
			return workers.Step(ctx, run, "sleep:x", in, func(context.Context) (output, error) { return output{}, nil })
		}), nil, "names with this prefix"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := tasktest.NewMemory()
			r, err := workers.NewRunner(workers.RunnerConfig{Worker: "w1", Agents: []workers.Agent{c.agent}, Log: m, Board: m, Blobs: c.blobs})
			if err != nil {
				t.Fatal(err)
			}
			e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
			handle(t, r, workerstest.Message(e))
			if got, _ := workerstest.Read(t, m, e.Task); got.Failure == nil || !strings.Contains(got.Failure.Error, c.want) {
				t.Errorf("got %s: %+v, want %q", got.State, got.Failure, c.want)
			}
		})
	}
}

func TestStep_SaysWhichBoundOfTheJournalIsReached(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kept []events.Reference // outputs on record
		ran  int
		want []string
	}{
		"Steps": {nil, workers.MaxSteps, []string{"256 steps", "MaxSteps", "make a workflow"}},
		"Bytes": {slices.Repeat([]events.Reference{{Key: "k", Bytes: task.MaxBlob}}, 4), 0, []string{"67108867 bytes", "MaxJournal", "return less from each step"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, ran := tasktest.NewMemory(), 0
			e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
			last := tasktest.MustAppend(t, m, tasktest.Event(t, "school", e.Task, events.Started{Attempt: 1, Dispatch: 1, Worker: "w"}), e.Seq)
			for i, ref := range c.kept {
				last = tasktest.MustAppend(t, m, tasktest.Event(t, "school", e.Task, events.Step{Attempt: 1, Name: "large", InputHash: fmt.Sprint(i), OutputRef: &ref}), last.Seq)
			}
			handle(t, runnerOf(t, m, "w1", agentOf(func(ctx context.Context, run *workers.Run, _ input) (output, error) {
				for i := range 1000 {
					if _, err := workers.Step(ctx, run, "many", i, noting(new([]string), "x")); err != nil {
						return output{}, err
					}
					ran++
				}
				return output{Text: "x"}, nil
			})), workerstest.Message(e))
			got, _ := workerstest.Read(t, m, e.Task)
			if got.State != task.Failed || got.Failure.Cause != events.CausePolicy || got.Attempt != 2 || ran != c.ran {
				t.Errorf("got %s in attempt %d behind %d steps: %+v", got.State, got.Attempt, ran, got.Failure)
			}
			for _, want := range c.want {
				if !strings.Contains(got.Failure.Error, want) {
					t.Errorf("%q does not say %q", got.Failure.Error, want)
				}
			}
		})
	}
}

// What was paid for is kept also when the worker is asked to stop in that moment.
func TestStep_IsKeptWhenTheWorkerStopsMeanwhile(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	ctx, stop := context.WithCancelCause(t.Context())
	r := runnerOf(t, m, "w1", agentOf(func(ctx context.Context, run *workers.Run, in input) (output, error) {
		_, err := workers.Step(ctx, run, "one", in, func(context.Context) (string, error) {
			stop(errors.New("the worker is shutting down"))
			return "paid", nil
		})
		return output{}, errors.Join(err, ctx.Err())
	}))
	e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
	msg := workerstest.Message(e)
	msg.SetContext(ctx)
	handle(t, r, msg)
	got, history := workerstest.Read(t, m, e.Task)
	if diff := cmp.Diff([]string{"queued", "started", "step", "retrying"}, types(history)); diff != "" || got.Failure.Cause != events.CauseDrain {
		t.Errorf("failure %+v, history (-want +got):\n%s", got.Failure, diff)
	}
}
