package workers

import (
	"context"
	"errors"
	"slices"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// written is an event as it was, or may have been, put on the log.
type written struct {
	event   events.Event
	payload events.Payload
}

// brokerError is a failure to reach the log or the object store that says nothing about the task.
type brokerError struct{ error }

func (e *brokerError) Unwrap() error { return e.error }

// errSignalled says that the signal that was to be waited for came in just before the wait.
var errSignalled = errors.New("the signal is there")

// append writes the next event of the task, advances the task by it and returns it, waiting out a broker that is away. Two things
// that moved the history are no reason to give up, and are taken in first: the write before this one, when it went unanswered and is on the
// log after all; and signals, which anybody may send and which decide nothing.
//
// Errors: a StaleError when another writer decided on the task; a brokerError when the log could not be written to; errSignalled
// when p is the wait for a signal that has come.
func (r *Run) append(ctx context.Context, p events.Payload) (events.Event, error) {
	var e events.Event
	var err error
	for range task.MaxSignals + 2 { // each round takes in one signal at least
		e, err = r.write(ctx, p)
		stale := task.Stale(err)
		switch {
		case stale == nil:
			return e, err
		case r.adopt(stale.Last):
		case stale.Last.Type != events.TypeSignalled:
			return e, err
		default:
			landed, err := r.catchUp(ctx, written{e, p})
			if err != nil || landed.Seq > 0 {
				return landed, err
			}
		}
		if r.satisfies(p) {
			return e, errSignalled
		}
	}
	return e, err
}

// catchUp takes in the signals that came behind the task's last event, and the write in front of them whose answer was lost. It returns
// the event of the latest write when it was that one. A StaleError when something else is there too.
func (r *Run) catchUp(ctx context.Context, latest written) (landed events.Event, err error) {
	t := r.Task()
	var behind []events.Event
	err = task.Patiently(ctx, r.patience, func(ctx context.Context) (err error) {
		behind, err = r.log.History(ctx, t.Tenant, t.ID, t.Seq, 0)
		return err
	})
	if err != nil {
		return landed, &brokerError{err}
	}
	for _, e := range behind {
		switch {
		case r.adopt(e), r.hear(e):
		case latest.payload != nil && latest.event.ID == e.ID:
			if err := r.advance(e, latest.payload); err != nil {
				return landed, err
			}
			landed = e
		default:
			return landed, &task.StaleError{Last: behind[len(behind)-1]}
		}
	}
	return landed, nil
}

func (r *Run) advance(e events.Event, p events.Payload) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unsure = nil
	return r.task.Advance(e, p)
}

// adopt takes the unanswered write in when e is that one, and reports whether it did.
func (r *Run) adopt(e events.Event) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.unsure
	if w == nil || w.event.ID != e.ID {
		return false
	}
	r.unsure = nil
	return r.task.Advance(e, w.payload) == nil && r.journal.read(e) == nil
}

// reclaim finds out what became of a step whose write went unanswered. Where it is not on the log, what it cost goes on record with the
// attempt's end. Where that cannot be told now, append meets the step, or it is lost with its cost.
func (r *Run) reclaim(ctx context.Context) {
	r.mu.Lock()
	w := r.unsure
	r.mu.Unlock()
	if w == nil {
		return
	}
	step, is := w.payload.(events.Step)
	if !is || step.Usage == nil && len(step.Tools) == 0 {
		return
	}
	if _, err := r.catchUp(ctx, written{}); err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.unsure != w { // it is on the log
		return
	}
	// Should it come to be there after all, it tells the cost itself, and the end of the attempt is refused.
	r.called, r.unsure = events.KeepToolCalls(slices.Concat(step.Tools, r.called)), nil
	if step.Usage != nil {
		r.open = r.open.Add(*step.Usage)
	}
	if step.Provenance != nil {
		r.provenance = *step.Provenance
	}
}

// hear advances the task by a signal, and reports whether e is one that it can take.
func (r *Run) hear(e events.Event) bool {
	if e.Type != events.TypeSignalled {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.task.Apply(e) == nil && r.journal.read(e) == nil
}

// satisfies reports whether what p begins to wait for is there.
func (r *Run) satisfies(p events.Payload) bool {
	w, ok := p.(events.Waiting)
	if !ok || w.Wait != events.WaitSignal {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, found := r.journal.pending(w.Name)
	return found
}

func (r *Run) write(ctx context.Context, p events.Payload) (events.Event, error) {
	t := r.Task()
	e, err := events.New(t.Tenant, t.ID, r.source, p)
	if err != nil {
		return e, err
	}
	err = task.Patiently(ctx, r.patience, func(ctx context.Context) error {
		seq, err := r.log.Append(ctx, e, t.Seq)
		if err == nil {
			e.Seq = seq
		}
		return err
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil:
		r.unsure = nil
		return e, r.task.Advance(e, p)
	case isStale(err), fault.Is(err, fault.TooLarge):
		return e, err
	}
	r.unsure = &written{e, p}
	return e, &brokerError{err}
}
