package dispatch

import (
	"errors"
	"strings"
	"time"

	"github.com/toolboxai/orchestrator/events"
)

// Apply takes in an event of the log. Those of one task come in log order, but may be repeated, also after later ones, and the
// first one seen may be any. Where an event does not fit what is known, the history is asked for: see Work and Load.
func (b *Board) Apply(e events.Event, now time.Time) {
	t := b.tenants[e.Tenant]
	var known *entry
	if t != nil {
		known = t.tasks[e.Task]
	}
	if known == nil {
		b.meet(e, at(now))
		return
	}
	b.hear(known, e, at(now))
}

// meet takes in an event of a task that is not on the board.
func (b *Board) meet(e events.Event, now moment) {
	k := taskKey{e.Tenant, e.Task}
	old, buried := b.graves.at(k)
	switch {
	case buried && e.Seq <= old.seq:
		return
	case e.Type.Terminal():
		b.graves.dig(k, grave{seq: e.Seq})
		return
	case buried && old.lost && e.Type != events.TypeQueued:
		return
	}
	known := b.add(e.Tenant, e.Task)
	if e.Type == events.TypeQueued && known.tell(e) == nil {
		known.of = b.kindOf(known.kind)
		b.settleIn(known, e, now)
		return
	}
	b.misplace(known, e.Seq, now)
}

func (b *Board) add(tenant, id string) *entry {
	t := b.tenantOf(tenant)
	known := &entry{id: strings.Clone(id), tenant: t, timerIdx: -1, queueIdx: -1, placeIdx: -1}
	t.tasks[known.id] = known
	b.open++
	return known
}

// hear takes in an event of a task on the board.
func (b *Board) hear(known *entry, e events.Event, now moment) {
	switch {
	case known.at == unread:
		if e.Type.Terminal() && e.Seq > known.want {
			b.bury(known, grave{seq: e.Seq})
			return
		}
		known.want = max(known.want, e.Seq)
		return
	case e.Seq <= known.seq:
		return
	}
	before := known.story
	if err := known.tell(e); err != nil {
		b.cfg.Logger.Warn("an event does not fit, its task's history is read again", "task_id", known.id, "tenant", known.tenant.name, "error", err)
		b.take(known)
		b.misplace(known, e.Seq, now)
		return
	}
	known.failures, known.again = 0, 0
	if before.phase == known.phase && before.attempt == known.attempt { // a step, a signal, or what a later version says
		known.audit = b.auditTime(known, now)
		if known.phase == waiting {
			known.wake = b.wakeTime(known)
			b.setTimer(known)
		}
		return
	}
	after := known.story
	known.story = before // what is taken back is what was counted
	b.account(known, after, e)
	b.take(known)
	known.story = after
	switch known.phase {
	case ended:
		b.bury(known, grave{seq: e.Seq})
	case queued:
		b.settleIn(known, e, now)
	default:
		b.forget(known)
		known.sent = false
		known.audit = b.auditTime(known, now)
		b.put(known, now)
	}
}

// account corrects what the task's tenant was charged when an attempt ends, and learns what its kind costs.
func (b *Board) account(e *entry, after story, event events.Event) {
	switch {
	case e.phase == running && after.phase != running:
		took := max(0, at(event.Time).sub(e.startedAt).Seconds())
		b.correct(e, took)
		e.of.learn(took, at(event.Time))
	case after.phase == ended || after.phase == queued: // it never began
		b.correct(e, 0)
	}
}

// correct replaces what was charged by what it cost.
func (b *Board) correct(e *entry, cost float64) {
	if b.unfair {
		return
	}
	e.tenant.account(e.of.pool).correct(e.chargedTo, (cost-e.charged)/e.tenant.weight)
	e.charged = 0
}

// settleIn places a task whose next dispatch begins with the task.queued event.
func (b *Board) settleIn(e *entry, event events.Event, now moment) {
	e.sent, e.relieved, e.backoff = e.direct && e.notBefore <= now, false, 0
	e.chargedTo = e.lane
	b.keep(e, event)
	b.classify(e)
	b.schedule(e)
	if e.sent {
		b.forget(e)
		e.charged = b.estimate(e)
		if !b.unfair {
			e.tenant.account(e.of.pool).charge(e.lane, e.charged/e.tenant.weight)
		}
	}
	e.audit = b.auditTime(e, now)
	b.put(e, now)
}

// misplace sets a task, which is nowhere, aside until its history is read.
func (b *Board) misplace(e *entry, seq uint64, now moment) {
	b.forget(e)
	b.declassify(e)
	e.at, e.want, e.since, e.timer = unread, seq, now, 0
	e.sent, e.inFlight, e.doing, e.charged, e.failures = false, false, false, 0, 0
	b.unread++
	b.dropTimer(e)
	b.ask(e, read)
}

// maxReads is how often a history is read that lacks an event which was seen.
const maxReads = 5

// Load takes in the history of a task that Work asked to be read; an empty one is that of a task that has aged out. Events that are
// newer than its last one are taken in as they come.
func (b *Board) Load(tenant, id string, history []events.Event, now time.Time) {
	e := b.find(tenant, id)
	if e == nil || e.at != unread {
		return
	}
	e.chore, e.doing = none, false
	var s story
	err := s.read(history)
	if e.failures++; err == nil && s.seq < e.want && e.failures < maxReads {
		b.ask(e, read) // the answer was old
		return
	}
	e.failures = 0
	b.unread--
	e.at = nowhere
	switch {
	case err != nil:
		if len(history) > 0 && !errors.Is(err, errNoBegin) {
			b.cfg.Logger.Error("a history cannot be read, its task is left alone", "task_id", id, "tenant", tenant, "error", err)
		}
		b.bury(e, grave{seq: e.want, lost: true})
	case s.phase == ended:
		b.bury(e, grave{seq: max(s.seq, e.want)})
	default:
		b.restore(e, s, at(now))
	}
}

// Unreadable says that the history of a task that Work asked to be read cannot be decoded, and never will be.
func (b *Board) Unreadable(tenant, id string, err error) {
	e := b.find(tenant, id)
	if e == nil || e.at != unread {
		return
	}
	b.cfg.Logger.Error("a history cannot be decoded, its task is left alone", "task_id", id, "tenant", tenant, "error", err)
	b.bury(e, grave{seq: e.want, lost: true})
}

// restore places a task, which is nowhere, by a story from its history.
func (b *Board) restore(e *entry, s story, now moment) {
	e.story = s
	e.of = b.kindOf(s.kind)
	e.sent = s.phase == queued && s.direct && s.notBefore <= now
	e.chargedTo = s.lane
	b.classify(e)
	b.schedule(e)
	e.audit = b.auditTime(e, max(s.changedAt, 1))
	b.put(e, now)
}

// bury takes a task, which is nowhere or unread, off the board.
func (b *Board) bury(e *entry, what grave) {
	if e.at == unread {
		b.unread--
	}
	b.graves.dig(taskKey{e.tenant.name, e.id}, what)
	e.at, e.chore = nowhere, none
	b.dropTimer(e)
	b.forget(e)
	b.declassify(e)
	if e.schedule != "" {
		delete(b.schedules[e.schedule], e)
		if len(b.schedules[e.schedule]) == 0 {
			delete(b.schedules, e.schedule)
		}
	}
	delete(e.tenant.tasks, e.id)
	if len(e.tenant.tasks) == 0 {
		delete(b.tenants, e.tenant.name)
	}
	b.open--
	e.want = ^uint64(0) // whatever still points at it
}

func (b *Board) schedule(e *entry) {
	if e.schedule == "" {
		return
	}
	if b.schedules[e.schedule] == nil {
		b.schedules[e.schedule] = map[*entry]struct{}{}
	}
	b.schedules[e.schedule][e] = struct{}{}
}

func (b *Board) find(tenant, id string) *entry {
	if t := b.tenants[tenant]; t != nil {
		return t.tasks[id]
	}
	return nil
}

// keep keeps the event that a dispatch repeats, as long as there is room: reading it again costs a round trip.
func (b *Board) keep(e *entry, event events.Event) {
	b.forget(e)
	if size := eventSize(&event); b.cached+size <= b.cfg.Cache {
		e.event = &event
		b.cached += size
	}
}

func (b *Board) forget(e *entry) {
	if e.event != nil {
		b.cached -= eventSize(e.event)
		e.event = nil
	}
}

// eventSize is about what an event takes in memory.
func eventSize(e *events.Event) int64 { return int64(len(e.Data)) + 512 }
