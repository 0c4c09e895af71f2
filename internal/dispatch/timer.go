package dispatch

import (
	"time"

	"github.com/toolboxai/orchestrator/events"
)

// chore is what is to be done about a task beside releasing it.
type chore uint8

const (
	none   chore = iota
	read         // its history
	expire       // fail it: its time is over
	resume       // send it to the queue again: its wait is over
	look         // for its dispatch in the queue
	choreKinds
)

// setTimer makes e be looked at when something about it is due next.
func (b *Board) setTimer(e *entry) {
	if e.chore != none {
		b.dropTimer(e)
		return
	}
	e.timer = b.dueTime(e)
	switch {
	case e.timer == 0:
		b.dropTimer(e)
	case e.timerIdx < 0:
		b.timers.push(e)
	default:
		b.timers.fix(e.timerIdx)
	}
}

func (b *Board) dropTimer(e *entry) {
	if e.timerIdx >= 0 {
		b.timers.remove(e.timerIdx)
	}
}

// dueTime returns when e is to be looked at, 0 for never.
func (b *Board) dueTime(e *entry) moment {
	over := e.expiry()
	var due moment
	switch e.at {
	case held:
		due = max(e.notBefore, e.backoff)
		if e.of.paused {
			due = 0
		}
		return earliest(due, later(over, e.again))
	case sent, runs, retryDue:
		if !e.inFlight {
			due = e.audit
		}
	case retries:
		return earliest(e.nextAt, later(over, e.again))
	case waits:
		due = e.wake
	}
	return later(earliest(due, over), e.again)
}

// later returns the later of two moments, 0 when the first is not set.
func later(m, again moment) moment {
	if m == 0 {
		return 0
	}
	return max(m, again)
}

// expiry returns when a task's time is over: when no worker has begun it by then, or it is not finished. What runs ends itself.
func (e *entry) expiry() moment {
	switch e.phase {
	case queued:
		return earliest(e.expiresAt, e.deadline)
	case retrying, waiting:
		return e.deadline
	}
	return 0
}

// choreOf returns what is to be done about e by now.
func (b *Board) choreOf(e *entry, now moment) chore {
	switch {
	case e.at == unread:
		return read
	case e.again > now:
		return none
	case e.expiry().come(now):
		return expire
	case e.at == waits && e.wake.come(now):
		return resume
	case (e.at == sent || e.at == runs || e.at == retryDue) && !e.inFlight && e.audit.come(now):
		return look
	}
	return none
}

const (
	// leastWait is what a wait lasts by the board's own clock: a worker whose clock is behind gives the slot back again at once,
	// and may do so only so often.
	leastWait = time.Second
	// budgetNews is how long a worker may not have heard yet that the budgets changed. What begins to wait for one in that time
	// tries again once it is over.
	budgetNews = 30 * time.Second
)

// wakeTime returns when a waiting task goes on, 0 when only an event or a new policy makes it.
func (b *Board) wakeTime(e *entry) moment {
	until := atp(e.wait.Until)
	if until != 0 {
		until = max(until, e.since.add(leastWait))
	}
	switch e.wait.Wait {
	case events.WaitSignal:
		if e.signalled() {
			return e.changedAt
		}
		return until
	case events.WaitBudget:
		if e.relieved {
			return e.changedAt
		}
		if known := b.budgetsAt.add(budgetNews); b.budgetsAt != 0 && e.since < known {
			return earliest(until, known)
		}
		return until
	case events.WaitProvider:
		if until == 0 {
			return e.changedAt.add(time.Minute)
		}
	}
	return max(until, 1) // a wait that does not say for what is over
}

// auditTime returns by when a sign of life of e is missed, when there was one now.
func (b *Board) auditTime(e *entry, now moment) moment {
	switch e.phase {
	case queued:
		return now.add(b.cfg.Grace)
	case retrying:
		return max(e.nextAt, now).add(b.cfg.Grace)
	case running:
		timeout := e.timeout
		if timeout == 0 {
			timeout = b.cfg.AttemptTimeout
		}
		return now.add(timeout + b.cfg.RunningGrace)
	}
	return 0
}

// ask puts a chore on the list.
func (b *Board) ask(e *entry, c chore) {
	e.chore = c
	b.chores[c] = append(b.chores[c], e)
}

// idlePatience is how long a chore waits to be looked at again while others are to do it.
const idlePatience = 5 * time.Second

// fire does what the time has brought.
func (b *Board) fire(now moment) {
	for b.timers.len() > 0 && b.timers.top().timer <= now {
		e := b.timers.top()
		switch c := b.choreOf(e, now); {
		case c != none && b.acting:
			b.dropTimer(e)
			b.ask(e, c)
		case c != none:
			e.timer = now.add(idlePatience)
			b.timers.fix(e.timerIdx)
		case e.at == held && !e.of.paused && max(e.notBefore, e.backoff) <= now,
			e.at == retries && e.nextAt <= now:
			b.take(e)
			b.put(e, now)
		default: // its time was moved
			if b.setTimer(e); e.timerIdx >= 0 && e.timer <= now {
				e.timer = now.add(idlePatience)
				b.timers.fix(e.timerIdx)
			}
		}
	}
}

// Act says whether what Work returns is to be done by whoever asks: the one that leads. A board that nobody acts on wants histories only.
func (b *Board) Act(acting bool) {
	b.acting = acting
	if acting {
		return
	}
	for c := range b.chores {
		if chore(c) == read {
			continue
		}
		for _, e := range b.chores[c] {
			if e.chore == chore(c) && !e.doing {
				e.chore = none
				b.setTimer(e)
			}
		}
		b.chores[c] = nil
	}
}
