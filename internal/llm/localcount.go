package llm

import (
	"slices"
	"time"
)

// localWindow counts over the last WindowSlots parts of a window and the one that is running.
type localWindow struct {
	width   int64 // of a slot, in milliseconds
	slots   []localSlot
	sum     int64
	touched time.Time
}

type localSlot struct{ number, count int64 }

func (w *localWindow) slot(t time.Time) int64 { return t.UnixMilli() / w.width }

// leaves returns when a slot is counted no longer.
func (w *localWindow) leaves(slot int64) time.Time {
	return time.UnixMilli((slot + WindowSlots + 1) * w.width)
}

func (w *localWindow) used(now time.Time) int64 {
	current, n := w.slot(now), 0
	for n < len(w.slots) && w.slots[n].number+WindowSlots+1 <= current {
		w.sum -= w.slots[n].count
		n++
	}
	w.slots = slices.Delete(w.slots, 0, n)
	return w.sum
}

// add counts n at time t, or takes it back. A slot never counts less than nothing.
func (w *localWindow) add(t time.Time, n int64) {
	number := w.slot(t)
	i, found := slices.BinarySearchFunc(w.slots, number, func(s localSlot, number int64) int { return int(s.number - number) })
	if !found {
		if n <= 0 {
			return
		}
		w.slots = slices.Insert(w.slots, i, localSlot{number: number})
	}
	n = max(n, -w.slots[i].count)
	w.slots[i].count += n
	w.sum += n
}

// fitsAt returns when amount fits below limit.
func (w *localWindow) fitsAt(now time.Time, amount, limit int64) time.Time {
	left := w.sum
	for _, s := range w.slots {
		if left -= s.count; left+amount <= limit {
			return w.leaves(s.number)
		}
	}
	if len(w.slots) > 0 {
		return w.leaves(w.slots[len(w.slots)-1].number)
	}
	return w.leaves(w.slot(now))
}

// localPeriod counts until a moment.
type localPeriod struct {
	base    int64 // what all processes together had used when this one last heard of them
	spent   int64 // settled since
	held    int64 // reserved and not settled; the sum of open
	open    map[string]localHold
	first   time.Time // no hold ends before it
	until   time.Time
	touched time.Time
}

type localHold struct {
	amount int64
	ends   time.Time
}

func (p *localPeriod) hold(id string, amount int64, ends time.Time) {
	if p.open == nil {
		p.open = map[string]localHold{}
	}
	if len(p.open) == 0 {
		p.first = ends
	}
	p.open[id] = localHold{amount, ends}
	p.held += amount
}

func (p *localPeriod) release(id string) {
	p.held -= p.open[id].amount
	delete(p.open, id)
}

func (p *localPeriod) forgetHolds() {
	p.held = 0
	clear(p.open)
}

// expire ends the holds whose time is over.
func (p *localPeriod) expire(now time.Time) {
	if len(p.open) == 0 || now.Before(p.first) {
		return
	}
	p.first = time.Time{}
	for id, h := range p.open {
		if !h.ends.After(now) {
			p.release(id)
		} else if p.first.IsZero() || h.ends.Before(p.first) {
			p.first = h.ends
		}
	}
}
