package dispatch

// Fairness is start-time fair queueing (Goyal, Vin, Cheng, "Start-Time Fair Queueing", SIGCOMM 1996) over tenants, within each lane.
// A tenant has an account for each pool of workers; each release adds the task's cost, divided by the tenant's weight, to the
// account's time, and the tenant whose time is least is next. Three things are particular here:
//
//   - Costs are estimates. When an attempt ends, the account is corrected by what it took. What was too much is not taken back but
//     set off against the next charges, so that times only grow, and heaps may be mended lazily.
//   - A pool serves several kinds, and a kind may be held up by a limit for long. Whoever could not use its share does not save it:
//     a tenant that comes back to a kind begins where the kind is, a kind that comes back begins where its pool is.
//   - Tenants that wait for the same limit keep their order among themselves, however far behind others they are.

// account is one tenant's use of one pool.
type account struct {
	time   [lanes]float64 // virtual, by the lane that was used
	credit [lanes]float64 // set off against charges to come
	ready  int            // queues of lanes other than rest from which a task might be released
}

// charge adds cost to the time of a lane.
func (a *account) charge(l lane, cost float64) {
	off := min(a.credit[l], cost)
	a.credit[l] -= off
	a.time[l] += cost - off
}

// correct makes good for a charge that was wrong by delta.
func (a *account) correct(l lane, delta float64) {
	if delta > 0 {
		a.charge(l, delta)
	} else {
		a.credit[l] -= delta
	}
}

func (t *tenant) account(p *pool) *account {
	a := t.accounts[p]
	if a == nil {
		a = &account{}
		t.accounts[p] = a
	}
	return a
}

// line is the queues of one kind in one lane, those that wait for a limit included.
type line struct {
	kind   *kind
	lane   lane
	ready  heap[*queue]
	active int     // queues that hold a task
	time   float64 // of the queue that was last served, by queue.turn
	shift  float64 // what puts the line's time where its pool's is
}

// queue is the tasks of a class in one lane, in their tenant's order.
type queue struct {
	class  *class
	line   *line
	tasks  heap[*entry]
	offset float64  // added to the account's time
	key    float64  // turn as it was when the queue was put into its heap; never more than it is
	at     *counter // where it waits; nil: with those that are ready
	index  int32
	in     bool // it is in a heap: it holds a task
}

var byPlace = &order[*entry]{
	before: earlier,
	moved:  func(e *entry, i int32) { e.queueIdx = i },
}

var byTurn = &order[*queue]{
	before: func(a, b *queue) bool {
		if a.key != b.key {
			return a.key < b.key
		}
		return a.tasks.top().order < b.tasks.top().order
	},
	moved: func(q *queue, i int32) { q.index = i },
}

// turn is the queue's virtual time among the queues of its line.
func (q *queue) turn() float64 {
	return q.class.tenant.account(q.line.kind.pool).time[q.line.lane] + q.offset
}

// first returns the queue of a heap whose turn is next. Keys in the heap may be old, but then they are too small.
func first(h *heap[*queue]) *queue {
	for {
		q := h.top()
		turn := q.turn()
		if turn <= q.key {
			return q
		}
		q.key = turn
		h.fix(0)
	}
}

// heapOf returns the heap that q is in, or is to be put into.
func (q *queue) heapOf() *heap[*queue] {
	if q.at == nil {
		return &q.line.ready
	}
	return q.at.waiting(q.line)
}

func (b *Board) enter(q *queue, wait *counter) {
	q.at, q.key, q.in = wait, q.turn(), true
	q.heapOf().push(q)
	b.count(q, 1)
}

func (b *Board) leave(q *queue) {
	q.heapOf().remove(q.index)
	b.count(q, -1)
	q.in = false
}

// count keeps the numbers of what is ready.
func (b *Board) count(q *queue, n int) {
	if q.at != nil {
		return
	}
	p := q.line.kind.pool
	b.ready += n
	p.ready += n
	if q.line.lane != rest {
		q.class.tenant.account(p).ready += n
	}
}

// line puts a task into its class's queue of a lane.
func (b *Board) line(e *entry, l lane) {
	q := e.class.queue(l)
	if q.in {
		q.tasks.push(e)
		q.heapOf().fix(q.index)
		return
	}
	q.tasks.push(e)
	ln := q.line
	if ln.active == 0 {
		ln.time = ln.kind.pool.time[l] - ln.shift
	}
	ln.active++
	if behind := ln.time - q.turn(); behind > 0 {
		q.offset += behind
		a := q.class.tenant.account(ln.kind.pool)
		a.credit[l] = max(0, a.credit[l]-behind)
	}
	b.enter(q, nil)
}

// unline takes a task out of its queue.
func (b *Board) unline(e *entry, l lane) {
	q := e.class.queue(l)
	if q.tasks.len() > 1 {
		q.tasks.remove(e.queueIdx)
		q.heapOf().fix(q.index)
		return
	}
	b.leave(q)
	q.tasks.remove(e.queueIdx)
	q.line.active--
	b.promoteAll(q)
}

// serve charges the release of q's first task, and moves the clocks on.
func (b *Board) serve(q *queue, cost float64) {
	ln, p := q.line, q.line.kind.pool
	ln.time = max(ln.time, q.turn())
	if lag := p.time[ln.lane] - (ln.time + ln.shift); lag > 0 {
		ln.shift += lag
	}
	p.time[ln.lane] = max(p.time[ln.lane], ln.time+ln.shift)
	if !b.unfair {
		t := q.class.tenant
		t.account(p).charge(ln.lane, cost/t.weight)
	}
}
