package workers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
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

// blocking is an agent that says that it works, and ends with its context.
func blocking(working chan<- struct{}) workers.Agent {
	return agentOf(func(ctx context.Context, _ *workers.Run, _ input) (output, error) {
		working <- struct{}{}
		<-ctx.Done()
		return output{}, ctx.Err()
	})
}

// Ten deploys in a row take every worker down while it works on every task: nothing is a dead letter, nothing waits for AckWait.
func TestRunner_TenRollingRestartsInARowLoseNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := tasktest.NewMemory()
		var tasks []events.Event
		for range 8 {
			tasks = append(tasks, workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`)))
		}
		began := time.Now()
		for deploy := range 10 {
			working := make(chan struct{})
			r := runnerOf(t, m, fmt.Sprintf("w%d", deploy), blocking(working))
			ctx, stop := context.WithCancelCause(t.Context())
			var group sync.WaitGroup
			for _, e := range tasks {
				msg := workerstest.Message(e)
				msg.SetContext(ctx)
				group.Go(func() {
					handle(t, r, msg)
					if acked, wait := workerstest.Settled(t, msg); acked || wait != 0 {
						t.Errorf("deploy %d: acked %v, wait %s; want it back at once", deploy, acked, wait)
					}
				})
			}
			for range tasks {
				<-working
			}
			r.Drain()
			stop(errors.New("the worker stops"))
			group.Wait()
		}
		for _, e := range tasks {
			if got, _ := workerstest.Read(t, m, e.Task); got.State != task.Retrying || got.Failures[events.CauseDrain] != 10 || len(got.Failures) != 1 {
				t.Errorf("got %s, failures %v", got.State, got.Failures)
			}
			r := runnerOf(t, m, "last", agentOf(func(context.Context, *workers.Run, input) (output, error) { return output{Text: "x"}, nil }))
			handle(t, r, workerstest.Message(e))
			if got, _ := workerstest.Read(t, m, e.Task); got.State != task.Completed {
				t.Errorf("got %s: %+v", got.State, got.Failure)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %s, somebody waited", took)
		}
	})
}

// Being stopped in the middle of a claim must not look like a crash to the worker that comes next.
func TestRunner_BeingStoppedWhileItClaimsIsNoCrash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := tasktest.NewMemory()
		e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
		for range 10 {
			ctx, stop := context.WithCancelCause(t.Context())
			log := hooked{Memory: m, after: func(e events.Event) error {
				if e.Type == events.TypeStarted {
					stop(errors.New("the worker stops"))
				}
				return nil
			}}
			msg := workerstest.Message(e)
			msg.SetContext(ctx)
			handle(t, hookedRunner(t, log, agentOf(func(ctx context.Context, _ *workers.Run, _ input) (output, error) {
				return output{}, ctx.Err()
			})), msg)
		}
		if got, _ := workerstest.Read(t, m, e.Task); got.State != task.Retrying || got.Failures[events.CauseCrash] != 0 || got.Failures[events.CauseDrain] != 10 {
			t.Errorf("got %s, failures %v", got.State, got.Failures)
		}
	})
}

func TestRunner_TakesNothingNewOnceItDrains(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	r := runnerOf(t, m, "w1", agentOf(nil))
	e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
	r.Drain()
	msg := workerstest.Message(e)
	handle(t, r, msg)
	if acked, wait := workerstest.Settled(t, msg); acked || wait > time.Second {
		t.Errorf("acked %v, wait %s", acked, wait)
	}
	if got, _ := workerstest.Read(t, m, e.Task); got.State != task.Queued || !r.Stats().Draining {
		t.Errorf("the task is %s, the worker drains: %v", got.State, r.Stats().Draining)
	}
}

// Three workers claim the task and are gone: their logs answer no more.
func TestRunner_ATaskThatKillsItsWorkersEndsAsACrash(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
	for n := range 4 {
		log := &mortal{Memory: m, left: 100, spared: func() {}}
		killer := agentOf(func(context.Context, *workers.Run, input) (output, error) {
			log.dead = true
			return output{Text: "x"}, nil
		})
		r, err := workers.NewRunner(workers.RunnerConfig{Worker: fmt.Sprintf("w%d", n), Agents: []workers.Agent{killer}, Log: log, Board: m})
		if err != nil {
			t.Fatal(err)
		}
		msg := workerstest.Message(e)
		handle(t, r, msg)
		if acked, _ := workerstest.Settled(t, msg); acked != (n == 3) {
			t.Errorf("worker %d acked: %v", n, acked)
		}
	}
	got, history := workerstest.Read(t, m, e.Task)
	if diff := cmp.Diff([]string{"queued", "started", "started", "started", "failed"}, types(history)); diff != "" || got.Failure.Cause != events.CauseCrash {
		t.Errorf("failure %+v, history (-want +got):\n%s", got.Failure, diff)
	}
	if !strings.Contains(got.Failure.Error, "3 workers vanished") {
		t.Errorf("it says %q", got.Failure.Error)
	}
}

func TestRunner_HonoursTheTasksTimes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set   func(q *events.Queued, now time.Time)
		after time.Duration // of the attempt
		state task.State
		cause events.Cause
	}{
		"Timeout":         {func(q *events.Queued, _ time.Time) { q.TimeoutMS = 7000 }, 7 * time.Second, task.Retrying, events.CauseTimeout},
		"TimeoutIsLonger": {func(q *events.Queued, _ time.Time) { q.TimeoutMS = 3600_000 }, time.Hour, task.Retrying, events.CauseTimeout},
		"Deadline": {func(q *events.Queued, now time.Time) {
			at := now.Add(3 * time.Second)
			q.TimeoutMS, q.Deadline = 7000, &at
		}, 3 * time.Second, task.Failed, events.CauseDeadline},
		"Expired":  {func(q *events.Queued, now time.Time) { q.ExpiresAt = &now }, 0, task.Failed, events.CauseExpired},
		"TooEarly": {func(q *events.Queued, now time.Time) { at := now.Add(time.Minute); q.NotBefore = &at }, 0, task.Queued, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := tasktest.NewMemory()
				q := events.Queued{Kind: "quiz", Input: json.RawMessage(`{}`), Priority: events.Normal, Dispatch: 1, UserID: "u"}
				began := time.Now()
				c.set(&q, began)
				e := tasktest.MustAppend(t, m, tasktest.Event(t, "school", tasktest.QueuedEvent(t, "school").Task, q), 0)
				msg := workerstest.Message(e)
				handle(t, runnerOf(t, m, "w1", blocking(make(chan struct{}, 1))), msg)
				got, _ := workerstest.Read(t, m, e.Task)
				if got.State != c.state || got.Failure != nil && got.Failure.Cause != c.cause || time.Since(began) != c.after {
					t.Errorf("got %s after %s: %+v", got.State, time.Since(began), got.Failure)
				}
				if acked, _ := workerstest.Settled(t, msg); acked != (c.state == task.Failed) {
					t.Errorf("acked: %v", acked)
				}
			})
		})
	}
}

// counting counts what a runner asks of the log.
type counting struct {
	*tasktest.Memory
	appends, reads int
}

func (c *counting) Append(ctx context.Context, e events.Event, after uint64) (uint64, error) {
	c.appends++
	return c.Memory.Append(ctx, e, after)
}

func (c *counting) Last(ctx context.Context, tenant, id string) (events.Event, error) {
	c.reads++
	return c.Memory.Last(ctx, tenant, id)
}

func (c *counting) History(ctx context.Context, tenant, id string, after uint64, limit int) ([]events.Event, error) {
	c.reads++
	return c.Memory.History(ctx, tenant, id, after, limit)
}

func TestRunner_ALifeIsTwoWritesAndNoRead(t *testing.T) {
	t.Parallel()
	log := &counting{Memory: tasktest.NewMemory()}
	agent := versioned{agentOf(func(context.Context, *workers.Run, input) (output, error) { return output{Text: "x"}, nil }), []string{"v1"}}
	r, err := workers.NewRunner(workers.RunnerConfig{Worker: "w1", Agents: []workers.Agent{agent}, Log: log, Board: log})
	if err != nil {
		t.Fatal(err)
	}
	e := workerstest.Queue(t, log.Memory, "quiz", json.RawMessage(`{}`))
	handle(t, r, workerstest.Message(e))
	if got, _ := workerstest.Read(t, log.Memory, e.Task); got.State != task.Completed || log.appends != 2 || log.reads != 0 {
		t.Errorf("got %s with %d writes and %d reads", got.State, log.appends, log.reads)
	}
}

func TestRunner_TellsWhatItDoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := tasktest.NewMemory()
		errs := []error{nil, fault.New(fault.Unavailable, "503"), errStop, nil}
		took := []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 40 * time.Second}
		working, release := make(chan struct{}), make(chan struct{})
		n := 0
		agent := agentOf(func(context.Context, *workers.Run, input) (output, error) {
			if n == len(errs) {
				working <- struct{}{}
				<-release
				return output{Text: "x"}, nil
			}
			n++
			<-time.After(took[n-1])
			return output{Text: "x"}, errs[n-1]
		})
		r, err := workers.NewRunner(workers.RunnerConfig{Worker: "w1", Agents: []workers.Agent{agent}, Log: m, Board: m, Slots: 4, Build: "1.2.3"})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for range errs {
			handle(t, r, workerstest.Message(workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))))
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			handle(t, r, workerstest.Message(workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))))
		}()
		<-working
		want := task.Worker{Name: "w1", Build: "1.2.3", StartedAt: began, Slots: 4, Busy: 1, Kinds: []task.WorkerKind{{
			Kind: "quiz", Running: 1, Completed: 2, Failed: 1, Retried: 1, P50MS: 2000, P95MS: 40_000, LastError: "policy: stop", LastAt: began.Add(46 * time.Second),
		}}}
		if diff := cmp.Diff(want, r.Stats()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		close(release)
		<-ended
		<-time.After(time.Hour)
		if got := r.Stats(); got.Busy != 0 || got.Kinds[0].Running != 0 || got.Kinds[0].Completed != 3 || got.Kinds[0].P95MS != 0 {
			t.Errorf("an hour later: %+v", got)
		}
	})
}

func TestRunner_StatsMayBeReadWhileItWorks(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	r := runnerOf(t, m, "w1", agentOf(func(context.Context, *workers.Run, input) (output, error) { return output{Text: "x"}, nil }))
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 300 {
				handle(t, r, workerstest.Message(workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))))
				if s := r.Stats(); s.Busy > 4 || s.Kinds[0].Running > 4 {
					t.Errorf("%+v", s)
				}
			}
		})
	}
	group.Wait()
	if got := r.Stats().Kinds[0]; got.Completed != 1200 || got.P95MS < got.P50MS || got.P50MS <= 0 {
		t.Errorf("%+v", got)
	}
}
