package callback

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// facts are what messages say of a task beside the event.
type facts struct {
	Kind   string
	Labels map[string]string
	URL    string // its callback_url

	Private bool // no endpoint of the tenant is told
}

const unknownKind = "unknown"

// factsOf reads what a task.queued event says of its task. It is false for other events and unreadable ones.
func factsOf(e events.Event) (facts, bool) {
	q, err := events.DataAs[events.Queued](e)
	if err != nil {
		return facts{Kind: unknownKind}, false
	}
	f := facts{Kind: q.Kind, URL: q.CallbackURL, Private: q.Private}
	if events.CheckToken("kind", f.Kind) != nil {
		f.Kind = unknownKind
	}
	if len(q.Labels) <= maxLabels {
		f.Labels = q.Labels
	}
	return f, true
}

// maxLabels bounds what is remembered of a task; the platform takes no more of them.
const maxLabels = 16

// cache remembers facts of the tasks that were seen last, between one and two times half of its size. What it forgot is looked up in
// the log again, so its size is a matter of speed only. It is safe for concurrent use.
type cache struct {
	mu       sync.Mutex
	half     int
	now, old map[taskKey]facts
}

type taskKey struct{ tenant, task string }

func newCache(size int) *cache { return &cache{half: max(size/2, 1), now: map[taskKey]facts{}} }

func (c *cache) get(k taskKey) (facts, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, ok := c.now[k]
	if !ok {
		if f, ok = c.old[k]; ok {
			c.put(k, f)
		}
	}
	return f, ok
}

func (c *cache) add(k taskKey, f facts) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(taskKey{strings.Clone(k.tenant), strings.Clone(k.task)}, f) // they may be parts of a whole message
}

// put is called with the lock held.
func (c *cache) put(k taskKey, f facts) {
	if len(c.now) >= c.half {
		c.now, c.old = map[taskKey]facts{}, c.now
	}
	c.now[k] = f
}

// factsAbout returns what is known of e's task: from e itself, from memory, or from the beginning of its history. They are empty when
// that has aged out.
func (p *Planner) factsAbout(ctx context.Context, e events.Event) (facts, error) {
	key := taskKey{e.Tenant, e.Task}
	if own, ok := factsOf(e); ok {
		p.known.add(key, own)
		return own, nil
	}
	if known, ok := p.known.get(key); ok {
		return known, nil
	}
	history, err := p.cfg.Lookup.History(ctx, e.Tenant, e.Task, 0, 1)
	if err != nil && !fault.Is(err, fault.NotFound) && !errors.Is(err, events.ErrMalformed) {
		return facts{}, err
	}
	found := facts{Kind: unknownKind}
	if len(history) > 0 {
		found, _ = factsOf(history[0])
	}
	p.known.add(key, found)
	return found, nil
}
