package dispatch

import (
	"slices"
	"strings"
	"time"

	"github.com/toolboxai/orchestrator/internal/task"
)

// Bounds of the age term of Load.
const (
	// loadPatience is the age at which the oldest task counts in full.
	loadPatience = 60.0 // seconds
	// loadNudge is what it then asks for at least, as a share of the slots that there are.
	loadNudge = 0.2
)

// Load is the figure to scale a kind's workers by, in slots: replicas = ceil(Load / slots of a worker). It is
//
//	running + waiting + age * max(waiting, slots/5)
//
// where waiting is what may begin and has not, without what a limit or a pause holds (more workers would not begin that), and age grows
// from 0 to 1 as the oldest of it waits up to a minute. A task counts the same before and after it begins, so that beginning work
// does not look like less work and nothing swings. The age term tells a queue that moves from one that does not: a few tasks
// behind slots that are all taken are within the tolerance of an autoscaler (10 % by default) and would wait for ever; after a
// minute they ask for a fifth more, and a long queue asks for twice its length.
func Load(b task.Backlog) float64 {
	idle := float64(max(0, b.Pending-b.Held))
	load := float64(b.Running) + idle
	if idle > 0 {
		load += clamp(b.OldestAge/loadPatience, 0, 1) * max(idle, loadNudge*float64(b.Slots))
	}
	return load
}

// Backlog returns what waits and runs of every kind that has tasks or workers, by name. It costs O(n) in the number of classes and
// of what is in the queue.
func (b *Board) Backlog(now time.Time) []task.Backlog {
	byKind := map[*kind]*task.Backlog{}
	oldest := map[*kind]moment{}
	for _, k := range b.kinds {
		byKind[k] = &task.Backlog{
			Kind: k.name, Pending: k.pending + len(k.sent) + k.due, Later: k.later, Running: k.running, Slots: k.slots, Workers: k.workers,
		}
		if k.paused {
			byKind[k].Held = byKind[k].Pending
			continue
		}
		for e := range k.sent {
			oldest[k] = earliest(oldest[k], max(e.queuedAt, e.notBefore))
		}
	}
	for _, t := range b.tenants {
		for _, c := range t.classes {
			blocked := c.blocked() != nil
			for _, q := range c.queues {
				switch {
				case q == nil || !q.in:
				case blocked:
					byKind[c.kind].Held += q.tasks.len()
				default:
					oldest[c.kind] = earliest(oldest[c.kind], q.since())
				}
			}
		}
	}
	out := make([]task.Backlog, 0, len(byKind))
	for k, found := range byKind {
		if found.Pending+found.Later+found.Running+found.Workers == 0 {
			continue
		}
		if since := oldest[k]; since != 0 {
			found.OldestAge = max(0, at(now).sub(since).Seconds())
		}
		found.Load = Load(*found)
		out = append(out, *found)
	}
	slices.SortFunc(out, func(x, y task.Backlog) int { return strings.Compare(x.Kind, y.Kind) })
	return out
}

// Has reports whether a task is on the board: it has not ended, as far as the log has been read.
func (b *Board) Has(tenant, id string) bool { return b.find(tenant, id) != nil }

// OfSchedule returns the ids of the tasks on the board that a schedule made, in order.
func (b *Board) OfSchedule(schedule string) []string {
	var ids []string
	for e := range b.schedules[schedule] {
		ids = append(ids, e.id)
	}
	slices.Sort(ids)
	return ids
}
