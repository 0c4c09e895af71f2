package postgres

import (
	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task"
)

type key struct{ tenant, id string }

// state is one task of a batch: as it stood in the archive, and then as the batch leaves it. Its Input and Result are nil
// unless the batch set them.
type state struct {
	task      task.Task
	stored    bool // it was in the archive
	changed   bool
	requeued  bool // the batch holds a task.queued event of it that brings all anew: no resume
	completed bool // the batch holds its completion
	bills     []bill
}

// states are the tasks of a batch, in the order in which it names them first.
type states struct {
	byKey map[key]*state
	order []*state
}

// apply advances s by e, or returns why e cannot follow.
func (s *state) apply(e events.Event) error {
	was, spent := s.task.State, s.task.Usage
	own, err := s.advance(e)
	if err != nil {
		return err
	}
	s.changed = true
	s.requeued = s.requeued || e.Type == events.TypeQueued && was != task.Waiting
	s.completed = s.completed || s.task.State == task.Completed && was != task.Completed
	if s.task.Usage != spent { // every event that brings usage makes a new one
		if b, ok := newBill(e, own, spent, s.task); ok {
			s.bills = append(s.bills, b)
		}
	}
	return nil
}

// ownUsage is what an event says of its own usage; zero where it tells the task's.
type ownUsage struct {
	usage *events.Usage
	by    *events.Provenance
}

// advance is the task's Apply, which decodes the event's body, where that is of use here, once for both.
func (s *state) advance(e events.Event) (ownUsage, error) {
	switch e.Type {
	case events.TypeStep:
		if p, err := events.DataAs[events.Step](e); err == nil {
			return ownUsage{p.Usage, p.Provenance}, s.task.Advance(e, p)
		}
	case events.TypeRetrying:
		if p, err := events.DataAs[events.Retrying](e); err == nil {
			return ownUsage{p.Usage, p.Provenance}, s.task.Advance(e, p)
		}
	case events.TypeWaiting:
		if p, err := events.DataAs[events.Waiting](e); err == nil {
			return ownUsage{p.Usage, p.Provenance}, s.task.Advance(e, p)
		}
	case events.TypeFailed:
		if p, err := events.DataAs[events.Failed](e); err == nil {
			return ownUsage{by: p.Provenance}, s.task.Advance(e, p)
		}
	}
	return ownUsage{}, s.task.Apply(e)
}

// entry is an event on its way into task_events.
type entry struct {
	event  events.Event
	folded bool   // it became part of its task's state by this batch, not by an earlier one
	raw    bool   // its body is stored as it is and not as JSON
	reason string // why it is set aside
}

// fold applies a batch to its tasks and returns the entries for task_events. With guard, which is how it has to be, an event
// that the task's state knows already is passed over.
func fold(all states, batch []events.Event, how treatment, guard bool) []entry {
	entries := make([]entry, len(batch))
	for i, e := range batch {
		s := all.byKey[key{e.Tenant, e.Task}]
		entries[i] = entry{event: e, raw: how.rawBody != "", reason: how.rawBody}
		switch {
		case how.refused != "":
			entries[i].raw, entries[i].reason = true, how.refused
		case guard && e.Seq <= s.task.Seq:
		default:
			if err := s.apply(e); err != nil {
				entries[i].raw, entries[i].reason = true, "fold: "+err.Error()
			}
			entries[i].folded = entries[i].reason == ""
		}
	}
	return entries
}
