package dispatch

import (
	"math"
	"strings"

	"github.com/toolboxai/orchestrator/internal/policy"
)

// class is what tasks share that are alike to every limit: tenant, kind, the counts that they are in, and the version of the
// agent that they need. Within a class and lane only the first task can be next.
type class struct {
	key      classKey
	tenant   *tenant
	kind     *kind
	counters []*counter
	queues   [lanes]*queue
	tasks    int
}

type classKey struct {
	kind   *kind
	counts string
}

// counter is one count of a limit: of the tasks that are in the queue or run.
//
// A queue whose turn it is while a counter is full waits at the counter, so that it is not looked at again and again. As long as the
// counter has room, at least one queue of each line that it counts is ready, unless none waits: see promote.
type counter struct {
	key     string
	limit   string // name
	max     int
	n       int
	classes int
	lines   map[*line]*heap[*queue]
	version string // instead of a limit: the workers must run it
	kind    *kind  // of version
}

func (c *counter) full() bool { return c.n >= c.max }

func (c *counter) waiting(ln *line) *heap[*queue] {
	h := c.lines[ln]
	if h == nil {
		h = &heap[*queue]{by: byTurn}
		c.lines[ln] = h
	}
	return h
}

// classify puts a task into its class.
func (b *Board) classify(e *entry) {
	b.declassify(e)
	facts := policy.Facts{Kind: e.kind, Tenant: e.tenant.name, User: e.user, Labels: e.labels}
	var made []counter
	var counts strings.Builder
	add := func(c counter) {
		_, _ = counts.WriteString(c.key) // a Builder takes everything
		counts.WriteByte(0)
		made = append(made, c)
	}
	for _, l := range b.policy.Limits {
		if key, ok := l.Key(facts); ok {
			add(counter{key: key, limit: l.Name, max: l.Max})
		}
	}
	if e.version != "" && e.phase == queued {
		add(counter{key: "version/" + e.kind + "/" + e.version, version: e.version, kind: e.of}) // no limit's key: those begin with =
	}
	key := classKey{kind: e.of, counts: counts.String()}
	c := e.tenant.classes[key]
	if c == nil {
		c = &class{key: key, tenant: e.tenant, kind: e.of}
		for _, m := range made {
			c.counters = append(c.counters, b.counter(m))
		}
		e.tenant.classes[key] = c
	}
	c.tasks++
	e.class = c
}

// counter returns the counter with the key of m, for one more class; m when there is none.
func (b *Board) counter(m counter) *counter {
	c := b.counters[m.key]
	if c == nil {
		c = &m
		c.lines = map[*line]*heap[*queue]{}
		b.counters[m.key] = c
		b.setVersion(c)
	}
	c.classes++
	return c
}

// declassify takes a task, which is nowhere, out of its class.
func (b *Board) declassify(e *entry) {
	c := e.class
	if c == nil {
		return
	}
	e.class = nil
	if c.tasks--; c.tasks > 0 {
		return
	}
	delete(c.tenant.classes, c.key)
	for _, counter := range c.counters {
		if counter.classes--; counter.classes == 0 {
			delete(b.counters, counter.key)
		}
	}
}

func (c *class) queue(l lane) *queue {
	q := c.queues[l]
	if q == nil {
		q = &queue{class: c, line: &c.kind.queues[l], tasks: heap[*entry]{by: byPlace}}
		c.queues[l] = q
	}
	return q
}

// blocked returns the first counter that has no room for a task of the class, or nil.
func (c *class) blocked() *counter {
	for _, counter := range c.counters {
		if counter.full() {
			return counter
		}
	}
	return nil
}

// park lets a queue, which is ready, wait at a counter that is full.
func (b *Board) park(q *queue, at *counter) {
	b.leave(q)
	b.enter(q, at)
	b.promoteAll(q)
}

// promoteAll lets others take q's place at the counters that have room.
func (b *Board) promoteAll(q *queue) {
	for _, c := range q.class.counters {
		b.promote(c, q.line)
	}
}

// promote makes the queue ready that is first of those of a line that wait at c, if c has room.
func (b *Board) promote(c *counter, ln *line) {
	h := c.lines[ln]
	if h == nil || h.len() == 0 || c.full() {
		return
	}
	q := first(h)
	b.leave(q)
	b.enter(q, nil)
}

// occupy counts a task against the limits of its class, and vacate takes that back.
func (b *Board) occupy(e *entry) {
	for _, c := range e.class.counters {
		c.n++
	}
}

func (b *Board) vacate(e *entry) {
	for _, c := range e.class.counters {
		c.n--
		for ln := range c.lines {
			b.promote(c, ln)
		}
	}
}

// setVersion opens or closes the way for tasks that need a version, as the workers run it or do not. Where no worker serves the kind at
// all, the next one may be of any version.
func (b *Board) setVersion(c *counter) {
	if c.version == "" {
		return
	}
	c.max = math.MaxInt
	if c.kind.lacks(c.version) {
		c.max = 0
	}
	for ln := range c.lines {
		b.promote(c, ln)
	}
}
