package task

import (
	"context"
	"fmt"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Explainer knows why a queued task has not begun. The dispatcher does.
type Explainer interface {
	// Explain returns NotFound for a task that it does not know, or has not heard of yet, and Unavailable when nobody answers.
	Explain(ctx context.Context, tenant, id string) (Explanation, error)
}

// Explain says why a task is where it is. What its history tells is told from there; only why a queued task has not begun, or one whose
// retry or wait is over has not gone on, is asked of the dispatcher. NotFound for an unknown task.
func (s *Service) Explain(ctx context.Context, tenant, id string) (Explanation, error) {
	t, err := s.Get(ctx, tenant, id)
	if err != nil {
		return Explanation{}, err
	}
	now := time.Now().UTC()
	x, ok := t.Explain(now)
	if ok && !t.overdue(now) {
		return x, nil
	}
	found, err := Explanation{}, error(fault.New(fault.Unavailable, "there is no dispatcher"))
	if s.Explainer != nil {
		found, err = s.Explainer.Explain(ctx, tenant, id)
	}
	switch kind := fault.KindOf(err); {
	case err == nil:
		return found, nil
	case kind == fault.NotFound && ok, ok && t.State == Retrying && passing(err): // it needs no dispatcher
		return x, nil
	case kind == fault.NotFound:
		x.Code, x.Message = ReasonDispatched, "it was submitted a moment ago and is on its way to a worker"
	case kind == fault.Unavailable || kind == fault.Timeout:
		x.Code, x.Message = ReasonNoDispatcher, "it is on record, and no dispatcher answers: nothing that has to wait its turn begins until one runs"
	default:
		return Explanation{}, err
	}
	return x, nil
}

// Explain says what t's history alone tells of why it is where it is. It is false for a queued task whose time has come: why that has not begun
// is not in its history.
func (t Task) Explain(now time.Time) (Explanation, bool) {
	x := Explanation{TaskID: t.ID, State: t.State, Since: t.UpdatedAt, AsOf: now}
	say := func(code Reason, format string, args ...any) (Explanation, bool) {
		x.Code, x.Message = code, fmt.Sprintf(format, args...)
		return x, true
	}
	switch t.State {
	case Running:
		x.Worker = t.Worker
		if t.StartedAt != nil {
			x.Since = *t.StartedAt
		}
		return say(ReasonRunning, "held by worker %s since %s, attempt %d", t.Worker, clock(x.Since), t.Attempt)
	case Retrying:
		x.Until = t.NextAt
		return say(ReasonRetry, "attempt %d failed (%s: %s); the next one is at %s", t.Attempt, t.Failure.Cause, clip(t.Failure.Error), clock(*t.NextAt))
	case Waiting:
		x.Since, x.Until = t.Wait.Since, t.Wait.Until
		return say(waitReasons[t.Wait.For], "%s", t.Wait.sentence())
	case Queued:
		if t.NotBefore != nil && t.NotBefore.After(now) {
			x.Until = t.NotBefore
			return say(ReasonNotBefore, "it may not begin before %s", clock(*t.NotBefore))
		}
		return x, false
	case Failed:
		if t.Failure != nil {
			return say(ReasonEnded, "it failed at %s: %s: %s", clock(t.UpdatedAt), t.Failure.Cause, clip(t.Failure.Error))
		}
	}
	return say(ReasonEnded, "it is %s since %s", t.State, clock(t.UpdatedAt))
}

// overdue reports whether t's next attempt or its wait's end is past: why it still does not run is not in its history.
func (t Task) overdue(now time.Time) bool {
	switch t.State {
	case Retrying:
		return t.NextAt.Before(now)
	case Waiting:
		return t.Wait.Until != nil && t.Wait.Until.Before(now)
	}
	return false
}

var waitReasons = map[events.Wait]Reason{
	events.WaitTime: ReasonSleep, events.WaitSignal: ReasonSignal, events.WaitBudget: ReasonBudget, events.WaitProvider: ReasonProvider,
}

func (w Wait) sentence() string {
	until := ""
	if w.Until != nil {
		until = ", until " + clock(*w.Until) + " at the latest"
	}
	switch w.For {
	case events.WaitTime:
		return fmt.Sprintf("it sleeps (%s)%s", w.Name, until)
	case events.WaitSignal:
		return fmt.Sprintf("it waits for the signal %s%s", w.Name, until)
	}
	return w.Message + until
}

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }
