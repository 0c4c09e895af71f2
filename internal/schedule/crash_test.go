package schedule_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/internal/schedule"
	"github.com/toolboxai/orchestrator/internal/task"
)

// shift is a time in which tickers run, how they end, and how long nobody follows them.
type shift struct {
	Tickers int           // at once
	Crash   int           // they die at the Crash-th submission or save of the shift; 0: they are stopped at its end
	Saved   bool          // the fatal submission or save is done, and its answer lost
	Lasts   time.Duration // at most
	Away    time.Duration
	Edit    bool // somebody edits the schedule in the middle
}

func shifts() *rapid.Generator[[]shift] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) shift {
		minutes := func(most int, name string) time.Duration {
			return time.Duration(rapid.IntRange(0, most*60).Draw(t, name)) * time.Second
		}
		return shift{
			Tickers: rapid.IntRange(1, 2).Draw(t, "tickers"), Crash: rapid.IntRange(0, 9).Draw(t, "crash"), Saved: rapid.Bool().Draw(t, "saved"),
			Lasts: minutes(90, "lasts"), Away: minutes(120, "away"), Edit: rapid.Bool().Draw(t, "edit"),
		}
	}), 1, 8)
}

// mortal makes the tickers of a shift die at a certain write.
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
	if m.left < 0 {
		return true, true
	}
	m.left--
	switch {
	case m.left > 0:
		return true, true
	case m.left == 0:
		m.cancel()
		return m.saved, false
	}
	m.left = 0
	return false, false
}

// store and client are the documents and tasks as a mortal process has them.
type store struct {
	schedule.Documents
	m *mortal
}

func (s store) Put(ctx context.Context, key string, doc schedule.Schedule, rev uint64) (uint64, error) {
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
	submitter
	m *mortal
}

func (c client) Submit(ctx context.Context, sub task.Submission) (task.Task, bool, error) {
	done, told := c.m.write()
	if !done {
		return task.Task{}, false, errDead
	}
	made, fresh, err := c.submitter.Submit(context.WithoutCancel(ctx), sub)
	if !told {
		return task.Task{}, false, errDead
	}
	return made, fresh, err
}

// live plays the shifts and returns how many tasks each tick has, and which ticks there were.
func live(t *testing.T, plan []shift, overlap schedule.Overlap, keyless bool) (made map[time.Time]int, ticks []time.Time, missed uint64) {
	p := newPlatform(t)
	s := p.create(func(d *schedule.Definition) {
		d.Cron, d.Backfill, d.Overlap, d.Jitter = "*/7 * * * *", schedule.MaxBackfill, overlap, schedule.Duration(2*time.Minute)
	})
	p.submit.before = func(sub *task.Submission) error {
		if keyless {
			sub.Key = ""
		}
		return nil
	}
	plan = append(plan, shift{Tickers: 1, Lasts: 30 * time.Minute})
	for _, sh := range plan {
		ctx, cancel := context.WithCancel(context.Background())
		m := &mortal{left: sh.Crash, saved: sh.Saved, cancel: cancel}
		if sh.Crash == 0 {
			m.left = -1
		}
		var stops []func()
		for range sh.Tickers {
			stops = append(stops, p.start(func(c *schedule.TickerConfig) {
				c.Documents, c.Tasks, c.Poll = store{p.documents, m}, client{p.submit, m}, 15*time.Second
			}))
		}
		// A worker ends every run after a minute, while the shift lasts and after it.
		end, over := time.Now().Add(sh.Lasts), ctx.Done()
		for time.Now().Before(end) {
			select {
			case <-over:
				over = nil
				for _, stop := range stops {
					stop()
				}
				stops = nil
			case <-time.After(time.Minute):
			}
			p.work()
		}
		for _, stop := range stops {
			stop()
		}
		cancel()
		if sh.Edit {
			d := p.get(s.ID).Definition
			d.Name += "!"
			if _, err := p.service.Update(context.Background(), "school", s.ID, "bob", 0, d); err != nil {
				t.Fatal(err)
			}
		}
		after(sh.Away)
		p.work()
	}
	final := p.get(s.ID)
	made = map[time.Time]int{}
	for _, run := range p.made() {
		made[*run.Origin.Tick]++
	}
	cal, err := s.Calendar(s.State.Anchor)
	if err != nil {
		t.Fatal(err)
	}
	for tick, ok := cal.Next(s.CreatedAt); ok && !tick.After(final.State.Through); tick, ok = cal.Next(tick) {
		ticks = append(ticks, tick)
	}
	return made, ticks, final.State.Missed
}

// work ends all open runs: those whose dispatch waits.
func (p *platform) work() {
	for _, d := range must(p.log.Waiting(context.Background())) {
		p.log.Ack(d)
		p.finish(d.Task, false)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestTicker_OneRunPerTickHoweverTickersDie(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		plan := shifts().Draw(rt, "shifts")
		synctest.Test(t, func(t *testing.T) {
			made, ticks, missed := live(t, plan, schedule.CancelPrevious, false)
			if missed != 0 || len(ticks) == 0 || len(made) != len(ticks) {
				rt.Errorf("%d ticks, %d of them have a run, %d missed", len(ticks), len(made), missed)
			}
			for _, tick := range ticks {
				if made[tick] != 1 {
					rt.Errorf("tick %s has %d runs", tick, made[tick])
				}
			}
		})
	})
}

// With queue and skip some ticks have no run, and none has two.
func TestTicker_NeverTwoRunsPerTickWhateverTheOverlap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		plan, overlap := shifts().Draw(rt, "shifts"), rapid.SampledFrom([]schedule.Overlap{schedule.Queue, schedule.Skip}).Draw(rt, "overlap")
		synctest.Test(t, func(t *testing.T) {
			made, ticks, _ := live(t, plan, overlap, false)
			if len(made) == 0 || len(made) > len(ticks) {
				rt.Errorf("%d ticks, %d of them have a run", len(ticks), len(made))
			}
			for tick, n := range made {
				if n != 1 {
					rt.Errorf("tick %s has %d runs", tick, n)
				}
			}
		})
	})
}

// The control: what the key prevents does happen without it.
func TestTicker_WithoutTheKeyTicksRunTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		plan := []shift{{Tickers: 1, Crash: 1, Saved: true, Lasts: 10 * time.Minute}}
		made, _, _ := live(t, plan, schedule.CancelPrevious, true)
		twice := 0
		for _, n := range made {
			if n > 1 {
				twice++
			}
		}
		if twice == 0 {
			t.Error("a crash between submitting and saving made no second run: the test of the key tests nothing")
		}
	})
}

// crashed submits the first tick's run and dies before it is saved.
func crashed(t *testing.T, p *platform) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	m := &mortal{left: 1, saved: true, cancel: cancel}
	stop := p.start(func(c *schedule.TickerConfig) { c.Documents, c.Tasks = store{p.documents, m}, client{p.submit, m} })
	<-ctx.Done()
	stop()
	if len(p.made()) != 1 {
		t.Fatalf("%d runs were submitted before the crash", len(p.made()))
	}
}

func TestTicker_DoesNotCancelTheRunThatItForgot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		s := p.create(func(d *schedule.Definition) { d.Overlap = schedule.CancelPrevious })
		crashed(t, p)
		run := p.made()[0]
		stop := p.start(func(c *schedule.TickerConfig) { c.Runs = board{s.ID: {run.ID}} })
		defer stop()
		after(time.Minute)
		if now := p.made(); len(now) != 1 || now[0].State != task.Queued || p.get(s.ID).State.LastTask != run.ID {
			t.Errorf("runs %+v, state %+v", now, p.get(s.ID).State)
		}
	})
}

func TestTicker_DoesNotCountARunThatItForgotAsMissed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		s := p.create(nil)
		began := time.Now()
		crashed(t, p)
		after(2*time.Hour + 30*time.Minute)
		stop := p.start(nil)
		defer stop()
		after(time.Second)
		got := p.get(s.ID)
		if got.State.Missed != 2 || outcomes(got, began)[time.Hour] != schedule.Submitted || got.State.LastTask != p.made()[0].ID {
			t.Errorf("state %+v", got.State)
		}
	})
}
