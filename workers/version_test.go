package workers_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/workerstest"
)

// versioned is an agent of several versions, which says in its result as which one it worked.
type versioned struct {
	workers.Agent
	versions []string
}

func (v versioned) Versions() []string { return v.versions }

func versionsOf(work func(context.Context, *workers.Run) error, versions ...string) workers.Agent {
	return versioned{agentOf(func(ctx context.Context, run *workers.Run, _ input) (output, error) {
		return output{Text: run.Version()}, work(ctx, run)
	}), versions}
}

func TestRunner_KeepsATaskToTheVersionThatItBeganWith(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := tasktest.NewMemory()
		rest := func(ctx context.Context, run *workers.Run) error { return run.Sleep(ctx, "nap", time.Minute) }
		none := func(context.Context, *workers.Run) error { return nil }
		onlyNew := runnerOf(t, m, "c", versionsOf(none, "v2"))
		both := runnerOf(t, m, "b", versionsOf(rest, "v2", "v1"))

		e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
		tasktest.MustAppend(t, m, tasktest.Event(t, "school", e.Task, events.Started{Attempt: 1, Dispatch: 1, Worker: "a", Version: "v1"}), e.Seq) // and died

		refused := func(what string, r *workers.Runner, e events.Event, counted int) {
			t.Helper()
			before, history := workerstest.Read(t, m, e.Task)
			msg := workerstest.Message(e)
			handle(t, r, msg)
			acked, wait := workerstest.Settled(t, msg)
			after, now := workerstest.Read(t, m, e.Task)
			if acked || wait < time.Second || len(now) != len(history) || after.State != before.State || after.Failures[events.CauseCrash] != counted {
				t.Errorf("%s: acked %v, wait %s, now %s: %v", what, acked, wait, after.State, types(now))
			}
		}
		refused("a worker without the version", onlyNew, e, 0)
		refused("a worker whose agent has none", runnerOf(t, m, "d", agentOf(nil)), e, 0)

		handle(t, both, workerstest.Message(e))
		if got, _ := workerstest.Read(t, m, e.Task); got.State != task.Waiting || got.Version != "v1" || got.Failures[events.CauseCrash] != 1 {
			t.Fatalf("the second attempt: %s as %q, failures %v", got.State, got.Version, got.Failures)
		}
		<-time.After(time.Minute)
		e = workerstest.Resume(t, m, e.Task)
		refused("resumed, a worker without the version", onlyNew, e, 1)
		handle(t, both, workerstest.Message(e))
		if got, _ := workerstest.Read(t, m, e.Task); got.State != task.Completed || string(got.Result) != `{"text":"v1"}` {
			t.Errorf("resumed: %s with %s", got.State, got.Result)
		}

		fresh := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
		handle(t, onlyNew, workerstest.Message(fresh))
		if got, _ := workerstest.Read(t, m, fresh.Task); got.State != task.Completed || got.Version != "v2" || string(got.Result) != `{"text":"v2"}` {
			t.Errorf("a new task: %s as %q with %s", got.State, got.Version, got.Result)
		}
		if kinds := both.Stats().Kinds; len(kinds) != 1 || len(kinds[0].Versions) != 2 || kinds[0].Versions[0] != "v2" {
			t.Errorf("the worker tells of %+v", kinds)
		}
	})
}

func TestRunner_AReplayBeginsWithTheCurrentVersion(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	fails := func(context.Context, *workers.Run) error { return errStop }
	none := func(context.Context, *workers.Run) error { return nil }
	e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
	handle(t, runnerOf(t, m, "a", versionsOf(fails, "v1")), workerstest.Message(e))
	handle(t, runnerOf(t, m, "b", versionsOf(none, "v2", "v1")), workerstest.Message(workerstest.Replay(t, m, e.Task, nil)))
	if got, _ := workerstest.Read(t, m, e.Task); got.State != task.Completed || got.Version != "v2" {
		t.Errorf("got %s as %q", got.State, got.Version)
	}
}

func TestNewRunner_RefusesAnAgentWithoutItsVersions(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	if _, err := workers.NewRunner(workers.RunnerConfig{Worker: "w1", Agents: []workers.Agent{versionsOf(nil)}, Log: m, Board: m}); err == nil {
		t.Error("no error")
	}
}
