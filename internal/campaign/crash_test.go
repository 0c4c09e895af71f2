package campaign_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/campaign"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// shift is a time in which runners run, how they end, and how long nobody follows them.
type shift struct {
	Runners int // at once
	Crash   int // they die at the Crash-th replay or save of the shift; 0: they are stopped at its end
	Saved   bool
	Lasts   time.Duration // at most
	Away    time.Duration
}

func shifts() *rapid.Generator[[]shift] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) shift {
		return shift{
			Runners: rapid.IntRange(1, 2).Draw(t, "runners"), Crash: rapid.IntRange(0, 40).Draw(t, "crash"), Saved: rapid.Bool().Draw(t, "saved"),
			Lasts: time.Duration(rapid.IntRange(0, 20_000).Draw(t, "lasts")) * time.Millisecond,
			Away:  time.Duration(rapid.IntRange(0, 10_000).Draw(t, "away")) * time.Millisecond,
		}
	}), 1, 8)
}

// mortal makes the runners of a shift die at a certain write.
type mortal struct {
	mu     sync.Mutex
	left   int // writes to live for; below 0 for ever
	saved  bool
	cancel context.CancelFunc
}

var errDead = fmt.Errorf("the process is dead: %w", context.Canceled)

// write reports whether the write is to be done and whether its answer comes.
func (m *mortal) write() (done, told bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.left < 0:
		return true, true
	case m.left == 0:
		return false, false
	}
	if m.left--; m.left > 0 {
		return true, true
	}
	m.cancel()
	return m.saved, false
}

// store and client are the documents and tasks as a mortal process has them.
type store struct {
	campaign.Documents
	m *mortal
}

func (s store) Put(ctx context.Context, key string, doc campaign.Campaign, rev uint64) (uint64, error) {
	done, told := s.m.write()
	if !done {
		return 0, errDead
	}
	rev, err := s.Documents.Put(context.WithoutCancel(ctx), key, doc, rev)
	if !told {
		return 0, errDead
	}
	return rev, err
}

type client struct {
	*task.Service
	m        *mortal
	unmarked bool
}

func (c client) Replay(ctx context.Context, tenant, id string, req task.ReplayRequest) (task.Task, error) {
	if c.unmarked {
		req.Campaign, req.Seq = "", 0
	}
	done, told := c.m.write()
	if !done {
		return task.Task{}, errDead
	}
	made, err := c.Service.Replay(context.WithoutCancel(ctx), tenant, id, req)
	if !told {
		return task.Task{}, errDead
	}
	return made, err
}

// live plays the shifts, the last of them to the end, beside a worker that fails every third task again.
func live(t *testing.T, plan []shift, dead int, unmarked bool) (*platform, campaign.Campaign) {
	p := newPlatform(t)
	p.seed(dead, events.CauseBug, "it broke again")
	defer p.worker(fails)()
	c := p.begin(func(r *campaign.Request) { r.Rate = 300 })
	for _, sh := range append(plan, shift{Runners: 1, Lasts: 10 * time.Minute}) {
		ctx, cancel := context.WithCancel(context.Background())
		m := &mortal{left: sh.Crash, saved: sh.Saved, cancel: cancel}
		if sh.Crash == 0 {
			m.left = -1
		}
		var stops []func()
		for range sh.Runners {
			stops = append(stops, p.start(store{p.documents, m}, client{p.tasks, m, unmarked}))
		}
		select {
		case <-ctx.Done():
		case <-time.After(sh.Lasts):
		}
		for _, stop := range stops {
			stop()
		}
		cancel()
		after(sh.Away)
	}
	return p, p.get(c.ID)
}

func fails(id string) bool { return id[len(id)-1]%3 != 0 }

func TestRunner_ReplaysEachDeadLetterOnceHoweverRunnersDie(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		plan, dead := shifts().Draw(rt, "shifts"), rapid.IntRange(1, 130).Draw(rt, "dead letters")
		synctest.Test(t, func(t *testing.T) {
			p, c := live(t, plan, dead, false)
			failed := 0
			for id, n := range p.replays() {
				if n != 1 {
					rt.Errorf("task %s was replayed %d times", id, n)
				}
				if !fails(id) {
					failed++
				}
			}
			want := campaign.Counts{Matched: dead, Replayed: dead, Succeeded: dead - failed, Failed: failed}
			if c.State != campaign.Done || c.Counts != want || len(p.replays()) != dead {
				rt.Errorf("%s %+v, want %+v; %d tasks were replayed", c.State, c.Counts, want, len(p.replays()))
			}
		})
	})
}

// The control: what the campaign's mark prevents does happen without it.
func TestRunner_WithoutTheMarkTasksAreReplayedTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		plan := []shift{{Runners: 1, Crash: 6, Saved: true, Lasts: time.Minute, Away: 5 * time.Second}}
		p, _ := live(t, plan, 12, true)
		twice := 0
		for _, n := range p.replays() {
			if n > 1 {
				twice++
			}
		}
		if twice == 0 {
			t.Error("a crash between replaying and saving made no second replay: the test of the mark tests nothing")
		}
	})
}

// Between the runner's look at a task and its replay, somebody else may replay it and it may fail again: that is not the failure
// that was looked at.
func TestReplay_AnswersTheFailureThatWasSeen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		p.seed(1, events.CauseBug, "x")
		seen := p.last("task-00000")
		if _, err := p.tasks.Replay(t.Context(), "school", "task-00000", task.ReplayRequest{By: "bob", Seq: seen}); err != nil {
			t.Fatal(err)
		}
		p.work(never)
		if _, err := p.tasks.Replay(t.Context(), "school", "task-00000", task.ReplayRequest{By: "ada", Seq: seen}); !fault.Is(err, fault.Conflict) {
			t.Errorf("a replay of the failure before: %v", err)
		}
	})
}
