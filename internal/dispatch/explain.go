package dispatch

import (
	"fmt"
	"strconv"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task"
)

// Explain says why a task is where it is. It is false for a task that is not on the board: it ended, or has not been heard of.
func (b *Board) Explain(tenant, id string, now time.Time) (task.Explanation, bool) {
	e := b.find(tenant, id)
	if e == nil || e.at == unread {
		return task.Explanation{}, false
	}
	x := task.Explanation{TaskID: e.id, State: e.phase.state(), Since: e.since.time(), AsOf: now.UTC()}
	switch e.at {
	case held:
		b.explainHeld(e, &x, at(now))
	case front, back:
		b.explainTurn(e, &x)
	case sent:
		if e.of.paused {
			b.explainPause(e.of, &x)
			break
		}
		x.Code, x.Message = task.ReasonDispatched, "it is in the queue since "+clock(e.since)+", a worker takes it any moment"
		b.explainWorkers(e, &x)
	case runs:
		x.Code, x.Worker, x.Since = task.ReasonRunning, e.worker, e.startedAt.time()
		x.Message = fmt.Sprintf("it is held by worker %s since %s, attempt %d", e.worker, clock(e.startedAt), e.attempt)
	case retries, retryDue:
		until := e.nextAt.time()
		x.Code, x.Until, x.Since = task.ReasonRetry, &until, e.changedAt.time()
		x.Message = "its next attempt is at " + clock(e.nextAt)
		if e.at == retryDue && e.of.paused {
			b.explainPause(e.of, &x)
			break
		}
		if e.at == retryDue {
			x.Message = "its next attempt may begin since " + clock(e.nextAt) + ", a worker takes it any moment"
			b.explainWorkers(e, &x)
		}
	case waits:
		b.explainWait(e, &x)
	}
	return x, true
}

func (b *Board) explainHeld(e *entry, x *task.Explanation, now moment) {
	switch k := e.of; {
	case k.paused:
		b.explainPause(k, x)
	case e.notBefore > now:
		until := e.notBefore.time()
		x.Code, x.Until, x.Message = task.ReasonNotBefore, &until, "it may not begin before "+clock(e.notBefore)
	default:
		until := e.backoff.time()
		x.Code, x.Until, x.Message = task.ReasonBehind, &until, "the queue did not take it; that is tried again at "+clock(e.backoff)
	}
}

func (b *Board) explainPause(k *kind, x *task.Explanation) {
	x.Code, x.Message, x.Since = task.ReasonPaused, "kind "+k.name+" is paused", k.pausing.Since
	if k.pausing.By != "" {
		x.Message += " by " + k.pausing.By
	}
	if !k.pausing.Since.IsZero() {
		x.Message += " since " + clock(at(k.pausing.Since))
	}
	if k.pausing.Reason != "" {
		x.Message += ": " + k.pausing.Reason
	}
}

func (b *Board) explainTurn(e *entry, x *task.Explanation) {
	if c := e.class.blocked(); c != nil {
		if c.version != "" {
			explainVersion(e, x)
			return
		}
		x.Code, x.Limit, x.Message = task.ReasonLimit, c.limit, fmt.Sprintf("limit %s of %d is reached", c.limit, c.max)
		return
	}
	x.Code, x.Ahead = task.ReasonBehind, b.ahead(e)
	l := e.lane
	if e.at == back {
		l = rest
	}
	switch {
	case x.Ahead == 0:
		x.Message = "it is next, as soon as a slot for kind " + e.kind + " is free"
	case l == rest:
		x.Message = fmt.Sprintf("behind %s: its tenant has %d others that come first, and more than %d at a time wait in lane rest", tasks(x.Ahead), e.tenant.active+e.tenant.front.len(), e.tenant.share)
	default:
		x.Message = fmt.Sprintf("behind %s of lane %s", tasks(x.Ahead), laneNames[l])
	}
	b.explainWorkers(e, x)
}

func tasks(n int) string {
	if n == 1 {
		return "1 task"
	}
	return strconv.Itoa(n) + " tasks"
}

// explainWorkers says so when nobody is there to do the work.
func (b *Board) explainWorkers(e *entry, x *task.Explanation) {
	switch {
	case e.of.workers == 0 && b.heard:
		x.Code, x.Message = task.ReasonNoWorker, "no worker serves kind "+e.kind
	case e.of.lacks(e.version):
		explainVersion(e, x)
	}
}

func explainVersion(e *entry, x *task.Explanation) {
	x.Code, x.Message = task.ReasonNoWorker, fmt.Sprintf("no live worker runs version %s of kind %s", e.version, e.kind)
}

func (b *Board) explainWait(e *entry, x *task.Explanation) {
	w := e.wait
	x.Until, x.Since = w.Until, e.since.time()
	until := ""
	if w.Until != nil {
		until = " until " + clock(at(*w.Until))
	}
	switch w.Wait {
	case events.WaitSignal:
		x.Code, x.Message = task.ReasonSignal, "it waits for the signal "+w.Name+until
	case events.WaitBudget:
		x.Code, x.Limit, x.Message = task.ReasonBudget, w.Name, "budget "+w.Name+" is spent"+until
	case events.WaitProvider:
		x.Code, x.Message = task.ReasonProvider, "provider "+w.Name+" is paused"+until
	default:
		x.Code, x.Message = task.ReasonSleep, "it sleeps"+until
	}
}

// ahead estimates how many tasks of the same pool begin before one that waits for its turn: those of more urgent lanes; those of
// its own tenant before it; and of every other tenant in its lane as many, or what it has.
func (b *Board) ahead(e *entry) int {
	own := e.lane
	if e.at == back {
		own = rest
	}
	mine := 0
	urgent := 0
	others := map[*tenant]int{}
	for _, k := range e.of.pool.kinds {
		for l := range own {
			urgent += k.queues[l].len(nil)
		}
		k.queues[own].len(func(q *queue) {
			if q.class.tenant != e.tenant {
				others[q.class.tenant] += q.tasks.len()
				return
			}
			for _, other := range q.tasks.items {
				if earlier(other, e) {
					mine++
				}
			}
		})
	}
	n := urgent + mine
	for t, waiting := range others {
		turns := float64(mine+1) * t.weight / e.tenant.weight
		n += min(waiting, max(1, int(turns)))
	}
	return n
}

// len returns how many tasks of a line might be released, and shows their queues.
func (ln *line) len(show func(*queue)) int {
	n := 0
	for _, q := range ln.ready.items {
		if q.class.blocked() != nil {
			continue
		}
		n += q.tasks.len()
		if show != nil {
			show(q)
		}
	}
	return n
}

func clock(m moment) string { return m.time().Format(time.RFC3339) }
