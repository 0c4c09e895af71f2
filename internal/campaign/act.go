package campaign

import (
	"context"
	"slices"
	"strings"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// verdict says what became of one task of the batch.
type verdict struct {
	acted bool
	seq   uint64 // of the event that the campaign wrote
	why   string // it could not be acted on; empty when somebody else had decided
}

// act deals with the next task of the batch. An error means that it is to be dealt with again. Once begun, it is not interrupted by
// the end of ctx, so that what is done is counted.
func (w *work) act(ctx context.Context) error {
	c := &w.doc
	id := c.Place.Batch[c.Place.Next]
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), actPatience)
	defer cancel()
	v, err := w.decide(ctx, id)
	if fault.Is(err, fault.Conflict) { // the task moved on while it was looked at
		v, err = w.decide(ctx, id)
	}
	switch fault.KindOf(err) {
	case fault.Unavailable, fault.Timeout, fault.RateLimited, fault.Canceled:
		return err
	case fault.Conflict, fault.NotFound:
		v, err = verdict{}, nil
	}
	if err != nil {
		v = verdict{why: err.Error()}
	}
	c.Place.Next++
	switch {
	case v.acted:
		w.count(func(n *Counts) { n.Replayed++ })
		if c.Action == Replay {
			c.Place.Open = append(c.Place.Open, Following{ID: id, Seq: v.seq, At: now()})
		}
		if c.State == Canary {
			c.Canaries = append(c.Canaries, id)
		}
	case v.why != "":
		w.count(func(n *Counts) { n.Refused++ })
		c.LastError = bounded("task " + id + " was not replayed: " + v.why)
		if w.spoil(c.LastError); c.State.Ended() {
			w.forget()
		}
	default:
		w.count(func(n *Counts) { n.Skipped++ })
	}
	return nil
}

// decide acts on a task, unless this campaign has done so already, or somebody else.
func (w *work) decide(ctx context.Context, id string) (verdict, error) {
	c := w.doc
	history, err := w.Tasks.History(ctx, c.Tenant, id, 0, 0)
	if err != nil {
		return verdict{}, err
	}
	if seq := c.mark(history); seq != 0 {
		return verdict{acted: true, seq: seq}, nil
	}
	t, err := task.Fold(history)
	if err != nil {
		return verdict{}, err
	}
	if !c.fits(t) {
		return verdict{}, nil
	}
	switch c.Action {
	case Discard:
		t, err = w.Tasks.Discard(ctx, c.Tenant, id, c.By, c.Reason+c.tag())
		return verdict{acted: err == nil && t.Discard != nil && strings.HasSuffix(t.Discard.Reason, c.tag())}, err
	case Cancel:
		t, err = w.Tasks.Cancel(ctx, c.Tenant, id, c.By, c.Reason+c.tag())
		return verdict{acted: err == nil && t.Cancel != nil && strings.HasSuffix(t.Cancel.Reason, c.tag())}, err
	}
	req := task.ReplayRequest{By: c.By, Reason: c.Reason, Campaign: c.ID, Seq: t.Seq}
	if c.Edit != nil && t.Kind != task.UnknownKind {
		if req.Input, err = merge(t.Input, c.Edit); err != nil {
			return verdict{}, err
		}
	}
	if t, err = w.Tasks.Replay(ctx, c.Tenant, id, req); err != nil {
		return verdict{}, err
	}
	return verdict{acted: true, seq: t.QueuedSeq}, nil
}

// mark returns the sequence of the event by which c has acted on the task of a history, 0 when it has not.
func (c Campaign) mark(history []events.Event) uint64 {
	for _, e := range slices.Backward(history) {
		switch e.Type {
		case events.TypeQueued:
			if q, err := events.DataAs[events.Queued](e); err == nil && q.Resume == nil && q.Replay != nil && q.Replay.Campaign == c.ID {
				return e.Seq
			}
		case events.TypeDiscarded:
			if d, err := events.DataAs[events.Discarded](e); err == nil && strings.HasSuffix(d.Reason, c.tag()) {
				return e.Seq
			}
		case events.TypeCancelled:
			if d, err := events.DataAs[events.Cancelled](e); err == nil && strings.HasSuffix(d.Reason, c.tag()) {
				return e.Seq
			}
		}
	}
	return 0
}

// fits reports whether t is still what the list said: another failure than the one that was looked for is not for this campaign.
func (c Campaign) fits(t task.Task) bool {
	f := c.tasks()
	if c.Action == Cancel {
		return slices.Contains(f.States, t.State)
	}
	if !t.DeadLetter() {
		return false
	}
	var cause events.Cause
	var fingerprint string
	if t.Failure != nil {
		cause, fingerprint = t.Failure.Cause, task.Fingerprint(t.Failure.Cause, t.Failure.Error)
	}
	return (len(f.Causes) == 0 || slices.Contains(f.Causes, cause)) && (f.Fingerprint == "" || f.Fingerprint == fingerprint)
}
