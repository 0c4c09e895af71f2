package task

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// maxRaces bounds how often a decision is taken anew because the task moved on in between.
const maxRaces = 16

// Cancel withdraws a task that is not finished. A task that was cancelled before is returned as it is; Conflict when it
// ended otherwise.
func (s *Service) Cancel(ctx context.Context, tenant, id, by, reason string) (Task, error) {
	return s.decide(ctx, tenant, id, func(t Task) (events.Payload, error) {
		switch {
		case t.State == Cancelled:
			return nil, nil
		case t.State.Terminal():
			return nil, fault.New(fault.Conflict, "task %s cannot be cancelled: it is %s", t.ID, t.State)
		}
		return events.Cancelled{By: by, Reason: reason}, nil
	})
}

// Discard closes a dead letter for good. One that was discarded before is returned as it is; Conflict when the task is no
// dead letter.
func (s *Service) Discard(ctx context.Context, tenant, id, by, reason string) (Task, error) {
	return s.decide(ctx, tenant, id, func(t Task) (events.Payload, error) {
		switch {
		case t.Discard != nil:
			return nil, nil
		case !t.DeadLetter():
			return nil, fault.New(fault.Conflict, "task %s is no dead letter: it is %s", t.ID, t.State)
		}
		return events.Discarded{By: by, Reason: reason}, nil
	})
}

// decide appends what choose returns for the task as it stands, again when the task moved on meanwhile. A nil payload
// leaves the task alone.
func (s *Service) decide(ctx context.Context, tenant, id string, choose func(Task) (events.Payload, error)) (Task, error) {
	if !validID(tenant, id) {
		return Task{}, notFound(id)
	}
	for range maxRaces {
		t, after, err := s.read(ctx, tenant, id)
		if err != nil {
			return Task{}, wrap(id, err)
		}
		p, err := choose(t)
		if err != nil || p == nil {
			return t, err
		}
		e, err := events.New(tenant, id, s.Source, p)
		if err != nil {
			return Task{}, err
		}
		err = s.append(ctx, &e, after)
		if Stale(err) != nil {
			continue
		}
		if err != nil {
			return Task{}, err
		}
		err = t.Apply(e)
		return t, err
	}
	return Task{}, fault.After(0, "task %s changes too fast to decide on it; try again", id)
}

// ReplayRequest sends a dead letter again.
type ReplayRequest struct {
	By       string
	Reason   string
	Input    json.RawMessage // nil keeps the input
	Campaign string          // the replay of many that this one belongs to, or empty
	Seq      uint64          // of the task.failed event that it answers: Conflict when the task has another last event; 0: whichever is last
}

// Replay sends a dead letter to the queue again. Of many that replay the same one at once, one succeeds and the others get
// Conflict. Steps whose input is unchanged are not run again, and a deadline does not hold for the new dispatch.
func (s *Service) Replay(ctx context.Context, tenant, id string, req ReplayRequest) (Task, error) {
	if !validID(tenant, id) {
		return Task{}, notFound(id)
	}
	t, after, err := s.read(ctx, tenant, id)
	if err != nil {
		return Task{}, wrap(id, err)
	}
	if !t.DeadLetter() {
		return Task{}, fault.New(fault.Conflict, "task %s is no dead letter: it is %s", id, stateText(t))
	}
	if req.Seq != 0 && req.Seq != t.Seq {
		return Task{}, fault.New(fault.Conflict, "somebody else replayed task %s meanwhile, and it failed again", id)
	}
	if t.Kind == UnknownKind {
		return Task{}, fault.New(fault.Conflict, "task %s was never readable and cannot run; submit it anew and discard this one", id)
	}
	q := events.Queued{
		Kind: t.Kind, Input: t.Input, Priority: t.Priority, Dispatch: t.Dispatch + 1, UserID: t.UserID, RequestHash: t.RequestHash,
		Labels: t.Labels, TimeoutMS: t.TimeoutMS, Cost: t.Cost, Origin: t.Origin, CallbackURL: t.CallbackURL, NoCache: t.NoCache, Private: t.Private,
		Replay: &events.Replay{By: req.By, Reason: req.Reason, Of: t.Seq, Campaign: req.Campaign},
	}
	q.Direct = s.direct(tenant, q)
	if req.Input != nil && t.Private {
		return Task{}, fault.New(fault.Conflict, "task %s is private: it is replayed as it is, or not at all", id)
	}
	if req.Input != nil {
		if err := s.CheckInput(t.Kind, req.Input); err != nil {
			return Task{}, err
		}
		q.Replay.Edited = !bytes.Equal(req.Input, t.Input)
		q.Input = req.Input
	}
	q.Names = s.names(ctx, tenant, q.Input)
	e, err := events.New(tenant, id, s.Source, q)
	if err != nil {
		return Task{}, err
	}
	err = s.append(ctx, &e, after)
	if Stale(err) != nil {
		return Task{}, fault.New(fault.Conflict, "somebody else decided on task %s a moment ago", id)
	}
	if err != nil {
		return Task{}, err
	}
	if err := t.Advance(e, q); err != nil {
		return Task{}, err
	}
	if q.Direct {
		s.dispatch(ctx, t, e)
	}
	return t, nil
}

// Limits of a signal.
const (
	MaxSignal  = 64 << 10 // bytes of its data
	MaxSignals = 64       // of one task
)

// Signal tells a task that something happened: one that waits for it goes on, one that asks for it later finds it. Conflict when
// the task ended; TooLarge; Invalid for a name that is no subject token.
func (s *Service) Signal(ctx context.Context, tenant, id, name string, data json.RawMessage, by string) (Task, error) {
	if err := events.CheckToken("signal", name); err != nil {
		return Task{}, fault.InvalidField("name", "%v", err)
	}
	if len(data) > MaxSignal {
		return Task{}, fault.New(fault.TooLarge, "the signal's data has %d bytes, at most %d are allowed", len(data), MaxSignal)
	}
	return s.decide(ctx, tenant, id, func(t Task) (events.Payload, error) {
		switch {
		case t.State.Terminal():
			return nil, fault.New(fault.Conflict, "task %s takes no signals: it is %s", t.ID, t.State)
		case t.Signals >= MaxSignals:
			return nil, fault.New(fault.Conflict, "task %s has %d signals, at most %d are kept", t.ID, t.Signals, MaxSignals)
		}
		return events.Signalled{Name: name, Data: data, By: by}, nil
	})
}

// Resume sends a task that waits back to the queue, held by the dispatcher until its turn. A task that no longer waits in the
// way of the given task.waiting event is returned as it is.
func (s *Service) Resume(ctx context.Context, tenant, id string, waiting uint64, why string) (Task, error) {
	return s.decide(ctx, tenant, id, func(t Task) (events.Payload, error) {
		if t.State != Waiting || t.Wait.Seq != waiting {
			return nil, nil
		}
		return events.Queued{
			Kind: t.Kind, Input: t.Input, Priority: t.Priority, Dispatch: t.Dispatch + 1, UserID: t.UserID, RequestHash: t.RequestHash,
			Labels: t.Labels, Deadline: t.Deadline, TimeoutMS: t.TimeoutMS, Cost: t.Cost, Origin: t.Origin, Replay: t.Replay, CallbackURL: t.CallbackURL, NoCache: t.NoCache, Private: t.Private,
			Resume: &events.Resume{Wait: t.Wait.For, Seq: waiting, Why: why},
		}, nil
	})
}

// Expire fails a task that no worker has begun in time, or whose deadline passed while nobody worked on it. A task that runs, or
// whose times are not over, is returned as it is.
func (s *Service) Expire(ctx context.Context, tenant, id string) (Task, error) {
	return s.decide(ctx, tenant, id, func(t Task) (events.Payload, error) {
		now := time.Now()
		switch {
		case t.State.Terminal() || t.State == Running:
			return nil, nil
		case t.Deadline != nil && !now.Before(*t.Deadline):
			return events.Failed{Attempts: t.Attempt, Cause: events.CauseDeadline, Error: "the deadline passed while the task was " + string(t.State), Usage: t.Usage}, nil
		case t.State == Queued && t.ExpiresAt != nil && !now.Before(*t.ExpiresAt):
			return events.Failed{Attempts: t.Attempt, Cause: events.CauseExpired, Error: "no worker began the task before its time in the queue was over", Usage: t.Usage}, nil
		}
		return nil, nil
	})
}

func stateText(t Task) string {
	if t.Discard != nil {
		return "discarded"
	}
	return string(t.State)
}
