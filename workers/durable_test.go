package workers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/workerstest"
)

// Random agents of steps, sleeps and waits for signals, on workers that die at any write, before or after it is stored, or are
// stopped, while signals come in. Each task ends; what is on record is not done again; and an agent that comes to a place again
// sees there what it saw before: the same outputs, signals, times and random numbers.
func TestRun_IsTheSameInEveryAttempt(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		var err error
		synctest.Test(t, func(t *testing.T) {
			err = live(t, func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "choice") }, (*workers.Run).Now)
		})
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// The same driver finds an agent that looks at the clock on the wall.
func TestRun_IsNotTheSameByTheClockOnTheWall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for seed := range uint64(200) {
			if err := live(t, rand.New(rand.NewPCG(seed, 1)).IntN, func(*workers.Run) time.Time { return time.Now() }); err != nil {
				t.Logf("found at seed %d: %v", seed, err)
				return
			}
		}
		t.Error("no difference found: the driver does not test the clock")
	})
}

// mortal is a log as one worker reaches it until it dies, at its n-th write.
type mortal struct {
	*tasktest.Memory
	left   int
	stored bool // whether the last write is
	dead   bool
	spared func() // called in front of each write
}

var errDead = errors.New("the worker is dead")

func (m *mortal) Append(ctx context.Context, e events.Event, after uint64) (uint64, error) {
	if m.dead {
		return 0, errDead
	}
	if m.spared(); m.left > 0 {
		m.left--
		return m.Memory.Append(ctx, e, after)
	}
	m.dead = true
	if m.stored {
		_, _ = m.Memory.Append(ctx, e, after)
	}
	return 0, errDead
}

func (m *mortal) History(ctx context.Context, tenant, id string, after uint64, limit int) ([]events.Event, error) {
	if m.dead {
		return nil, errDead
	}
	return m.Memory.History(ctx, tenant, id, after, limit)
}

// script is a random agent, and what it saw.
type script struct {
	choose func(int) int
	now    func(*workers.Run) time.Time
	ops    []func(ctx context.Context, run *workers.Run, name string) (string, error)
	seen   []string // by place
	worst  error    // the first thing that was not as it must be
	log    *tasktest.Memory
}

func live(t *testing.T, choose func(int) int, now func(*workers.Run) time.Time) error {
	m := tasktest.NewMemory()
	s := &script{choose: choose, now: now, log: m}
	for range 1 + choose(6) {
		s.ops = append(s.ops, []func(context.Context, *workers.Run, string) (string, error){s.step, s.nap, s.wait}[choose(3)])
	}
	s.seen = make([]string, len(s.ops)+1)
	e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
	for round := 0; ; round++ {
		got, history := workerstest.Read(t, m, e.Task)
		switch {
		case s.worst != nil:
			return s.worst
		case got.State == task.Completed:
			return nil
		case got.State.Terminal() || round > 300:
			return fmt.Errorf("the task is %s in round %d: %+v; history %v", got.State, round, got.Failure, types(history))
		case got.State == task.Waiting:
			e = s.wake(t, got, e)
		default:
			s.deliver(t, e, round > 100)
		}
	}
}

// wake lets time pass, or sends a signal, and resumes the task: at times too early.
func (s *script) wake(t *testing.T, got task.Task, e events.Event) events.Event {
	switch s.choose(3) {
	case 0:
		<-time.After(time.Until(*got.Wait.Until))
	case 1:
		<-time.After(time.Duration(1+s.choose(40)) * time.Minute)
	case 2:
		if got.Signals < task.MaxSignals {
			workerstest.Signal(t, s.log, e.Task, fmt.Sprintf("op%d", s.choose(len(s.ops))), json.RawMessage(fmt.Sprint(s.choose(1000))))
		}
	}
	return workerstest.Resume(t, s.log, e.Task)
}

func (s *script) deliver(t *testing.T, e events.Event, calm bool) {
	log := &mortal{Memory: s.log, left: 1000, stored: s.choose(2) == 0}
	log.spared = func() {
		<-time.After(time.Millisecond)
		if got, _ := workerstest.Read(t, s.log, e.Task); !calm && got.Signals < task.MaxSignals && s.choose(6) == 0 {
			workerstest.Signal(t, s.log, e.Task, fmt.Sprintf("op%d", s.choose(len(s.ops))), json.RawMessage(fmt.Sprint(s.choose(1000))))
		}
	}
	if !calm && s.choose(2) == 0 {
		log.left = s.choose(8)
	}
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	agent := agentOf(func(ctx context.Context, run *workers.Run, _ input) (output, error) {
		if !calm && s.choose(4) == 0 {
			stop(errors.New("the worker stops"))
			return output{}, ctx.Err()
		}
		return s.work(ctx, run)
	})
	r, err := workers.NewRunner(workers.RunnerConfig{Worker: "w1", Agents: []workers.Agent{agent}, Log: log, Board: s.log,
		Budgets: workers.Budgets{events.CauseCrash: {Retries: workers.Unlimited}, events.CauseDrain: {Retries: workers.Unlimited}, events.CauseBroker: {Retries: workers.Unlimited}}})
	if err != nil {
		t.Fatal(err)
	}
	msg := workerstest.Message(e)
	msg.SetContext(ctx)
	handle(t, r, msg)
	<-time.After(time.Second)
}

func (s *script) work(ctx context.Context, run *workers.Run) (output, error) {
	var all []string
	before := time.Time{}
	for i, op := range s.ops {
		now := s.now(run)
		if now.Before(before) {
			s.wrong("the time went back from %s to %s", before, now)
		}
		before = now
		s.see(i, fmt.Sprint(all, now, run.Rand().Uint64(), run.Rand().Uint64()))
		out, err := op(ctx, run, fmt.Sprintf("op%d", i))
		if err != nil {
			return output{}, err
		}
		all = append(all, out)
	}
	s.see(len(s.ops), fmt.Sprint(all, s.now(run), run.Rand().Uint64()))
	return output{Text: strings.Join(all, " ")}, nil
}

// see compares what an agent sees at a place with what it saw there before.
func (s *script) see(place int, what string) {
	if s.seen[place] != "" && s.seen[place] != what {
		s.wrong("at place %d it saw %s, before %s", place, what, s.seen[place])
	}
	s.seen[place] = what
}

func (s *script) wrong(format string, args ...any) {
	if s.worst == nil {
		s.worst = fmt.Errorf(format, args...)
	}
}

func (s *script) step(ctx context.Context, run *workers.Run, name string) (string, error) {
	return workers.Step(ctx, run, name, name, func(context.Context) (string, error) {
		history, err := s.log.History(ctx, "school", run.Task().ID, 0, 0)
		for _, e := range history {
			if step, err := events.DataAs[events.Step](e); err == nil && step.Name == name {
				s.wrong("step %s runs and is on record", name)
			}
		}
		return fmt.Sprint(name, run.Rand().IntN(10), time.Now().UnixNano()), err
	})
}

func (s *script) nap(ctx context.Context, run *workers.Run, name string) (string, error) {
	return name, run.Sleep(ctx, name, time.Duration(s.choose(60))*500*time.Millisecond)
}

func (s *script) wait(ctx context.Context, run *workers.Run, name string) (string, error) {
	n, err := workers.WaitFor[int](ctx, run, name, time.Hour)
	if errors.Is(err, workers.ErrNoSignal) {
		return "none", nil
	}
	return fmt.Sprint(n), err
}

// The task's time begins with its life, moves with what goes on record and with nothing else, and does not go back where a replay
// finds what is older than itself.
func TestRun_NowIsTheTimeOfWhatThePathHasPassed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := tasktest.NewMemory()
		var seen []time.Duration
		origin := time.Now()
		note := func(run *workers.Run) { seen = append(seen, run.Now().Sub(origin)) }
		r := runnerOf(t, m, "w1", agentOf(func(ctx context.Context, run *workers.Run, in input) (output, error) {
			seen = nil
			note(run)
			<-time.After(3 * time.Second)
			note(run)
			if _, err := workers.Step(ctx, run, "one", in, func(context.Context) (int, error) { <-time.After(4 * time.Second); return 1, nil }); err != nil {
				return output{}, err
			}
			note(run)
			err := run.Sleep(ctx, "nap", time.Minute)
			if err == nil {
				note(run)
				err = errStop
			}
			return output{}, err
		}))
		expect := func(want ...time.Duration) {
			t.Helper()
			if !slices.Equal(seen, want) {
				t.Errorf("it saw %v, want %v", seen, want)
			}
		}
		e := workerstest.Queue(t, m, "quiz", json.RawMessage(`{}`))
		<-time.After(time.Second)
		handle(t, r, workerstest.Message(e))
		expect(0, 0, 8*time.Second)
		<-time.After(time.Minute)
		handle(t, r, workerstest.Message(workerstest.Resume(t, m, e.Task)))
		expect(0, 0, 8*time.Second, 71*time.Second)
		<-time.After(time.Until(origin.Add(time.Hour)))
		handle(t, r, workerstest.Message(workerstest.Replay(t, m, e.Task, nil)))
		expect(time.Hour, time.Hour, time.Hour, time.Hour)
	})
}
