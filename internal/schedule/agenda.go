package schedule

import (
	"container/heap"
	"time"
)

// agenda knows when which schedule needs attention. It is not safe for concurrent use.
type agenda struct {
	entries map[string]*entry
	byWake  byWake
}

type entry struct {
	key      string
	rev      uint64
	wake     time.Time
	busy     bool // a step on it runs
	failures int  // steps in a row that failed
	place    int  // in byWake; -1 when it is not there
}

func (a *agenda) entry(key string) *entry {
	e, ok := a.entries[key]
	if !ok {
		e = &entry{key: key, place: -1}
		a.entries[key] = e
	}
	return e
}

// take returns a schedule whose time has come and marks it busy; nil when there is none.
func (a *agenda) take(now time.Time) *entry {
	if len(a.byWake) == 0 || a.byWake[0].wake.After(now) {
		return nil
	}
	e := heap.Pop(&a.byWake).(*entry)
	e.busy = true
	return e
}

// wait returns how long nothing needs attention.
func (a *agenda) wait(now time.Time) time.Duration {
	if len(a.byWake) == 0 {
		return maxSleep
	}
	return max(0, a.byWake[0].wake.Sub(now))
}

// set enters what is known of a schedule from n's revision on. Older news changes nothing.
func (a *agenda) set(n note) {
	e := a.entry(n.key)
	if n.step {
		e.busy, e.failures = false, 0
	}
	if n.rev >= e.rev {
		e.rev, e.wake = n.rev, n.wake
	}
	a.queue(e)
}

func (a *agenda) failed(key string) int {
	e := a.entry(key)
	e.failures++
	return e.failures
}

// retry ends a step that failed.
func (a *agenda) retry(key string, at time.Time) {
	e := a.entry(key)
	e.busy, e.wake = false, at
	a.queue(e)
}

func (a *agenda) drop(key string, step bool) {
	e, ok := a.entries[key]
	if !ok {
		return
	}
	if step {
		e.busy = false
	}
	e.wake = time.Time{}
	a.queue(e)
	if !e.busy {
		delete(a.entries, key)
	}
}

func (a *agenda) queue(e *entry) {
	if e.place >= 0 {
		heap.Remove(&a.byWake, e.place)
	}
	if !e.busy && !e.wake.IsZero() {
		heap.Push(&a.byWake, e)
	}
}

// byWake is a heap.
type byWake []*entry

func (h byWake) Len() int           { return len(h) }
func (h byWake) Less(i, j int) bool { return h[i].wake.Before(h[j].wake) }
func (h byWake) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

func (h *byWake) Push(x any) {
	e := x.(*entry)
	e.place = len(*h)
	*h = append(*h, e)
}

func (h *byWake) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	e.place = -1
	return e
}
