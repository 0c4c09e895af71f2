package dispatch_test

import (
	"container/heap"
	"fmt"
	"slices"
	"time"
)

// crew is a worker.
type crew struct {
	name  string
	kinds []string
	slots int
	busy  int
	gone  bool
}

func (c *crew) serves(kind string) bool { return slices.Contains(c.kinds, kind) }

type occasion struct {
	at  time.Time
	n   int
	run func()
}

type agenda []occasion

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at.Before(a[j].at) || a[i].at.Equal(a[j].at) && a[i].n < a[j].n
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(occasion)) }
func (a *agenda) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

func (w *world) at(when time.Time, run func()) {
	heap.Push(&w.agenda, occasion{when, len(w.jobs)*1000 + len(w.agenda), run})
}

func (w *world) after(d time.Duration, run func()) { w.at(w.now.Add(d), run) }

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func crewOf(slots int, kinds ...string) *crew {
	if len(kinds) == 0 {
		kinds = []string{"quiz"}
	}
	return &crew{name: fmt.Sprintf("w%d-%s", slots, kinds[0]), kinds: kinds, slots: slots}
}
