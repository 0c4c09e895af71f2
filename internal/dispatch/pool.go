package dispatch

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/toolboxai/orchestrator/internal/task"
)

// pool is kinds that compete for the same workers: those that are connected by a worker that serves both. A kind that nobody
// serves is a pool of its own.
type pool struct {
	kinds  []*kind
	groups []*group
	serves [][]bool       // by index of kind and group
	time   [lanes]float64 // of the furthest kind
	served int            // releases
	ready  int            // queues from which a task might be released
	space  capacity
}

// group is the workers that serve the same kinds.
type group struct {
	key     string
	kinds   []string
	free    int // slots that no task runs in, as the log tells: what workers say of themselves is older
	slots   int
	workers int
}

type worker struct {
	slots    int
	group    *group
	versions map[string][]string // by kind
}

// free returns how many slots are free when n tasks run.
func (w *worker) free(n int) int { return max(0, w.slots-n) }

// SetWorkers takes in which workers are alive. Those that are draining take nothing new and count as gone.
func (b *Board) SetWorkers(alive []task.Worker, now time.Time) {
	groups := map[string]*group{}
	workers := make(map[string]*worker, len(alive))
	for _, w := range alive {
		if w.Draining || len(w.Kinds) == 0 || w.Slots <= 0 {
			continue
		}
		names := make([]string, 0, len(w.Kinds))
		own := &worker{slots: w.Slots, versions: make(map[string][]string, len(w.Kinds))}
		for _, k := range w.Kinds {
			names = append(names, k.Kind)
			own.versions[k.Kind] = k.Versions
		}
		slices.Sort(names)
		names = slices.Compact(names)
		key := strings.Join(names, " ")
		g := groups[key]
		if g == nil {
			g = &group{key: key, kinds: names}
			groups[key] = g
		}
		own.group = g
		g.slots += own.slots
		g.workers++
		g.free += own.free(b.busy[w.Name])
		workers[w.Name] = own
	}
	b.workers, b.heard = workers, true
	if b.sameGroups(groups) {
		for _, p := range b.pools {
			for i, g := range p.groups {
				p.groups[i] = groups[g.key]
			}
		}
		b.countWorkers()
	} else {
		b.rebuild(at(now), func() { b.regroup(groups) })
	}
	for _, c := range b.counters {
		b.setVersion(c)
	}
}

func (b *Board) sameGroups(groups map[string]*group) bool {
	n := 0
	for _, p := range b.pools {
		for _, g := range p.groups {
			if groups[g.key] == nil {
				return false
			}
			n++
		}
	}
	return n == len(groups)
}

// regroup makes the pools anew. A tenant keeps by how much it was ahead of its pool.
func (b *Board) regroup(groups map[string]*group) {
	old := map[*kind]*pool{}
	for _, k := range b.kinds {
		old[k] = k.pool
	}
	for _, g := range groups {
		for _, name := range g.kinds {
			b.kindOf(name)
		}
	}
	b.pools = nil
	left := sortedBy(groups, func(g *group) string { return g.key })
	done := map[*kind]bool{}
	for _, k := range sortedBy(b.kinds, func(k *kind) string { return k.name }) {
		if done[k] {
			continue
		}
		kinds, own := []*kind{k}, []*group(nil)
		done[k] = true
		for i := 0; i < len(kinds); i++ { // grows while it is walked
			left = slices.DeleteFunc(left, func(g *group) bool {
				if !slices.Contains(g.kinds, kinds[i].name) {
					return false
				}
				own = append(own, g)
				for _, name := range g.kinds {
					if other := b.kinds[name]; !done[other] {
						done[other] = true
						kinds = append(kinds, other)
					}
				}
				return true
			})
		}
		b.addPool(kinds, own)
	}
	for _, t := range b.tenants {
		t.move(old, b.pools)
	}
	b.countWorkers()
}

// move gives a tenant accounts for new pools.
func (t *tenant) move(old map[*kind]*pool, pools []*pool) {
	had := t.accounts
	t.accounts = map[*pool]*account{}
	for _, p := range pools {
		for _, k := range p.kinds {
			before := had[old[k]]
			if before == nil {
				continue
			}
			a := t.account(p)
			for l := range lanes {
				a.time[l] = max(a.time[l], before.time[l]-old[k].time[l])
				a.credit[l] = max(a.credit[l], before.credit[l])
			}
		}
	}
}

func (b *Board) addPool(kinds []*kind, groups []*group) {
	p := &pool{kinds: kinds, groups: groups, serves: make([][]bool, len(kinds))}
	for i, k := range kinds {
		k.pool, k.index = p, i
		p.serves[i] = make([]bool, len(groups))
		for j, g := range groups {
			p.serves[i][j] = slices.Contains(g.kinds, k.name)
		}
	}
	b.pools = append(b.pools, p)
}

// countWorkers sets what kinds know of their workers.
func (b *Board) countWorkers() {
	for _, k := range b.kinds {
		k.slots, k.workers, k.runs = 0, 0, map[string]bool{}
	}
	for _, w := range b.workers {
		for name, versions := range w.versions {
			for _, version := range versions {
				b.kinds[name].runs[version] = true
			}
		}
	}
	for _, p := range b.pools {
		for i, k := range p.kinds {
			for j, g := range p.groups {
				if p.serves[i][j] {
					k.slots += g.slots
					k.workers += g.workers
				}
			}
		}
	}
}

// rebuild clears the board of all but its tasks, lets change act, and places the tasks anew: in O(n log n), with little to move.
func (b *Board) rebuild(now moment, change func()) {
	all := make([]*entry, 0, b.open)
	for _, t := range b.tenants {
		for _, e := range t.tasks {
			if e.at != unread {
				e.at, e.class = nowhere, nil
				all = append(all, e)
			}
		}
		t.clear()
	}
	for _, k := range b.kinds {
		k.clear()
	}
	clear(b.counters)
	clear(b.busy)
	change()
	b.ready = 0
	for _, p := range b.pools {
		p.ready = 0
		for _, g := range p.groups {
			g.free = g.slots
		}
	}
	slices.SortFunc(all, func(x, y *entry) int { // their tenants' order, so that the same board comes of the same tasks
		switch {
		case earlier(x, y):
			return -1
		case earlier(y, x):
			return 1
		}
		return 0
	})
	for _, e := range all {
		since := e.since
		b.classify(e)
		b.put(e, now)
		if e.since = min(e.since, since); e.at == waits {
			e.wake = b.wakeTime(e)
			b.setTimer(e)
		}
	}
}

func (t *tenant) clear() {
	t.active, t.front.items, t.back.items = 0, nil, nil
	clear(t.classes)
	for _, a := range t.accounts {
		a.ready = 0
	}
}

func (k *kind) clear() {
	clear(k.sent)
	clear(k.pinned)
	k.due, k.running, k.later, k.pending = 0, 0, 0, 0
	for l := range k.queues {
		ln := &k.queues[l]
		ln.ready.items, ln.active, ln.time, ln.shift = nil, 0, 0, 0
	}
}

func sortedBy[K comparable, V any](m map[K]V, by func(V) string) []V {
	all := make([]V, 0, len(m))
	for _, v := range m {
		all = append(all, v)
	}
	slices.SortFunc(all, func(x, y V) int { return strings.Compare(by(x), by(y)) })
	return all
}

// Estimates of what tasks cost, in seconds of a worker's slot.
const (
	// unknownCost is of a kind of which none has ended. It is low: what was charged too little is made good at once, what was charged too much
	// is a credit, and whoever comes meanwhile would wait until it is used up.
	unknownCost = 0.1
	minCost     = 0.001 // so that every release moves the clocks
	costMemory  = 16    // attempts that the average is over
	rateMemory  = time.Second
)

// learn takes in what an attempt took, and when it ended.
func (k *kind) learn(cost float64, now moment) {
	k.costs = min(k.costs+1, costMemory)
	k.cost += (cost - k.cost) / float64(k.costs)
	k.rate = k.rateAt(now) + 1/rateMemory.Seconds()
	k.rated = max(k.rated, now)
}

// rateAt returns how many attempts end a second.
func (k *kind) rateAt(now moment) float64 {
	return k.rate * math.Exp(-max(0, now.sub(k.rated)).Seconds()/rateMemory.Seconds())
}

func (b *Board) estimate(e *entry) float64 {
	switch {
	case e.cost > 0:
		return max(minCost, e.cost)
	case e.of.costs > 0:
		return max(minCost, e.of.cost)
	}
	return unknownCost
}
