package notify

import (
	"sync/atomic"

	"github.com/toolboxai/orchestrator/events"
)

// Switches that break a mechanism, so that tests can see that it is what upholds the guarantee.

// SendProgressOfEndedTasks switches off the check that holds progress back once its task is over.
func (n *Notifier) SendProgressOfEndedTasks() { n.open = func(events.Event) bool { return true } }

// ScatterChannels sends each message by the next shard, whatever its channel.
func (n *Notifier) ScatterChannels() {
	var next atomic.Uint32
	n.shardOf = func(string) int { return int(next.Add(1)) % len(n.shards) }
}

// WaitingReports returns how many tasks have progress waiting.
func (n *Notifier) WaitingReports() int {
	n.pending.mu.Lock()
	defer n.pending.mu.Unlock()
	return len(n.pending.latest.at)
}

// KnownTasks returns how many tasks are remembered.
func (n *Notifier) KnownTasks() int {
	n.tasks.mu.Lock()
	defer n.tasks.mu.Unlock()
	return len(n.tasks.known.at)
}

var Backoff = backoff
