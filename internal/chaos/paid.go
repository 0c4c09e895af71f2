package chaos

import (
	"slices"
	"strings"
	"time"

	"github.com/toolboxai/orchestrator/events"
)

// work names a step of a task.
type work struct{ task, step string }

// paidOnce holds the whole answers to each step against the step's place on record.
func (c *checker) paidOnce() {
	onRecord := map[work]int{}
	for _, e := range c.run.Log {
		s, err := events.DataAs[events.Step](e)
		if err != nil {
			continue
		}
		w := work{e.Task, s.Name}
		if onRecord[w]++; onRecord[w] == 2 {
			c.report(PaidOnce, e.Task, "has step %s on record twice", s.Name)
		}
	}
	paid, order := wholeCalls(c.run.Calls)
	for _, w := range order {
		if call, bad := c.unexcused(w, paid[w], onRecord[w] > 0); bad {
			c.report(PaidOnce, w.task, "paid for step %s %d times: nothing took away the answer that %s got at %s",
				w.step, len(paid[w]), call.Worker, call.At.Format(clock))
		}
	}
	for w := range onRecord {
		if len(paid[w]) == 0 && !strings.Contains(w.step, ":") {
			c.report(PaidOnce, w.task, "has step %s on record, which no model was asked for", w.step)
		}
	}
}

// unexcused returns a call whose answer nothing took away although it is not the one on record. Which one that is the log does not
// say, so any will do that leaves nothing to excuse.
func (c *checker) unexcused(w work, calls []Call, onRecord bool) (Call, bool) {
	began, last := c.span(w.task)
	lost := func(kept int) (Call, bool) {
		excused := excuses{faults: c.run.Faults, spent: map[int]bool{}}
		for i, call := range calls {
			until := last
			if i+1 < len(calls) {
				until = calls[i+1].At
			}
			if i != kept && !excused.take(call, began, until) {
				return call, true
			}
		}
		return Call{}, false
	}
	if !onRecord {
		return lost(-1)
	}
	var call Call
	bad := true
	for kept := len(calls) - 1; bad && kept >= 0; kept-- {
		call, bad = lost(kept)
	}
	return call, bad
}

// span returns when the first attempt at a task began, and when its last event was written. A dispatch may be lost by a fault that
// was over before the call: the broker has given it to somebody else, and the worker is yet to learn that.
func (c *checker) span(task string) (began, last time.Time) {
	for _, e := range c.histories[task] {
		if e.Type == events.TypeStarted && began.IsZero() {
			began = e.Time
		}
		last = e.Time
	}
	return began, last
}

const clock = "15:04:05.000"

// wholeCalls returns the calls with whole answers by step, oldest first, and the steps in the order of their first call.
func wholeCalls(calls []Call) (map[work][]Call, []work) {
	sorted := slices.Clone(calls)
	slices.SortStableFunc(sorted, func(a, b Call) int { return a.At.Compare(b.At) })
	paid := map[work][]Call{}
	var order []work
	for _, call := range sorted {
		if !call.Whole {
			continue
		}
		w := work{call.Task, call.Step}
		if len(paid[w]) == 0 {
			order = append(order, w)
		}
		paid[w] = append(paid[w], call)
	}
	return paid, order
}

// excuses are the faults that may have taken away answers to one step.
type excuses struct {
	faults []Fault
	spent  map[int]bool
}

// take uses up one fault that lies between from and until, and reports whether there was one. A broken link is not used up: it may
// break any number of calls, though none that came later.
func (x excuses) take(call Call, from, until time.Time) bool {
	for i, f := range x.faults {
		switch {
		case f.To.Before(from) || f.From.After(until) || x.spent[i]:
		case f.Target == Model:
			if !f.To.Before(call.At) {
				return true
			}
		case f.Target == call.Worker || f.Target == Broker:
			x.spent[i] = true
			return true
		}
	}
	return false
}
