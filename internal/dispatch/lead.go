package dispatch

import (
	"context"
	"errors"
	"time"

	"github.com/toolboxai/orchestrator/events"
)

// leaseLook is how often a Dispatcher looks whether it holds the lease, at least.
const leaseLook = 100 * time.Millisecond

// ErrNotLeading is the cause with which the context of what runs WhileLeading ends.
var ErrNotLeading = errors.New("this process is no longer the one that dispatches")

// lead begins or ceases to act, as the lease says. The first thing a leader does is to learn what is in the queue: only its
// predecessor knew.
func (d *Dispatcher) lead(now time.Time) {
	held := d.cfg.Lease.Held()
	switch {
	case d.leading && !held:
		d.setLeading(false, now)
	case !d.leading && held && d.ready && !d.adopting && !now.Before(d.adoptAt) && d.known():
		d.adopting = true
		d.start(chores, func(ctx context.Context) func(time.Time) {
			list, err := d.cfg.Queue.Waiting(ctx)
			return func(now time.Time) { d.adopt(list, err, now) }
		})
	}
}

// known reports whether the policy is known.
func (d *Dispatcher) known() bool {
	p, ok := d.cfg.Policies.(ReadyPolicies)
	if !ok {
		return true
	}
	select {
	case <-p.Ready():
		return true
	default:
		return false
	}
}

func (d *Dispatcher) adopt(list []events.Dispatch, err error, now time.Time) {
	d.adopting = false
	if err != nil {
		d.adoptAt = now.Add(time.Second)
		d.cfg.Logger.Warn("the queue cannot be listed, nothing is dispatched until it can", "error", err)
		return
	}
	if !d.cfg.Lease.Held() {
		return
	}
	d.board.Known(list, now)
	d.setLeading(true, now)
}

func (d *Dispatcher) setLeading(leading bool, now time.Time) {
	d.leading = leading
	d.board.Act(leading)
	if !leading {
		for _, w := range d.again {
			d.board.Done(w, ErrNotLeading, now)
		}
		d.again = nil
	}
	d.gate, d.gateAt, d.gateStale = Gate{}, time.Time{}, true
	close(d.changed)
	d.changed = make(chan struct{})
	d.cfg.Logger.Info("dispatcher changes its part", "leading", leading, "open_tasks", d.board.Open())
}

// Leading reports whether this process is the one that dispatches.
func (d *Dispatcher) Leading() bool {
	leading, _ := d.part()
	return leading
}

// part returns whether this process leads, and what is closed when that changes.
func (d *Dispatcher) part() (bool, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.leading, d.changed
}

// WhileLeading runs fn whenever this process begins to lead, one after the other, until ctx ends; then it returns nil. fn's context
// ends with ErrNotLeading as its cause when the process ceases to lead. An error that fn returns while it leads is returned;
// where fn returns nil it is run again the next time that the process begins to lead.
func (d *Dispatcher) WhileLeading(ctx context.Context, fn func(context.Context) error) error {
	for {
		leading, changed := d.part()
		if leading {
			if err := d.runLeading(ctx, changed, fn); err != nil {
				return err
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

func (d *Dispatcher) runLeading(ctx context.Context, changed <-chan struct{}, fn func(context.Context) error) error {
	bounded, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-changed:
			cancel(ErrNotLeading)
		case <-bounded.Done():
		}
	}()
	err := fn(bounded)
	ended := bounded.Err() != nil
	cancel(nil)
	<-watched
	if ended {
		return nil
	}
	return err
}
