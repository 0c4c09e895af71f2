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
	run := &Run{log: r.Log, board: r.Board, source: r.source, blobs: r.Blobs, patience: r.Patience, logger: r.Logger}
	if err := r.begin(ctx, d, run); err != nil {
		return nil, err
	}
	for range maxRaces {
		if settled, err := r.refuse(ctx, d, run); settled || err != nil {
			return nil, err
		}
		t := run.Task()
		version, _ := r.version(t)
		started, err := run.append(ctx, events.Started{Attempt: t.Attempt + 1, Dispatch: t.Dispatch, Worker: r.Worker, Version: version})
		if !isStale(err) {
			run.started = started.Seq
			return run, err
		}
		if err := r.reload(ctx, d, run); err != nil {
			return nil, err
		}
	}
	return nil, fault.After(time.Second, "task %s changes too fast to claim it", d.event.Task)
}

// begin fills run with the task as the dispatch shows it. Later dispatches need what the earlier ones left.
func (r *Runner) begin(ctx context.Context, d delivery, run *Run) error {
	if d.queued.Dispatch > 1 {
		return r.reload(ctx, d, run)
	}
	run.journal.open(d.event, d.queued)
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
	if t.State.Terminal() || t.State == task.Waiting || t.Dispatch != d.queued.Dispatch {
		return errSuperseded
	}
	return run.restore(t, history)
}

// refuse settles what must not start: it is not due yet, its time is over, it took down too many workers, or it needs a version of
// its agent that is not here.
func (r *Runner) refuse(ctx context.Context, d delivery, run *Run) (settled bool, err error) {
	t := run.Task()
	if early := tooEarly(t); early > 0 {
		handBack(d.msg, early)
		return true, nil
	}
	failed := events.Failed{Attempts: t.Attempt, Usage: t.Usage}
	version, here := r.version(t)
	switch {
	case passed(t.Deadline):
		failed.Cause, failed.Error = events.CauseDeadline, errDeadline.Error()
	case t.State == task.Queued && passed(t.ExpiresAt):
		failed.Cause, failed.Error = events.CauseExpired, "no worker began the task before its time in the queue was over"
	case t.State == task.Running && !r.Budgets.allows(events.CauseCrash, t.Failures[events.CauseCrash]+1):
		failed.Cause = events.CauseCrash
		failed.Error = fmt.Sprintf("%d workers vanished while they held the task, %s last", t.Failures[events.CauseCrash]+1, t.Worker)
	case !here:
		r.Logger.InfoContext(ctx, "dispatch handed back: the task needs a version of its agent that this worker does not have",
			"task_id", t.ID, "tenant", t.Tenant, "kind", t.Kind, "version", version, "delay", versionPause)
		handBack(d.msg, versionPause)
		return true, nil
	default:
		return false, nil
	}
	_, err = run.append(ctx, failed)
	if isStale(err) { // the claim that follows reads what happened
		return false, nil
	}
	if err == nil {
		r.stats.settled(t.Kind, failed)
		d.msg.Ack()
	}
	return err == nil, err
}

// tooEarly returns how long t must not begin yet.
func tooEarly(t task.Task) time.Duration {
	var early time.Duration
	if t.NextAt != nil {
		early = time.Until(*t.NextAt)
	}
	if t.NotBefore != nil && t.State == task.Queued {
		early = max(early, time.Until(*t.NotBefore))
	}
	return early
}

func passed(at *time.Time) bool { return at != nil && !at.After(time.Now()) }
