package llm

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// storeTime bounds a call of the store: a cache that is slow is worse than none.
const storeTime = 500 * time.Millisecond

// find looks for an answer: to the same question, to one that means the same, or to the same one that another process is asking at this
// moment. Without one it holds the lease, or nobody does because the store is away.
func (c *Cached) find(ctx context.Context, q question) (Answer, string, bool) {
	if a, ok := c.kept(ctx, q); ok {
		return a, CacheExact, true
	}
	if q.similar != nil {
		if a, ok := c.alike(ctx, q); ok {
			return a, CacheSemantic, true
		}
	}
	deadline := time.Now().Add(maxWaiting)
	for pause := 50 * time.Millisecond; time.Now().Before(deadline); pause = min(2*pause, time.Second) {
		mine, err := c.lease(ctx, q)
		if err != nil {
			c.log.DebugContext(ctx, "the cache of answers does not answer", "error", err)
		}
		if mine || err != nil {
			break
		}
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-ctx.Done():
			return Answer{}, "", false // who asks finds out by itself
		}
		if a, ok := c.kept(ctx, q); ok {
			return a, CacheShared, true
		}
	}
	if a, ok := c.kept(ctx, q); ok { // it came between the first look and the lease
		c.release(ctx, q)
		return a, CacheShared, true
	}
	return Answer{}, "", false
}

// kept returns the answer to the same question.
func (c *Cached) kept(ctx context.Context, q question) (Answer, bool) {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	a, ok, err := c.store.Answer(ctx, q.tenant, q.key)
	if err != nil {
		c.log.DebugContext(ctx, "the cache of answers does not answer", "error", err)
	}
	return a, ok && err == nil && c.take(q, a)
}

// alike returns the answer to a question that means the same, and keeps it for this one. It makes no entry of its own: the answers to what means the same
// as what means the same would drift away.
func (c *Cached) alike(ctx context.Context, q question) (Answer, bool) {
	found, ok, err := c.semantic.Search(ctx, *q.similar)
	if err != nil {
		c.log.DebugContext(ctx, "the semantic cache does not answer", "error", err)
	}
	if !ok || err != nil || !c.take(q, found.Answer) {
		return Answer{}, false
	}
	c.try(ctx, func(ctx context.Context) error { return c.store.Keep(ctx, q.tenant, q.key, found.Answer, c.ttl) })
	return found.Answer, true
}

// take reports whether an answer is good for who asks now.
func (c *Cached) take(q question, a Answer) bool { return len(q.validate(a.Text)) == 0 }

// keep remembers a good answer.
func (c *Cached) keep(ctx context.Context, q question, a Answer) {
	c.tally(ctx, q.tenant, Tally{Misses: 1})
	if len(a.Text) > MaxAnswer {
		return
	}
	c.try(ctx, func(ctx context.Context) error { return c.store.Keep(ctx, q.tenant, q.key, a, c.ttl) })
	if q.similar == nil {
		return
	}
	if err := c.semantic.Add(context.WithoutCancel(ctx), *q.similar, a); err != nil {
		c.log.DebugContext(ctx, "the semantic cache does not take an answer", "error", err)
	}
}

func saved(a Answer, how string) Tally {
	t := Tally{SavedTokens: int64(a.Usage.InputTokens + a.Usage.OutputTokens), SavedMicro: microUSD(a.Usage.CostUSD)}
	switch how {
	case CacheExact:
		t.Exact = 1
	case CacheSemantic:
		t.Semantic = 1
	case CacheShared:
		t.Shared = 1
	}
	return t
}

func (c *Cached) tally(ctx context.Context, tenant string, t Tally) {
	c.try(ctx, func(ctx context.Context) error { return c.store.Count(ctx, tenant, t) })
}

// try does something that may fail, also when who asked has gone.
func (c *Cached) try(ctx context.Context, do func(context.Context) error) {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
	defer cancel()
	if err := do(bounded); err != nil && !fault.Is(err, fault.Canceled) {
		c.log.DebugContext(ctx, "the cache of answers does not take it", "error", err)
	}
}

func (c *Cached) lease(ctx context.Context, q question) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	return c.store.Lease(ctx, q.tenant, q.key, c.holder, leaseTTL)
}

func (c *Cached) release(ctx context.Context, q question) {
	c.try(ctx, func(ctx context.Context) error { return c.store.Release(ctx, q.tenant, q.key, c.holder) })
}

// holding renews the lease until the returned function is called, which gives it back.
func (c *Cached) holding(ctx context.Context, q question) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(leaseTTL / 3)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if _, err := c.lease(ctx, q); err != nil {
					c.log.DebugContext(ctx, "the lease of a question could not be renewed", "error", err)
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		<-ended
		c.release(ctx, q)
	}
}
