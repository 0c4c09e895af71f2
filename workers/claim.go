package workers

import (
	"context"
	"fmt"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// maxRaces bounds how often a claim is tried anew because the task moved on in between.
const maxRaces = 8

// claim makes this worker the holder of the task, or returns errSuperseded when the dispatch has nothing left to do. A nil
// Run without an error means that the message is settled already.
//
// The first attempt at a fresh dispatch reads nothing: it is appended right behind the event that the dispatch carries. Only
// when the log refuses that is the history read. Whoever held the task before is gone by then, or has lost it: the queue
// delivers a dispatch to one worker at a time.
func (r *Runner) claim(ctx context.Context, d delivery) (*Run, error) {
	run := &Run{log: r.Log, board: r.Board, source: r.source, patience: r.Patience, logger: r.Logger}
	if err := r.begin(ctx, d, run); err != nil {
		return nil, err
	}
	for range maxRaces {
		if settled, err := r.refuse(ctx, d, run); settled || err != nil {
			return nil, err
		}
		t := run.task
		err := run.append(ctx, events.Started{Attempt: t.Attempt + 1, Dispatch: t.Dispatch, Worker: r.Worker})
		if !isStale(err) {
			return run, err
		}
		if err := r.reload(ctx, d, run); err != nil {
			return nil, err
		}
	}
	return nil, fault.After(time.Second, "task %s changes too fast to claim it", d.event.Task)
}

// begin fills run with the task as the dispatch shows it. A replay needs the steps that earlier dispatches left.
func (r *Runner) begin(ctx context.Context, d delivery, run *Run) error {
	if d.queued.Dispatch > 1 {
		return r.reload(ctx, d, run)
	}
	return run.task.Advance(d.event, d.queued)
}

// reload reads the task's history into run.
func (r *Runner) reload(ctx context.Context, d delivery, run *Run) error {
	history, err := r.Log.History(ctx, d.event.Tenant, d.event.Task, 0, 0)
	if fault.Is(err, fault.NotFound) {
		return errUnrecorded
	}
	if err != nil {
		return err
	}
	t, err := task.Fold(history)
	if err != nil {
		return err
	}
	if t.State.Terminal() || t.Dispatch != d.queued.Dispatch {
		return errSuperseded
	}
	return run.restore(t, history)
}

// refuse settles what must not start: it is not due yet, its deadline passed, or it took down too many workers.
func (r *Runner) refuse(ctx context.Context, d delivery, run *Run) (settled bool, err error) {
	t := run.task
	if t.NextAt != nil {
		if early := time.Until(*t.NextAt); early > 0 {
			handBack(d.msg, early)
			return true, nil
		}
	}
	failed := events.Failed{Attempts: t.Attempt, Usage: t.Usage}
	switch {
	case t.Deadline != nil && !t.Deadline.After(time.Now()):
		failed.Cause, failed.Error = events.CauseDeadline, errDeadline.Error()
	case t.State == task.Running && !r.Budgets.allows(events.CauseCrash, t.Failures[events.CauseCrash]+1):
		failed.Cause = events.CauseCrash
		failed.Error = fmt.Sprintf("%d workers vanished while they held the task, %s last", t.Failures[events.CauseCrash]+1, t.Worker)
	default:
		return false, nil
	}
	err = run.append(ctx, failed)
	if isStale(err) { // the claim that follows reads what happened
		return false, nil
	}
	if err == nil {
		d.msg.Ack()
	}
	return err == nil, err
}
