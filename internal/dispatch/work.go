package dispatch

import (
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Work is something that is to be done about a task beside releasing it, or about the queue.
type Work struct {
	Do       Do
	Tenant   string
	Task     string
	Waiting  uint64 // Resume: sequence of the task.waiting event that ends
	Why      string // Resume
	Dispatch events.Dispatch
	Queued   uint64 // Look, Again: sequence of the task.queued event of Dispatch
	expected chore
	dispatch int32
}

// Do says what sort of work it is.
type Do uint8

const (
	Read   Do = iota // read the task's history; Load follows
	Expire           // fail the task, whose time is over
	Resume           // send the task, whose wait is over, to the queue
	Look             // look for the dispatch in the queue, and dispatch it again when it is not there
	Again            // dispatch again, without a look
	List             // list the queue, and do what Missing then returns
)

// listAbove is how many dispatches must be looked for until the queue is listed instead.
const listAbove = 64

// Work returns up to most pieces of work. Each is to be followed by Done, but for Read, which is followed by Load, or by
// Done with an error.
func (b *Board) Work(now time.Time, most int) []Work {
	m := at(now)
	b.fire(m)
	var out []Work
	if b.readAfter <= m {
		out = b.pop(out, read, m, most)
	}
	if !b.acting {
		return out
	}
	out = b.pop(out, expire, m, most)
	out = b.pop(out, resume, m, most)
	if len(b.chores[look]) > listAbove && !b.listing && m.sub(b.listed) > b.cfg.Grace && len(out) < most {
		b.listing = true
		out = append(out, Work{Do: List})
	}
	if !b.listing {
		out = b.pop(out, look, m, most)
	}
	return out
}

// pop takes chores off a list.
func (b *Board) pop(out []Work, c chore, now moment, most int) []Work {
	list := b.chores[c]
	for len(list) > 0 && len(out) < most {
		e := list[0]
		if !b.stands(e, c, now) {
			list[0], list = nil, list[1:]
			continue
		}
		if c == resume && !b.resumes.take(now) || c == look && !b.audits.take(now) {
			break
		}
		list[0], list = nil, list[1:]
		e.doing = true
		out = append(out, e.work(c))
	}
	b.chores[c] = list
	return out
}

// stands reports whether a chore on a list is still to be done.
func (b *Board) stands(e *entry, c chore, now moment) bool {
	if e.chore != c || e.doing {
		return false
	}
	if b.choreOf(e, now) == c {
		return true
	}
	e.chore = none
	b.setTimer(e)
	return false
}

func (e *entry) work(c chore) Work {
	w := Work{Tenant: e.tenant.name, Task: e.id, expected: c, dispatch: e.dispatch}
	switch c {
	case read:
		w.Do = Read
	case expire:
		w.Do = Expire
	case resume:
		w.Do, w.Waiting, w.Why = Resume, e.wait.seq, e.why()
	case look:
		w.Do, w.Dispatch, w.Queued = Look, e.entry(), e.queuedSeq
	}
	return w
}

// why says what ended a wait.
func (e *entry) why() string {
	switch e.wait.Wait {
	case events.WaitSignal:
		if e.signalled() {
			return "the signal " + e.wait.Name + " came"
		}
		return "the signal " + e.wait.Name + " did not come in time"
	case events.WaitBudget:
		if e.relieved {
			return "the budgets were changed"
		}
		return "the budget's next period began"
	case events.WaitProvider:
		return "the provider may take calls again"
	}
	return "the time came"
}

// slow is how long work that failed waits to be tried again: it doubles up to slowest, as long as the broker answers.
const (
	slow    = time.Second
	slowest = time.Minute
	// patience bounds it where the broker was away: that says nothing about the task, and when it is back nothing is to lag behind.
	patience = 5 * time.Second
)

// Done says that a piece of work is done, or what kept it from being. What has not changed the task by an event is done again after a
// while.
func (b *Board) Done(w Work, err error, now time.Time) {
	m := at(now)
	if w.Do == List {
		b.listing, b.listed = false, m
		return
	}
	e := b.find(w.Tenant, w.Task)
	if e == nil || e.chore != w.expected || !e.doing {
		return
	}
	e.doing = false
	wait := b.cfg.Grace
	if err != nil {
		wait = min(slowest, slow<<min(e.failures, 10))
		if kind := fault.KindOf(err); kind == fault.Unavailable || kind == fault.Timeout {
			wait = min(wait, patience)
		}
		e.failures = clamp(e.failures+1, 0, 100)
	}
	if w.Do == Read {
		b.chores[read] = append(b.chores[read], e)
		b.readAfter = m.add(slow / 2)
		return
	}
	e.chore, e.again = none, m.add(wait)
	if w.expected == look && err == nil {
		e.again = 0
		e.audit = b.auditTime(e, m)
	}
	b.setTimer(e)
}

// Missing takes in what is in the queue, and returns the dispatches that were to be looked for and are not there.
func (b *Board) Missing(inQueue []events.Dispatch, now time.Time) []Work {
	m := at(now)
	there := make(map[events.Dispatch]bool, len(inQueue))
	for _, d := range inQueue {
		there[d] = true
	}
	var out []Work
	for _, e := range b.chores[look] {
		if !b.stands(e, look, m) {
			continue
		}
		w := e.work(look)
		e.doing = true
		if there[w.Dispatch] {
			b.Done(w, nil, now)
			continue
		}
		w.Do = Again
		out = append(out, w)
	}
	b.chores[look] = nil
	return out
}

// Wake returns when the board is to be asked again although nothing happens: when something comes due, or a rate allows more. It is
// the zero time for never.
func (b *Board) Wake() time.Time {
	var next moment
	if b.timers.len() > 0 {
		next = b.timers.top().timer
	}
	if len(b.chores[read]) > 0 {
		next = earliest(next, b.readAfter)
	}
	if b.acting && len(b.chores[resume]) > 0 {
		next = earliest(next, b.resumes.next())
	}
	if b.acting && len(b.chores[look]) > 0 && !b.listing {
		next = earliest(next, b.audits.next())
	}
	if next == 0 {
		return time.Time{}
	}
	return next.time()
}
