package dispatch

import (
	"time"

	"github.com/toolboxai/orchestrator/events"
)

// agedTurn: every so many releases of a pool, the lane comes first whose head has waited longest.
const agedTurn = 8

// Release is a task whose turn it is.
type Release struct {
	Dispatch  events.Dispatch
	QueuedSeq uint64        // of the task.queued event that the dispatch repeats
	Event     *events.Event // that event; nil when it must be read
}

// Next returns up to most tasks that are to be dispatched now, in order. They count as dispatched from here on; each is to be
// followed by Sent or Refused.
func (b *Board) Next(now time.Time, most int) []Release {
	moment := at(now)
	b.fire(moment)
	var out []Release
	for i := range b.pools {
		p := b.pools[(b.turn+i)%len(b.pools)]
		if p.ready == 0 {
			continue
		}
		p.space.measure(p, b.cfg.IdleWindow, moment)
		for len(out) < most {
			q := b.pick(p, moment)
			if q == nil {
				break
			}
			out = append(out, b.send(q, moment))
			p.space.add(q.line.kind.index)
			p.served++
		}
	}
	b.turn++
	return out
}

// pick returns the queue whose first task is next in a pool, nil when there is none that may be released.
func (b *Board) pick(p *pool, now moment) *queue {
	if p.ready == 0 {
		return nil
	}
	var heads [lanes]*queue
	for l := range lanes {
		heads[l] = b.head(p, l)
		if heads[l] != nil && p.served%agedTurn != agedTurn-1 {
			return heads[l]
		}
	}
	return b.oldest(p, heads)
}

// head returns the queue that is next in a lane of a pool.
func (b *Board) head(p *pool, l lane) (best *queue) {
	var least float64
	for _, k := range p.kinds {
		ln := &k.queues[l]
		if ln.ready.len() == 0 || !p.space.may(k.index) {
			continue
		}
		q := b.headOf(ln)
		if q == nil {
			continue
		}
		if turn := q.turn() + ln.shift; best == nil || turn < least || turn == least && q.tasks.top().order < best.tasks.top().order {
			best, least = q, turn
		}
	}
	return best
}

// headOf returns the queue that is next in a line. Those whose turn it is and that are held by a limit are put aside.
func (b *Board) headOf(ln *line) *queue {
	for ln.ready.len() > 0 {
		q := first(&ln.ready)
		full := q.class.blocked()
		if full == nil {
			return q
		}
		b.park(q, full)
	}
	return nil
}

// oldest returns of the lanes' heads the one that has waited longest. Lane rest has its turn only for tenants of whom nothing else
// can be next: what the others have there moves up as their front is served.
func (b *Board) oldest(p *pool, heads [lanes]*queue) (best *queue) {
	behind := heads[rest]
	heads[rest] = nil
	for _, k := range p.kinds {
		if !p.space.may(k.index) {
			continue
		}
		for _, q := range k.queues[rest].ready.items {
			if q.class.tenant.account(p).ready == 0 && (heads[rest] == nil || q.since() < heads[rest].since()) && q.class.blocked() == nil {
				heads[rest] = q
			}
		}
	}
	for _, q := range heads {
		if q != nil && (best == nil || q.since() < best.since()) {
			best = q
		}
	}
	if best == nil {
		return behind
	}
	return best
}

// since is when the queue's first task could first have been released.
func (q *queue) since() moment { return q.tasks.top().since }

// send marks the first task of q as dispatched.
func (b *Board) send(q *queue, now moment) Release {
	e, lane := q.tasks.top(), q.line.lane
	e.charged, e.chargedTo = b.estimate(e), lane
	b.serve(q, e.charged)
	b.take(e)
	e.sent, e.inFlight = true, true
	e.audit = now.add(b.cfg.Grace)
	r := Release{Dispatch: e.entry(), QueuedSeq: e.queuedSeq, Event: e.event}
	b.put(e, now)
	for _, c := range e.class.counters {
		b.promote(c, q.line)
	}
	return r
}

// entry returns the queue's entry of the current dispatch.
func (e *entry) entry() events.Dispatch {
	return events.Dispatch{Kind: e.kind, Lane: e.lane.entry(), Tenant: e.tenant.name, Task: e.id, N: int(e.dispatch)}
}

// flown returns the task of a release that has come back, if it is still where that left it.
func (b *Board) flown(r Release) *entry {
	e := b.find(r.Dispatch.Tenant, r.Dispatch.Task)
	if e == nil || !e.inFlight || e.dispatch != int32(r.Dispatch.N) {
		return nil
	}
	e.inFlight = false
	return e
}

// Sent says that a release is in the queue.
func (b *Board) Sent(r Release, now time.Time) {
	if e := b.flown(r); e != nil && e.at == sent {
		b.forget(e)
		e.failures = 0
		e.audit = at(now).add(b.cfg.Grace)
		b.setTimer(e)
	}
}

// Refused says that a release is not in the queue, or that nobody knows. The task is put back, as it was, and not released again
// before the given time.
func (b *Board) Refused(r Release, again, now time.Time) {
	e := b.flown(r)
	if e == nil || e.at != sent {
		return
	}
	b.correct(e, 0)
	b.take(e)
	e.sent, e.backoff = false, at(again)
	e.failures = clamp(e.failures+1, 0, 100)
	b.put(e, at(now))
}

// Gone says that the log has lost the event that a release repeats: the task can never run.
func (b *Board) Gone(r Release) {
	if e := b.flown(r); e != nil {
		b.lose(e)
	}
}

// Lost says the same of what was to be dispatched again.
func (b *Board) Lost(w Work) {
	if e := b.find(w.Tenant, w.Task); e != nil && e.at != unread && e.dispatch == int32(w.Dispatch.N) {
		b.lose(e)
	}
}

func (b *Board) lose(e *entry) {
	b.cfg.Logger.Error("a task's dispatch is gone from the log, the task is left alone", "task_id", e.id, "tenant", e.tenant.name, "kind", e.kind)
	b.correct(e, 0)
	b.take(e)
	b.bury(e, grave{seq: e.seq, lost: true})
}

// Known takes in what is in the queue: tasks that wait for their turn here and are there already are not dispatched again.
func (b *Board) Known(inQueue []events.Dispatch, now time.Time) {
	for _, d := range inQueue {
		e := b.find(d.Tenant, d.Task)
		if e == nil || e.phase != queued || e.sent || e.dispatch != int32(d.N) {
			continue
		}
		if e.at == front || e.at == back || e.at == held {
			b.take(e)
			e.sent, e.audit = true, at(now).add(b.cfg.Grace)
			b.forget(e)
			b.put(e, at(now))
		}
	}
}
