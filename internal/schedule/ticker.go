package schedule

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// TickerConfig is what a Ticker needs.
type TickerConfig struct {
	Documents Documents
	Tasks     Tasks
	Runs      Runs             // nil: only the last run counts for Overlap
	Grace     time.Duration    // a tick that is later than this is missed, unless Backfill runs it; DefaultGrace when 0
	Poll      time.Duration    // how often a pending tick looks whether the run before it has ended; 2 s when 0
	Parallel  int              // schedules served at once; 16 when 0
	Now       func() time.Time // the clock on the wall; time.Now when nil
	Logger    *slog.Logger
}

// DefaultGrace outlasts a change of the leader, an election in the broker and a deployment.
const DefaultGrace = time.Minute

// Ticker submits what is due.
type Ticker struct {
	TickerConfig
	calendars sync.Map // document key → compiled
}

// compiled is the calendar of one revision of a schedule.
type compiled struct {
	revision int
	calendar *Calendar
}

// NewTicker checks cfg and returns the ticker.
func NewTicker(cfg TickerConfig) (*Ticker, error) {
	switch {
	case cfg.Documents == nil:
		return nil, fmt.Errorf("schedule ticker: TickerConfig.Documents is missing")
	case cfg.Tasks == nil:
		return nil, fmt.Errorf("schedule ticker: TickerConfig.Tasks is missing")
	}
	if cfg.Grace == 0 {
		cfg.Grace = DefaultGrace
	}
	if cfg.Poll == 0 {
		cfg.Poll = 2 * time.Second
	}
	if cfg.Parallel == 0 {
		cfg.Parallel = 16
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Ticker{TickerConfig: cfg}, nil
}

// now is the wall clock's time: comparisons must not be made on the monotonic one, which misses a suspended machine.
func (t *Ticker) now() time.Time { return t.Now().UTC().Round(0) }

// Waits of the ticker.
const (
	maxSleep  = 5 * time.Second // after which it looks at the clock again, which may have been set
	minRetry  = time.Second
	maxRetry  = 30 * time.Second
	rewatch   = time.Second
	perStep   = 16 // decisions on one schedule before others have their turn
	maxRaces  = 16
	stepLimit = time.Minute
)

// note tells the loop about a schedule: a change of its document, or the end of a step.
type note struct {
	key  string
	rev  uint64
	wake time.Time // zero: not until it is changed
	gone bool
	step bool // it ends a step
	err  error
}

// Run serves all schedules until ctx ends; then it waits for what it has begun and returns nil. It may run in several processes
// at once, which costs reads and conflicts but makes no second run. Call it while leading.
func (t *Ticker) Run(ctx context.Context) error {
	notes := make(chan note, 256)
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	running.Go(func() { t.watch(ctx, notes) })

	a := agenda{entries: map[string]*entry{}}
	timer := time.NewTimer(0)
	defer timer.Stop()
	busy := 0
	for {
		now := t.now()
		for busy < t.Parallel {
			e := a.take(now)
			if e == nil {
				break
			}
			busy++
			running.Go(func() { t.tell(ctx, notes, t.step(ctx, e.key)) })
		}
		sleep := maxSleep
		if busy < t.Parallel {
			sleep = min(sleep, a.wait(now))
		}
		timer.Reset(sleep)
		select {
		case <-ctx.Done():
			return nil
		case n := <-notes:
			busy -= t.hear(ctx, &a, n)
			for range len(notes) {
				busy -= t.hear(ctx, &a, <-notes)
			}
		case <-timer.C:
		}
	}
}

func (t *Ticker) tell(ctx context.Context, notes chan<- note, n note) {
	select {
	case notes <- n:
	case <-ctx.Done():
	}
}

// hear enters n into the agenda and returns 1 when it ends a step.
func (t *Ticker) hear(ctx context.Context, a *agenda, n note) int {
	switch {
	case n.gone:
		t.calendars.Delete(n.key)
		a.drop(n.key, n.step)
	case n.err != nil:
		failures := a.failed(n.key)
		if failures == 1 {
			t.Logger.WarnContext(ctx, "schedule cannot be served, trying again", "schedule", n.key, "error", n.err)
		}
		again := max(min(maxRetry, minRetry<<min(failures-1, 5)), fault.RetryAfter(n.err))
		a.retry(n.key, t.now().Add(again/2+rand.N(again/2+1)))
	default:
		a.set(n)
	}
	if n.step {
		return 1
	}
	return 0
}

// watch tells the loop of every document and change, also after the watch broke.
func (t *Ticker) watch(ctx context.Context, notes chan<- note) {
	for {
		err := t.Documents.Watch(ctx, func(key string, doc Schedule, rev uint64, gone bool) {
			n := note{key: key, rev: rev, gone: gone}
			if !gone {
				n.wake = t.wakeOf(ctx, doc)
			}
			t.tell(ctx, notes, n)
		})
		if ctx.Err() != nil {
			return
		}
		t.Logger.WarnContext(ctx, "schedules cannot be watched, trying again", "error", err)
		select {
		case <-time.After(rewatch):
		case <-ctx.Done():
			return
		}
	}
}

// wakeOf returns when doc needs attention; zero also for one that cannot be read, such as one that a newer version wrote.
func (t *Ticker) wakeOf(ctx context.Context, doc Schedule) time.Time {
	c, err := t.calendar(doc)
	if err != nil {
		t.Logger.ErrorContext(ctx, "schedule has no calendar and is left alone", "schedule", doc.documentKey(), "error", err)
		return time.Time{}
	}
	return doc.wake(c, t.now(), t.Poll)
}

func (t *Ticker) calendar(s Schedule) (*Calendar, error) {
	if kept, ok := t.calendars.Load(s.documentKey()); ok && kept.(compiled).revision == s.Revision {
		return kept.(compiled).calendar, nil
	}
	c, err := s.Calendar(s.State.Anchor)
	if err != nil {
		return nil, err
	}
	t.calendars.Store(s.documentKey(), compiled{s.Revision, c})
	return c, nil
}
