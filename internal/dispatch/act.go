package dispatch

import (
	"context"
	"errors"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// release dispatches a task.
func (d *Dispatcher) release(r Release) {
	d.start(releases, func(ctx context.Context) func(time.Time) {
		err := ErrNotLeading
		if d.cfg.Lease.Held() {
			err = d.dispatch(ctx, r.Dispatch, r.QueuedSeq, r.Event)
		}
		return func(now time.Time) { d.released(r, err, now) }
	})
}

func (d *Dispatcher) released(r Release, err error, now time.Time) {
	kind := fault.KindOf(err)
	switch {
	case err == nil:
		d.refusals = 0
		d.stats.Released++
		d.board.Sent(r, now)
	case kind == fault.NotFound:
		d.board.Gone(r)
	case kind == fault.Unavailable || kind == fault.Timeout || kind == fault.Canceled:
		if !now.Before(d.hold) {
			d.cfg.Logger.Warn("the queue takes nothing, trying again", "error", err)
			d.pause(now)
		}
		d.stats.Refused++
		d.board.Refused(r, d.hold, now)
	case errors.Is(err, ErrNotLeading):
		d.board.Refused(r, now, now)
	default:
		d.cfg.Logger.Error("a task cannot be dispatched, trying again in a minute", "task_id", r.Dispatch.Task, "tenant", r.Dispatch.Tenant, "error", err)
		d.stats.Refused++
		d.board.Refused(r, now.Add(slowest), now)
	}
}

// dispatch puts a dispatch into the queue, with the event that it repeats, which is read when it was not kept.
func (d *Dispatcher) dispatch(ctx context.Context, entry events.Dispatch, seq uint64, kept *events.Event) error {
	if kept == nil {
		found, err := d.cfg.Log.History(ctx, entry.Tenant, entry.Task, seq-1, 1)
		if err != nil {
			return err
		}
		if len(found) == 0 || found[0].Seq != seq {
			return fault.New(fault.NotFound, "event %d of task %s is gone", seq, entry.Task)
		}
		kept = &found[0]
	}
	return d.cfg.Queue.Dispatch(ctx, entry, *kept)
}

// chore does a piece of work.
func (d *Dispatcher) chore(w Work) {
	d.start(chores, func(ctx context.Context) func(time.Time) {
		if w.Do == Read {
			return d.read(ctx, w)
		}
		if !d.cfg.Lease.Held() {
			return func(now time.Time) { d.board.Done(w, ErrNotLeading, now) }
		}
		if w.Do == List {
			list, err := d.cfg.Queue.Waiting(ctx)
			return func(now time.Time) {
				d.board.Done(w, err, now)
				if err == nil && d.leading {
					d.again = append(d.again, d.board.Missing(list, now)...)
				}
			}
		}
		count, err := d.do(ctx, w)
		return func(now time.Time) {
			if fault.Is(err, fault.NotFound) {
				d.board.Lost(w)
				return
			}
			if err != nil {
				d.cfg.Logger.Warn("work on a task is put off", "task_id", w.Task, "tenant", w.Tenant, "error", err)
			} else if count != nil {
				*count++
			}
			d.board.Done(w, err, now)
		}
	})
}

func (d *Dispatcher) read(ctx context.Context, w Work) func(time.Time) {
	history, err := d.cfg.Log.History(ctx, w.Tenant, w.Task, 0, 0)
	return func(now time.Time) {
		switch {
		case err == nil, fault.Is(err, fault.NotFound):
			d.board.Load(w.Tenant, w.Task, history, now)
		case errors.Is(err, events.ErrMalformed): // it stays so: waiting for it would keep everybody waiting
			d.board.Unreadable(w.Tenant, w.Task, err)
		default:
			d.cfg.Logger.Warn("a history cannot be read, trying again", "task_id", w.Task, "tenant", w.Tenant, "error", err)
			d.board.Done(w, err, now)
		}
	}
}

// do does what concerns one task, and returns what is to be counted. NotFound says that the log has lost the event that was to be dispatched again.
func (d *Dispatcher) do(ctx context.Context, w Work) (count *uint64, err error) {
	switch w.Do {
	case Expire:
		count = &d.stats.Expired
		_, err = d.cfg.Tasks.Expire(ctx, w.Tenant, w.Task)
		err = unlessGone(err)
	case Resume:
		count = &d.stats.Resumed
		_, err = d.cfg.Tasks.Resume(ctx, w.Tenant, w.Task, w.Waiting, w.Why)
		err = unlessGone(err)
	case Look:
		has, err := d.cfg.Queue.Has(ctx, w.Dispatch)
		if err != nil || has {
			return nil, err
		}
		return d.repeat(ctx, w)
	case Again:
		return d.repeat(ctx, w)
	}
	return count, err
}

// unlessGone makes nothing of NotFound: where the task is gone there is nothing to do.
func unlessGone(err error) error {
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// repeat dispatches what is on record and not in the queue: its submitter died between the two writes, or the queue lost it.
func (d *Dispatcher) repeat(ctx context.Context, w Work) (count *uint64, err error) {
	if err := d.dispatch(ctx, w.Dispatch, w.Queued, nil); err != nil {
		return nil, err
	}
	d.cfg.Logger.InfoContext(ctx, "task dispatched again: it was on record and not in the queue",
		"task_id", w.Task, "tenant", w.Tenant, "kind", w.Dispatch.Kind, "dispatch", w.Dispatch.N)
	return &d.stats.Again, nil
}

// gateEvery bounds how often the gate is published; GateAge/4 how seldom.
const gateEvery = 50 * time.Millisecond

// tell publishes the gate when it changed.
func (d *Dispatcher) tell(now time.Time) {
	repeat := now.Sub(d.gateAt) >= GateAge/4
	if d.cfg.Gate == nil || d.gateFlying || !repeat && !d.gateStale || now.Sub(d.gateLooked) < gateEvery {
		return
	}
	d.gateLooked, d.gateStale = now, false
	g := d.board.Gate(now)
	if !repeat && g.same(d.gate) {
		return
	}
	d.gateFlying = true
	d.start(chores, func(ctx context.Context) func(time.Time) {
		err := d.cfg.Gate.PublishGate(ctx, g)
		return func(now time.Time) {
			d.gateFlying = false
			if err != nil {
				d.gateStale = true
				d.cfg.Logger.Warn("the gate cannot be published, trying again", "error", err)
				return
			}
			d.gate, d.gateAt = g, now
		}
	})
}
