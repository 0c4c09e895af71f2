package dispatch

import "math"

// put places a task where its story says that it belongs now, and sets its timer.
func (b *Board) put(e *entry, now moment) {
	e.at = b.placeOf(e, now)
	e.since = now
	switch e.at {
	case held:
		if e.of.paused {
			e.of.pending++
		} else {
			e.of.later++
		}
	case front: // or back
		e.of.pending++
		e.since = max(e.queuedAt, e.notBefore)
		b.wait(e)
	case sent:
		e.of.sent[e] = struct{}{}
		e.of.pin(e, 1)
		b.engage(e)
	case runs:
		e.of.running++
		b.hold(e.worker, 1)
		b.engage(e)
	case retries:
		e.of.later++
		b.occupy(e)
	case retryDue:
		e.of.due++
		e.of.pin(e, 1)
		b.engage(e)
	case waits:
		e.of.later++
		e.wake = b.wakeTime(e)
	}
	b.setTimer(e)
}

// take takes a task from its place. It is nowhere then.
func (b *Board) take(e *entry) {
	was := e.at
	e.at = nowhere
	switch was {
	case held:
		if e.of.paused {
			e.of.pending--
		} else {
			e.of.later--
		}
	case front:
		e.of.pending--
		e.tenant.front.remove(e.placeIdx)
		b.unline(e, e.lane)
		b.settle(e.tenant)
	case back:
		e.of.pending--
		e.tenant.back.remove(e.placeIdx)
		b.unline(e, rest)
	case sent:
		delete(e.of.sent, e)
		e.of.pin(e, -1)
		b.disengage(e)
	case runs:
		e.of.running--
		b.hold(e.worker, -1)
		b.disengage(e)
	case retries:
		e.of.later--
		b.vacate(e)
	case retryDue:
		e.of.due--
		e.of.pin(e, -1)
		b.disengage(e)
	case waits:
		e.of.later--
	}
}

func (b *Board) placeOf(e *entry, now moment) place {
	switch e.phase {
	case queued:
		switch {
		case e.sent:
			return sent
		case e.of.paused || e.notBefore > now || e.backoff > now:
			return held
		}
		return front
	case running:
		return runs
	case retrying:
		if e.nextAt > now {
			return retries
		}
		return retryDue
	case waiting:
		return waits
	}
	return nowhere
}

// engage counts a task that is in the queue or with a worker.
func (b *Board) engage(e *entry) {
	b.occupy(e)
	e.tenant.active++
	b.settle(e.tenant)
}

func (b *Board) disengage(e *entry) {
	b.vacate(e)
	e.tenant.active--
	b.settle(e.tenant)
}

// room is how many of a tenant's tasks that wait for their turn keep their lane.
func (b *Board) room(t *tenant) int {
	if b.unfair {
		return math.MaxInt
	}
	return max(0, t.share-t.active)
}

// wait lets a task wait for its turn: in its lane while there is room, and else behind everybody else's.
func (b *Board) wait(e *entry) {
	t := e.tenant
	switch {
	case t.front.len() < b.room(t):
		b.advance(e)
	case t.front.len() > 0 && earlier(e, t.front.top()):
		b.fallBack(t.front.top())
		b.advance(e)
	default:
		e.at = back
		t.back.push(e)
		b.line(e, rest)
	}
}

// advance gives a task, which is in no queue, its lane.
func (b *Board) advance(e *entry) {
	e.at = front
	e.tenant.front.push(e)
	b.line(e, e.lane)
}

func (b *Board) fallBack(e *entry) {
	e.tenant.front.remove(e.placeIdx)
	b.unline(e, e.lane)
	e.at = back
	e.tenant.back.push(e)
	b.line(e, rest)
}

// settle moves a tenant's tasks between their lanes and lane rest until the first ones that there is room for keep their lane.
func (b *Board) settle(t *tenant) {
	room := b.room(t)
	for t.front.len() > room {
		b.fallBack(t.front.top())
	}
	for t.back.len() > 0 && t.front.len() < room {
		e := t.back.top()
		t.back.remove(e.placeIdx)
		b.unline(e, rest)
		b.advance(e)
	}
}

// hold counts the tasks of a worker.
func (b *Board) hold(name string, n int) {
	had := b.busy[name]
	if had+n == 0 {
		delete(b.busy, name)
	} else {
		b.busy[name] = had + n
	}
	if w := b.workers[name]; w != nil {
		w.group.free += w.free(had+n) - w.free(had)
	}
}
