package llm

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// A cache that is slow is worse than none, but a second call to a model costs more than a second.
const (
	StoreTime = time.Second     // of one call of the store, and of the one for the generation
	indexTime = 2 * time.Second // of one call of the semantic index, which may have to ask for an embedding
	awayTime  = 5 * time.Second // for which one that failed is left alone
)

// outage is when something that failed may be asked again.
type outage struct{ until atomic.Int64 } // in nanoseconds of Unix time

func (o *outage) lasts() bool { return time.Now().UnixNano() < o.until.Load() }

// note begins an outage where err is one. That who asked has gone, or may not, says nothing of who was asked.
func (o *outage) note(ctx context.Context, err error) {
	if ctx.Err() == nil && (fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Timeout)) {
		o.until.Store(time.Now().Add(awayTime).UnixNano())
	}
}

// find looks for an answer: to the same question, to one that means the same, or to the same one that another process is asking at this
// moment. Without one it holds the lease, or nobody does because the store is away.
func (c *Cached) find(ctx context.Context, q question) (Answer, string, bool) {
	if a, ok := c.kept(ctx, q); ok {
		return a, CacheExact, true
	}
	if q.similar != nil && !c.storeAway.lasts() && !c.indexAway.lasts() {
		if a, ok := c.alike(ctx, q); ok {
			return a, CacheSemantic, true
		}
	}
	deadline := time.Now().Add(maxWaiting)
	for pause := 50 * time.Millisecond; time.Now().Before(deadline) && !c.storeAway.lasts(); pause = min(2*pause, time.Second) {
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
	if c.storeAway.lasts() {
		return Answer{}, "", false
	}
	if a, ok := c.kept(ctx, q); ok { // it came between the first look and the lease
		c.release(ctx, q)
		return a, CacheShared, true
	}
	return Answer{}, "", false
}

// kept returns the answer to the same question.
func (c *Cached) kept(ctx context.Context, q question) (Answer, bool) {
	bounded, cancel := context.WithTimeout(ctx, StoreTime)
	defer cancel()
	a, ok, err := c.store.Answer(bounded, q.scope, q.key)
	c.storeAway.note(ctx, err)
	if err != nil {
		c.log.DebugContext(ctx, "the cache of answers does not answer", "error", err)
	}
	return a, ok && err == nil && c.take(q, a)
}

// alike returns the answer to a question that means the same, and keeps it for this one. It makes no entry of its own: the answers to what means the same
// as what means the same would drift away.
func (c *Cached) alike(ctx context.Context, q question) (Answer, bool) {
	bounded, cancel := context.WithTimeout(ctx, indexTime)
	defer cancel()
	found, ok, err := c.semantic.Search(bounded, *q.similar)
	c.indexAway.note(ctx, err)
	if err != nil {
		c.log.WarnContext(ctx, "the semantic cache does not answer", "error", err)
	}
	age := time.Since(found.Answer.At) // a copy lives no longer than what it is of
	if !ok || err != nil || age >= c.ttl || !c.take(q, found.Answer) {
		return Answer{}, false
	}
	c.try(ctx, func(ctx context.Context) error { return c.store.Keep(ctx, q.scope, q.key, found.Answer, c.ttl-age) })
	return found.Answer, true
}

// take reports whether an answer is good for who asks now.
func (c *Cached) take(q question, a Answer) bool { return len(q.validate(a.Text)) == 0 }

// keep counts a good answer and, where it may be another's, remembers it.
func (c *Cached) keep(ctx context.Context, q question, a Answer, others bool) {
	c.tally(ctx, q.tenant, Tally{Misses: 1})
	if !others || len(a.Text) > MaxAnswer {
		return
	}
	c.try(ctx, func(ctx context.Context) error { return c.store.Keep(ctx, q.scope, q.key, a, c.ttl) })
	if q.similar == nil || c.storeAway.lasts() || c.indexAway.lasts() {
		return
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), indexTime)
	defer cancel()
	if err := c.semantic.Add(bounded, *q.similar, a); err != nil {
		c.indexAway.note(context.WithoutCancel(ctx), err)
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

// try does something that may fail, also when who asked has gone, and not while the store is away.
func (c *Cached) try(ctx context.Context, do func(context.Context) error) {
	if c.storeAway.lasts() {
		return
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), StoreTime)
	defer cancel()
	if err := do(bounded); err != nil {
		c.storeAway.note(context.WithoutCancel(ctx), err)
		c.log.DebugContext(ctx, "the cache of answers does not take it", "error", err)
	}
}

func (c *Cached) lease(ctx context.Context, q question) (bool, error) {
	bounded, cancel := context.WithTimeout(ctx, StoreTime)
	defer cancel()
	mine, err := c.store.Lease(bounded, q.scope, q.key, c.holder, leaseTTL)
	c.storeAway.note(ctx, err)
	return mine, err
}

func (c *Cached) release(ctx context.Context, q question) {
	c.try(ctx, func(ctx context.Context) error { return c.store.Release(ctx, q.scope, q.key, c.holder) })
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
