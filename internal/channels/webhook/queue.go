package webhook

import (
	"container/list"
	"encoding/json"
	"time"

	"github.com/toolboxai/orchestrator/internal/channels"
)

// queue has what happened and is not in a webhook yet. Its owner locks it.
type queue struct {
	room int           // bytes that it may hold
	hold time.Duration // how long removals wait

	held    map[absence]*list.Element // of order
	order   list.List                 // of *removal, the first to be let go first
	ready   []json.RawMessage         // in order
	since   time.Time                 // when the first of ready came
	size    int                       // bytes of all
	waiting int                       // bytes of ready
}

type removal struct {
	absence absence
	event   json.RawMessage
	due     time.Time
}

// overhead is what an event costs beside its bytes, about.
const overhead = 256

func cost(event json.RawMessage) int { return len(event) + overhead }

// put takes an event that happens now. It returns how many events will never be told because one takes the other back, and whether there was
// room.
func (q *queue) put(o channels.Occurrence, event json.RawMessage, now time.Time) (canceled int, ok bool) {
	q.release(now, false)
	a, begins, isAbsence := absenceOf(o)
	if isAbsence {
		if e := q.held[a]; e != nil {
			if begins { // told twice: the first one counts
				return 1, true
			}
			q.drop(e)
			return 2, true
		}
	}
	if q.size+cost(event) > q.room {
		return 0, false
	}
	q.size += cost(event)
	if isAbsence && begins {
		q.held[a] = q.order.PushBack(&removal{absence: a, event: event, due: now.Add(q.hold)})
		return 0, true
	}
	q.add(event, now)
	return 0, true
}

func (q *queue) add(event json.RawMessage, now time.Time) {
	if len(q.ready) == 0 {
		q.since = now
	}
	q.ready = append(q.ready, event)
	q.waiting += cost(event)
}

func (q *queue) drop(e *list.Element) {
	r := q.order.Remove(e).(*removal)
	delete(q.held, r.absence)
	q.size -= cost(r.event)
}

// release lets go what was held long enough, or all.
func (q *queue) release(now time.Time, all bool) {
	for e := q.order.Front(); e != nil; e = q.order.Front() {
		r := e.Value.(*removal)
		if !all && r.due.After(now) {
			return
		}
		q.drop(e)
		q.size += cost(r.event)
		q.add(r.event, r.due)
	}
}

// full reports whether what is ready makes a webhook before its time.
func (q *queue) full() bool { return len(q.ready) >= maxEvents || q.waiting >= maxBytes }

// take returns the events that are to be told now, in order, in parts of at most maxEvents and about maxBytes.
func (q *queue) take(now time.Time, all bool) [][]json.RawMessage {
	q.release(now, all)
	if len(q.ready) == 0 || !all && !q.full() && now.Before(q.since.Add(window)) {
		return nil
	}
	var parts [][]json.RawMessage
	first, size := 0, 0
	for i, event := range q.ready {
		if i > first && (i-first == maxEvents || size+cost(event) > maxBytes) {
			parts = append(parts, q.ready[first:i:i])
			first, size = i, 0
		}
		size += cost(event)
	}
	parts = append(parts, q.ready[first:])
	q.size -= q.waiting
	q.ready, q.waiting = nil, 0
	return parts
}

// next returns when take has something; false when only put can change that.
func (q *queue) next() (time.Time, bool) {
	var next time.Time
	if e := q.order.Front(); e != nil {
		next = e.Value.(*removal).due
	}
	if end := q.since.Add(window); len(q.ready) > 0 && (next.IsZero() || end.Before(next)) {
		next = end
	}
	return next, !next.IsZero()
}
