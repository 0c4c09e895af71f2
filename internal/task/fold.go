package task

import (
	"errors"
	"fmt"
	"slices"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// UnknownKind is the kind of a task that was made from a dispatch that nobody could read.
const UnknownKind = "unknown"

// Fold returns the task that a history tells of. The history is in log order and complete; where its beginning has aged out
// of the log, the task is told from its earliest remaining dispatch on. An empty one is NotFound, an impossible one Internal.
func Fold(history []events.Event) (Task, error) {
	if len(history) == 0 {
		return Task{}, fault.New(fault.NotFound, "the task has no history")
	}
	if !begins(history) {
		from := slices.IndexFunc(history, func(e events.Event) bool { return e.Type == events.TypeQueued })
		history = history[max(from, 0):]
	}
	var t Task
	for _, e := range history {
		if err := t.Apply(e); err != nil {
			return Task{}, err
		}
	}
	return t, nil
}

// Apply advances t by its next event, or returns an Internal fault and leaves t alone when the event cannot follow.
// Event types that this version does not know move only Seq and UpdatedAt.
func (t *Task) Apply(e events.Event) error {
	p, err := body(e)
	if err != nil {
		return fault.New(fault.Internal, "task %s: event %s at %d: %w", e.Task, e.Type, e.Seq, err)
	}
	return t.Advance(e, p)
}

// Advance is Apply for who has e's body already: p must be what e was made from.
func (t *Task) Advance(e events.Event, p events.Payload) error {
	next := *t
	if err := next.advance(e, p); err != nil {
		return fault.New(fault.Internal, "task %s: event %s at %d: %w", e.Task, e.Type, e.Seq, err)
	}
	next.Seq, next.UpdatedAt = e.Seq, e.Time
	*t = next
	return nil
}

// body decodes e's body; nil for a type that this version does not know.
func body(e events.Event) (events.Payload, error) {
	switch e.Type {
	case events.TypeQueued:
		return events.DataAs[events.Queued](e)
	case events.TypeStarted:
		return events.DataAs[events.Started](e)
	case events.TypeStep:
		return events.DataAs[events.Step](e)
	case events.TypeRetrying:
		return events.DataAs[events.Retrying](e)
	case events.TypeWaiting:
		return events.DataAs[events.Waiting](e)
	case events.TypeSignalled:
		return events.DataAs[events.Signalled](e)
	case events.TypeCompleted:
		return events.DataAs[events.Completed](e)
	case events.TypeFailed:
		return events.DataAs[events.Failed](e)
	case events.TypeCancelled:
		return events.DataAs[events.Cancelled](e)
	case events.TypeDiscarded:
		return events.DataAs[events.Discarded](e)
	}
	return nil, nil
}

func (t *Task) advance(e events.Event, p events.Payload) error {
	switch p := p.(type) {
	case events.Queued:
		return t.queued(e, p)
	case events.Started:
		return t.started(e, p)
	case events.Step:
		return t.stepped(p)
	case events.Retrying:
		return t.retrying(p)
	case events.Waiting:
		return t.waiting(e, p)
	case events.Signalled:
		return t.signalled()
	case events.Completed:
		return t.completed(e, p)
	case events.Failed:
		return t.failed(e, p)
	case events.Cancelled:
		return t.cancelled(e, p)
	case events.Discarded:
		return t.discarded(e, p)
	}
	if t.ID == "" {
		return errors.New("a history cannot begin with it")
	}
	return nil
}

func (t *Task) queued(e events.Event, p events.Queued) error {
	switch {
	case t.ID == "" && p.Dispatch >= 1:
		t.ID, t.Tenant, t.CreatedAt = e.Task, e.Tenant, e.Time
	case t.DeadLetter() && p.Resume == nil && p.Dispatch == t.Dispatch+1:
	case t.State == Waiting && p.Resume != nil && p.Dispatch == t.Dispatch+1:
		t.resumed(e, p)
		return nil
	default:
		return fmt.Errorf("dispatch %d cannot follow state %q, dispatch %d", p.Dispatch, t.State, t.Dispatch)
	}
	t.State, t.Dispatch, t.Attempt = Queued, p.Dispatch, 0
	t.Kind, t.UserID, t.Priority, t.Labels, t.Deadline = p.Kind, p.UserID, p.Priority, p.Labels, p.Deadline
	t.Input, t.Names, t.RequestHash, t.Replay, t.QueuedSeq = p.Input, p.Names, p.RequestHash, p.Replay, e.Seq
	t.CallbackURL, t.NoCache, t.Private = p.CallbackURL, p.NoCache, p.Private
	t.NotBefore, t.ExpiresAt, t.TimeoutMS, t.Cost, t.Origin = p.NotBefore, p.ExpiresAt, p.TimeoutMS, p.Cost, p.Origin
	t.Failure, t.Failures, t.Refused, t.Worker, t.StartedAt, t.FinishedAt, t.NextAt, t.Version = nil, nil, nil, "", nil, nil, nil, ""
	return nil
}

// resumed begins the dispatch that continues a task that waited: what is counted against it, and its agent's version, stay.
func (t *Task) resumed(e events.Event, p events.Queued) {
	t.State, t.Dispatch, t.Attempt, t.QueuedSeq, t.Wait = Queued, p.Dispatch, 0, e.Seq, nil
	t.NotBefore, t.ExpiresAt = p.NotBefore, p.ExpiresAt
}

func (t *Task) waiting(e events.Event, p events.Waiting) error {
	if err := t.holds(p.Attempt); err != nil {
		return err
	}
	t.spend(p.Usage)
	t.refuse(p.Refused)
	t.State, t.Wait = Waiting, &Wait{For: p.Wait, Name: p.Name, Until: p.Until, Message: p.Message, Since: e.Time, Seq: e.Seq}
	return nil
}

func (t *Task) signalled() error {
	if err := t.in(Queued, Running, Retrying, Waiting); err != nil {
		return err
	}
	t.Signals++
	return nil
}

func (t *Task) started(e events.Event, p events.Started) error {
	if err := t.in(Queued, Running, Retrying); err != nil {
		return err
	}
	if p.Dispatch != t.Dispatch || p.Attempt != t.Attempt+1 {
		return fmt.Errorf("attempt %d of dispatch %d cannot follow attempt %d of dispatch %d", p.Attempt, p.Dispatch, t.Attempt, t.Dispatch)
	}
	if t.State == Running {
		t.count(events.CauseCrash)
		t.Failure = &Failure{Cause: events.CauseCrash, Error: "worker " + t.Worker + " vanished while it held the task"}
	}
	at := e.Time
	t.State, t.Attempt, t.Worker, t.StartedAt, t.NextAt = Running, p.Attempt, p.Worker, &at, nil
	if t.Version == "" {
		t.Version = p.Version
	}
	return nil
}

func (t *Task) stepped(p events.Step) error {
	if err := t.holds(p.Attempt); err != nil {
		return err
	}
	t.spend(p.Usage)
	return nil
}

func (t *Task) spend(u *events.Usage) {
	if u != nil {
		sum := u.Add(deref(t.Usage))
		t.Usage = &sum
	}
}

func (t *Task) retrying(p events.Retrying) error {
	if err := t.holds(p.Attempt); err != nil {
		return err
	}
	t.count(p.Cause)
	t.spend(p.Usage)
	at := p.NextAt
	t.State, t.NextAt, t.Failure = Retrying, &at, &Failure{Cause: p.Cause, Error: p.Error}
	t.refuse(p.Refused)
	return nil
}

func (t *Task) completed(e events.Event, p events.Completed) error {
	if err := t.holds(p.Attempt); err != nil {
		return err
	}
	at := e.Time
	t.Refused = nil
	t.State, t.Result, t.ResultRef, t.Usage, t.Provenance, t.FinishedAt, t.Failure = Completed, p.Result, p.ResultRef, &p.Usage, &p.Provenance, &at, nil
	return nil
}

func (t *Task) failed(e events.Event, p events.Failed) error {
	if t.ID == "" && p.Cause == events.CauseUndecodable {
		t.ID, t.Tenant, t.Kind, t.CreatedAt, t.Dispatch, t.Priority = e.Task, e.Tenant, UnknownKind, e.Time, 1, events.Normal
	} else if err := t.in(Queued, Running, Retrying, Waiting); err != nil {
		return err
	}
	at := e.Time
	t.State, t.FinishedAt, t.NextAt, t.Wait, t.Failure = Failed, &at, nil, nil, &Failure{Cause: p.Cause, Error: p.Error, Raw: p.Raw}
	if p.Usage != nil {
		t.Usage = p.Usage
	}
	t.refuse(p.Refused)
	return nil
}

// refuse adds what an attempt refused.
func (t *Task) refuse(more []events.Refusal) {
	if len(more) > 0 {
		t.Refused = events.KeepRefusals(slices.Concat(t.Refused, more))
	}
}

func (t *Task) cancelled(e events.Event, p events.Cancelled) error {
	if err := t.in(Queued, Running, Retrying, Waiting); err != nil {
		return err
	}
	at := e.Time
	t.State, t.FinishedAt, t.NextAt, t.Wait, t.Cancel = Cancelled, &at, nil, nil, &Decision{By: p.By, Reason: p.Reason, At: at}
	return nil
}

func (t *Task) discarded(e events.Event, p events.Discarded) error {
	if !t.DeadLetter() {
		return fmt.Errorf("state %q is no dead letter", t.State)
	}
	t.Discard = &Decision{By: p.By, Reason: p.Reason, At: e.Time}
	return nil
}

func (t *Task) in(states ...State) error {
	if slices.Contains(states, t.State) {
		return nil
	}
	return fmt.Errorf("it cannot follow state %q", t.State)
}

func (t *Task) holds(attempt int) error {
	if t.State != Running || attempt != t.Attempt {
		return fmt.Errorf("attempt %d does not hold the task (state %q, attempt %d)", attempt, t.State, t.Attempt)
	}
	return nil
}

// count copies the map before it changes it: Apply works on a shallow copy and may still fail.
func (t *Task) count(c events.Cause) {
	counts := make(map[events.Cause]int, len(t.Failures)+1)
	for k, v := range t.Failures {
		counts[k] = v
	}
	counts[c]++
	t.Failures = counts
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
