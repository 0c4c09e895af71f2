package task

import (
	"bytes"
	"context"
	"encoding/json"

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
	By     string
	Reason string
	Input  json.RawMessage // nil keeps the input
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
	if t.Kind == UnknownKind {
		return Task{}, fault.New(fault.Conflict, "task %s was never readable and cannot run; submit it anew and discard this one", id)
	}
	q := events.Queued{
		Kind: t.Kind, Input: t.Input, Priority: t.Priority, Dispatch: t.Dispatch + 1, UserID: t.UserID, RequestHash: t.RequestHash,
		Labels: t.Labels, Replay: &events.Replay{By: req.By, Reason: req.Reason},
	}
	if req.Input != nil {
		if err := s.CheckInput(t.Kind, req.Input); err != nil {
			return Task{}, err
		}
		q.Replay.Edited = !bytes.Equal(req.Input, t.Input)
		q.Input = req.Input
	}
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
	s.dispatch(ctx, t, e)
	return t, nil
}

func stateText(t Task) string {
	if t.Discard != nil {
		return "discarded"
	}
	return string(t.State)
}
