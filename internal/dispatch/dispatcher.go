package dispatch

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// Dispatcher keeps a Board and does what it asks for while it holds the lease. Run runs it; its other methods are safe for
// concurrent use, whether it leads or not.
type Dispatcher struct {
	cfg     Config
	shows   chan shown
	jobs    chan job
	results chan func(now time.Time) // run by the loop, under mu
	wake    chan struct{}

	mu       sync.Mutex
	board    *Board
	stats    Stats
	synced   bool      // the log has been shown
	told     bool      // … says the watch itself: nothing else counts as a sign of it
	ready    bool      // and all that was open on it is known
	shownAt  time.Time // the last event
	began    time.Time // the watch
	seen     time.Time // the workers
	leading  bool
	adopting bool          // what is in the queue is being listed, to lead then
	adoptAt  time.Time     // not before
	changed  chan struct{} // closed and replaced when leading changes
	flying   [2]int        // jobs by sort
	again    []Work        // what a list of the queue left to do
	hold     time.Time     // no releases before: the queue took none
	refusals int           // in a row

	gate       Gate // as it was published
	gateAt     time.Time
	gateLooked time.Time
	gateStale  bool // something happened since
	gateFlying bool
}

// shown is what the watch shows: an event, or that all that was on the log has been shown.
type shown struct {
	event  events.Event
	synced bool
}

// Stats is what a Dispatcher has done since it began.
type Stats struct {
	Leading  bool
	Open     int    // tasks that have not ended
	Unread   int    // of these, whose history is still to be read
	Released uint64 // tasks handed to the queue
	Refused  uint64 // that the queue did not take, to be tried again
	Again    uint64 // dispatches that were lost and repeated
	Resumed  uint64 // waits that were ended
	Expired  uint64 // tasks whose time was over
}

// New checks cfg and returns the dispatcher.
func New(cfg Config) (*Dispatcher, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return &Dispatcher{
		cfg: cfg, board: NewBoard(cfg.Board), wake: make(chan struct{}, 1), changed: make(chan struct{}),
		shows: make(chan shown, 1024), jobs: make(chan job, cfg.Releases+cfg.Chores+2), results: make(chan func(time.Time), cfg.Releases+cfg.Chores+2),
	}, nil
}

// Run follows the log, and acts while it holds the lease, until ctx ends; then it gives up the lease, when nothing of what it began is
// under way any more, and returns nil. It returns an error when the log can no longer be followed or the lease never be had. It
// is called once.
func (d *Dispatcher) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	fail := func(what string, err error) {
		if err != nil && ctx.Err() == nil {
			cancel(fmt.Errorf("%s: %w", what, err))
		}
	}
	leased, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	var lease, rest sync.WaitGroup
	lease.Go(func() { fail("keep the dispatcher's lease", d.cfg.Lease.Run(leased)) })
	rest.Go(func() { fail("follow the log", d.watch(ctx)) })
	rest.Go(func() { d.watchWorkers(ctx) })
	rest.Go(func() { d.watchPolicy(ctx) })
	d.loop(ctx)
	rest.Wait()
	giveUp()
	lease.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// watch hands the log's events to the loop.
func (d *Dispatcher) watch(ctx context.Context) error {
	show := func(what shown) {
		select {
		case d.shows <- what:
		case <-ctx.Done():
		}
	}
	event := func(e events.Event) { show(shown{event: e}) }
	d.mu.Lock()
	d.began = time.Now()
	w, tells := d.cfg.Watcher.(SyncedWatcher)
	d.shownAt, d.told = d.began, tells
	d.mu.Unlock()
	if tells {
		return w.WatchSynced(ctx, event, func() { show(shown{synced: true}) })
	}
	return d.cfg.Watcher.Watch(ctx, event)
}

func (d *Dispatcher) watchWorkers(ctx context.Context) {
	tick := time.NewTicker(d.cfg.FleetEvery)
	defer tick.Stop()
	for {
		d.look(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// look takes in who is alive. While nobody answers, those that were seen last count for a while.
func (d *Dispatcher) look(ctx context.Context) {
	bounded, cancel := context.WithTimeout(ctx, d.cfg.Patience)
	defer cancel()
	alive, err := d.cfg.Fleet.Workers(bounded)
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case err == nil:
		d.seen = now
		d.board.SetWorkers(alive, now)
	case !d.seen.IsZero() && now.Sub(d.seen) > d.cfg.FleetAge:
		d.board.SetWorkers(nil, now)
	}
	d.poke()
}

// watchPolicy takes in each new policy. At most 20 a second count.
func (d *Dispatcher) watchPolicy(ctx context.Context) {
	for {
		changed := d.cfg.Policies.Changed()
		d.takePolicy()
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
}

func (d *Dispatcher) takePolicy() {
	p := d.cfg.Policies.Current()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !reflect.DeepEqual(d.board.policy, p) {
		d.board.SetPolicy(p, time.Now())
		d.poke()
	}
}

// poke makes the loop look. It does not wait.
func (d *Dispatcher) poke() {
	d.gateStale = true
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Stats returns what was done so far.
func (d *Dispatcher) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.stats
	s.Leading, s.Open, s.Unread = d.leading, d.board.Open(), d.board.Unread()
	return s
}

var errReading = fault.After(time.Second, "the dispatcher has not read the log yet")

// Explain implements task.Explainer. NotFound for a task that ended or that it has not heard of yet, Unavailable while it reads
// the log.
func (d *Dispatcher) Explain(_ context.Context, tenant, id string) (task.Explanation, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.ready {
		return task.Explanation{}, errReading
	}
	x, ok := d.board.Explain(tenant, id, time.Now())
	if !ok {
		return x, fault.New(fault.NotFound, "the dispatcher has no task %q: it ended, or was not heard of yet", id)
	}
	return x, nil
}

// Backlog returns what waits and runs, by kind. Unavailable while it reads the log.
func (d *Dispatcher) Backlog(context.Context) ([]task.Backlog, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.ready {
		return nil, errReading
	}
	return d.board.Backlog(time.Now()), nil
}

// Open returns the ids of the tasks that a schedule made and that have not ended, as far as the log has been read. Unavailable
// while it reads the log.
func (d *Dispatcher) Open(_ context.Context, schedule string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.ready {
		return nil, errReading
	}
	return d.board.OfSchedule(schedule), nil
}

// Has reports whether a task has not ended, as far as the log has been read. Unavailable while it reads the log.
func (d *Dispatcher) Has(_ context.Context, tenant, id string) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.ready {
		return false, errReading
	}
	return d.board.Has(tenant, id), nil
}
