package dispatch

import (
	"fmt"
	"time"
)

// Unfair makes the board serve whoever came first. It serves negative controls.
func (b *Board) Unfair() { b.unfair = true }

// Board lets tests look at a dispatcher's board.
func (d *Dispatcher) Board(look func(*Board)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	look(d.board)
}

// Check holds the board's numbers against its tasks.
func (b *Board) Check(now time.Time) error {
	type numbers struct{ pending, sent, due, running, later, pinned int }
	kinds := map[*kind]numbers{}
	counts := map[*counter]int{}
	busy := map[string]int{}
	open, unreadTasks, cached, ready := 0, 0, int64(0), 0
	for name, t := range b.tenants {
		active, fronts, backs := 0, 0, 0
		for id, e := range t.tasks {
			open++
			if e.id != id || e.tenant != t || t.name != name {
				return fmt.Errorf("task %s is filed wrongly", id)
			}
			if e.event != nil {
				cached += eventSize(e.event)
			}
			if e.at == unread {
				unreadTasks++
				if e.class != nil || e.timerIdx >= 0 {
					return fmt.Errorf("task %s is unread and has a class or a timer", id)
				}
				continue
			}
			if e.class == nil || e.class.kind != e.of || e.of.name != e.kind {
				return fmt.Errorf("task %s has no class, or another kind's", id)
			}
			n := kinds[e.of]
			engaged, counted := false, false
			switch e.at {
			case held:
				if e.of.paused {
					n.pending++
				} else {
					n.later++
				}
			case front:
				n.pending++
				fronts++
			case back:
				n.pending++
				backs++
			case sent:
				n.sent++
				engaged, counted = true, true
			case runs:
				n.running++
				busy[e.worker]++
				engaged, counted = true, true
			case retries:
				n.later++
				counted = true
			case retryDue:
				n.due++
				engaged, counted = true, true
			case waits:
				n.later++
			default:
				return fmt.Errorf("task %s is nowhere", id)
			}
			if (e.at == sent || e.at == retryDue) && e.version != "" {
				n.pinned++
			}
			kinds[e.of] = n
			if engaged {
				active++
			}
			if counted {
				for _, c := range e.class.counters {
					counts[c]++
				}
			}
			due := b.dueTime(e)
			if e.chore == none && due != 0 && (e.timerIdx < 0 || e.timer > max(due, at(now).add(idlePatience))) {
				return fmt.Errorf("task %s at %d is due at %d and its timer is %d (%d)", id, e.at, due, e.timer, e.timerIdx)
			}
		}
		if active != t.active || fronts != t.front.len() || backs != t.back.len() {
			return fmt.Errorf("tenant %s: active %d %d, front %d %d, back %d %d", name, active, t.active, fronts, t.front.len(), backs, t.back.len())
		}
		if want := min(b.room(t), fronts+backs); fronts != want {
			return fmt.Errorf("tenant %s has %d tasks in front, want %d", name, fronts, want)
		}
		if fronts > 0 && backs > 0 && earlier(t.back.top(), t.front.top()) {
			return fmt.Errorf("tenant %s has a task in rest that comes before one in front", name)
		}
		for _, c := range t.classes {
			for l, q := range c.queues {
				if q == nil {
					continue
				}
				if q.in != (q.tasks.len() > 0) {
					return fmt.Errorf("queue of %s in lane %d: in %v with %d tasks", name, l, q.in, q.tasks.len())
				}
				if !q.in {
					continue
				}
				if h := q.heapOf(); h.items[q.index] != q {
					return fmt.Errorf("queue of %s in lane %d is not where it says", name, l)
				}
				if q.at == nil {
					ready++
				} else if err := q.missed(); err != nil {
					return err
				}
			}
		}
	}
	for c, n := range counts {
		if c.n != n {
			return fmt.Errorf("counter %s is %d, want %d", c.key, c.n, n)
		}
	}
	for key, c := range b.counters {
		if c.n != counts[c] {
			return fmt.Errorf("counter %s is %d, want %d", key, c.n, counts[c])
		}
	}
	for _, k := range b.kinds {
		pinned := 0
		for _, n := range k.pinned {
			pinned += n
		}
		if got := (numbers{k.pending, len(k.sent), k.due, k.running, k.later, pinned}); got != kinds[k] {
			return fmt.Errorf("kind %s has %+v, want %+v", k.name, got, kinds[k])
		}
	}
	free := 0
	for name, w := range b.workers {
		free += w.free(busy[name])
	}
	groups := 0
	for _, p := range b.pools {
		for _, g := range p.groups {
			groups += g.free
		}
	}
	if free != groups || open != b.open || unreadTasks != b.unread || cached != b.cached || ready != b.ready {
		return fmt.Errorf("free %d %d, open %d %d, unread %d %d, cached %d %d, ready %d %d", free, groups, open, b.open, unreadTasks, b.unread, cached, b.cached, ready, b.ready)
	}
	return nil
}

// missed reports that q waits at a counter although nobody else would let it in.
func (q *queue) missed() error {
	if q.at.full() {
		return nil
	}
	for _, other := range q.line.ready.items {
		for _, c := range other.class.counters {
			if c == q.at {
				return nil
			}
		}
	}
	return fmt.Errorf("a queue of %s waits at %s, which has room", q.class.tenant.name, q.at.key)
}
