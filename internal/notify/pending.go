package notify

import (
	"sync"

	"github.com/toolboxai/orchestrator/events"
)

// pending holds the latest progress report of each task until it is sent. It is the only place where reports wait, and it
// is bounded: in tasks by its size, in bytes by MaxData a report. A task keeps its place in the queue however often it
// reports. Safe for concurrent use.
type pending struct {
	mu     sync.Mutex
	latest *lru[taskKey, events.Event]
	stats  *counters
}

func newPending(max int, stats *counters) *pending {
	return &pending{latest: newLRU[taskKey, events.Event](max), stats: stats}
}

// put makes e the latest report of its task. When too many tasks wait, the report that waits longest is dropped.
func (p *pending) put(e events.Event) {
	if e.Type != events.TypeProgress || len(e.Data) > MaxData {
		p.stats.dropped.Add(1)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	replaced, evicted := p.latest.put(keyOf(e), e)
	if replaced {
		p.stats.coalesced.Add(1)
	}
	if evicted {
		p.stats.dropped.Add(1)
	}
}

// putBack returns a report that could not be sent to the end of the queue, unless a newer one has come.
func (p *pending) putBack(e events.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.latest.has(keyOf(e)) {
		p.stats.coalesced.Add(1)
	} else if _, evicted := p.latest.put(keyOf(e), e); evicted {
		p.stats.dropped.Add(1)
	}
}

// take removes and returns at most n reports, those first that wait longest.
func (p *pending) take(n int) []events.Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []events.Event
	for len(out) < n {
		e, ok := p.latest.pop()
		if !ok {
			break
		}
		out = append(out, e)
	}
	return out
}
