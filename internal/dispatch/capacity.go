package dispatch

import "time"

// lead is how far the queue is kept ahead of the workers' free slots: what they finish in this time. It covers the way of a release
// from the board to a worker, so that quick work keeps every slot busy, and comes to nothing for slow work, whose order
// would only be settled too early.
const lead = 20 * time.Millisecond

// capacity tells which kinds of a pool may be released: it assigns what is in the queue to free slots of workers that serve it, and
// an assignment may be changed to make room for another one (augmenting paths, Ford and Fulkerson 1956). So no slot is counted
// twice, and none is left idle that some kind could use.
type capacity struct {
	pool  *pool
	free  []int   // by group
	taken [][]int // slots of a group that a kind is assigned
	ahead []int   // dispatches of a kind beyond the slots
	most  []int   // how many these may be
	seen  []bool  // groups of the current search
	via   []int   // the kind by which a group was reached
	from  []int   // the group that this kind would leave; -1: it is the one that looks
}

// measure begins anew from what is in the queue now.
func (c *capacity) measure(p *pool, idle int, now moment) {
	c.pool = p
	kinds, groups := len(p.kinds), len(p.groups)
	if len(c.free) != groups || len(c.ahead) != kinds {
		*c = capacity{
			pool: p, free: make([]int, groups), taken: make([][]int, kinds), ahead: make([]int, kinds), most: make([]int, kinds),
			seen: make([]bool, groups), via: make([]int, groups), from: make([]int, groups),
		}
		for i := range c.taken {
			c.taken[i] = make([]int, groups)
		}
	}
	for j, g := range p.groups {
		c.free[j] = g.free
	}
	for i := range c.taken {
		clear(c.taken[i])
	}
	for i, k := range p.kinds {
		c.most[i] = idle
		if k.workers > 0 {
			c.most[i] = int(k.rateAt(now) * lead.Seconds())
		}
		demand := k.demand()
		for demand > 0 {
			n := c.assign(i, demand)
			if n == 0 {
				break
			}
			demand -= n
		}
		c.ahead[i] = demand
	}
}

// demand is how many slots what is in the queue may take: not what is paused there, nor what began with a version of the agent that
// nobody runs any more. Those stay in the queue for as long as that is so, and nobody may be kept waiting for them.
func (k *kind) demand() int {
	if k.paused {
		return 0
	}
	n := len(k.sent) + k.due
	for version, pinned := range k.pinned {
		if k.lacks(version) {
			n -= pinned
		}
	}
	return n
}

// lacks reports whether there are workers of the kind, and none that runs a version of its agent.
func (k *kind) lacks(version string) bool { return version != "" && k.workers > 0 && !k.runs[version] }

// pin counts a task that is in the queue by the version that it began with.
func (k *kind) pin(e *entry, n int) {
	if e.version == "" {
		return
	}
	if k.pinned[e.version] += n; k.pinned[e.version] == 0 {
		delete(k.pinned, e.version)
	}
}

// may reports whether a task of the kind can be released.
func (c *capacity) may(kind int) bool {
	return c.ahead[kind] < c.most[kind] || c.search(kind) >= 0
}

// add counts a release.
func (c *capacity) add(kind int) {
	if c.assign(kind, 1) == 0 {
		c.ahead[kind]++
	}
}

// assign gives up to n slots to a kind along one path, and returns how many.
func (c *capacity) assign(kind, n int) int {
	end := c.search(kind)
	if end < 0 {
		return 0
	}
	n = min(n, c.free[end])
	for j := end; c.from[j] >= 0; j = c.from[j] {
		n = min(n, c.taken[c.via[j]][c.from[j]])
	}
	c.free[end] -= n
	for j := end; ; j = c.from[j] {
		c.taken[c.via[j]][j] += n
		if c.from[j] < 0 {
			return n
		}
		c.taken[c.via[j]][c.from[j]] -= n
	}
}

// search returns a group with a free slot that the kind can have, by other kinds changing their groups if need be; -1 for none.
func (c *capacity) search(kind int) int {
	p := c.pool
	for j, serves := range p.serves[kind] {
		c.seen[j] = serves
		if serves {
			c.via[j], c.from[j] = kind, -1
			if c.free[j] > 0 {
				return j
			}
		}
	}
	if len(p.groups) < 2 {
		return -1
	}
	for again := true; again; {
		again = false
		for j := range p.groups {
			if !c.seen[j] {
				continue
			}
			for i := range p.kinds {
				if c.taken[i][j] == 0 {
					continue
				}
				for other, serves := range p.serves[i] {
					if !serves || c.seen[other] {
						continue
					}
					c.seen[other], c.via[other], c.from[other] = true, i, j
					if c.free[other] > 0 {
						return other
					}
					again = true
				}
			}
		}
	}
	return -1
}
