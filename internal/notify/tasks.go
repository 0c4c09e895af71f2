package notify

import (
	"strings"
	"sync"
	"time"

	"github.com/toolboxai/orchestrator/events"
)

type taskKey struct{ tenant, task string }

func keyOf(e events.Event) taskKey { return taskKey{e.Tenant, e.Task} }

// standing is what the notifier remembers of one task.
type standing struct {
	facts  Snapshot
	over   bool      // the end of the task is being sent, or was
	endSeq uint64    // sequence of that end
	since  time.Time // progress from before belongs to a dispatch that is over; zero for a first dispatch
}

// tasks remembers the tasks seen last. What it forgot is looked up in the log again, so its size is a matter of speed
// only. Safe for concurrent use.
type tasks struct {
	mu    sync.Mutex
	known *lru[taskKey, standing]
}

func newTasks(max int) *tasks { return &tasks{known: newLRU[taskKey, standing](max)} }

// remember copies the key of a task that it sees first: its strings may be parts of a whole message.
func (t *tasks) remember(k taskKey, s standing) {
	if _, ok := t.known.get(k); !ok {
		k = taskKey{strings.Clone(k.tenant), strings.Clone(k.task)}
	}
	t.known.put(k, s)
}

// facts returns the snapshot of a task, and false when the task is not remembered.
func (t *tasks) facts(k taskKey) (Snapshot, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.known.get(k)
	return s.facts, ok
}

// learn sets a task's facts and leaves alone whether it is over.
func (t *tasks) learn(k taskKey, facts Snapshot) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, _ := t.known.get(k)
	s.facts = facts
	t.remember(k, s)
}

// adopt remembers a task as it was found in the log, unless it is remembered already: then more is known than was found.
func (t *tasks) adopt(k taskKey, found standing) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.known.get(k); !ok {
		t.remember(k, found)
	}
}

// close notes that the event with sequence seq ends the task. From now on its progress is held back.
func (t *tasks) close(k taskKey, facts Snapshot, seq uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, _ := t.known.get(k)
	s.facts, s.over, s.endSeq = facts, true, max(s.endSeq, seq)
	t.remember(k, s)
}

// reopen lets progress through again after a replay, which e, a task.queued event, tells of. An event that was delivered
// again and lies before the task's end changes nothing.
func (t *tasks) reopen(e events.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.known.get(keyOf(e))
	if ok && s.over && e.Seq > s.endSeq {
		s.over, s.since = false, e.Time
		t.remember(keyOf(e), s)
	}
}

// open reports whether a progress report may be sent: its task is known not to be over, and it is not from a dispatch
// that is.
func (t *tasks) open(e events.Event) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.known.get(keyOf(e))
	return ok && !s.over && !e.Time.Before(s.since)
}
