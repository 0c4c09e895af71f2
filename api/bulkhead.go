package api

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// shedAfter is how long a request waits for a place at the most. Who would wait longer is better told at once: the load balancer
// knows of other servers.
const shedAfter = 500 * time.Millisecond

// Bulkhead says how many requests of one group are served at the same time, and how many may wait for a place.
type Bulkhead struct {
	Slots int
	Queue int
}

// bulkheads returns the defaults. A place costs little while its request waits for the broker or the archive; what they hold back is
// the flood that would make all of them late. Signing in is costly on purpose and has a small one. Streams have Config.MaxStreams.
func bulkheads() map[string]Bulkhead {
	return map[string]Bulkhead{
		groupAuth:  {Slots: 64, Queue: 64},
		groupRead:  {Slots: 512, Queue: 256},
		groupWrite: {Slots: 512, Queue: 256},
		groupAdmin: {Slots: 64, Queue: 32},
	}
}

// places is a bulkhead at work. It is safe for concurrent use.
type places struct {
	group   string
	taken   chan struct{}
	queue   int64
	waiting atomic.Int64
}

func newPlaces(group string, b Bulkhead) *places {
	return &places{group: group, taken: make(chan struct{}, b.Slots), queue: int64(b.Queue)}
}

// enter takes a place, and waits for one for up to shedAfter when the queue is not full. Who got one calls leave. The error is
// Unavailable and says when to come back, or that of ctx.
func (p *places) enter(ctx context.Context) error {
	select {
	case p.taken <- struct{}{}:
		return nil
	default:
	}
	if p.waiting.Add(1) > p.queue {
		p.waiting.Add(-1)
		return p.full()
	}
	defer p.waiting.Add(-1)
	limit := time.NewTimer(shedAfter)
	defer limit.Stop()
	select {
	case p.taken <- struct{}{}:
		return nil
	case <-limit.C:
		return p.full()
	case <-ctx.Done():
		return fault.New(fault.Canceled, "wait for a place: %w", context.Cause(ctx))
	}
}

func (p *places) full() error {
	return fault.After(time.Second, "the server has as many %s requests as it can serve", p.group)
}

func (p *places) leave() { <-p.taken }

// place is what one request holds of a bulkhead, which may be nil. It belongs to the request's goroutine.
type place struct {
	of    *places
	taken bool
}

func (p *place) take(ctx context.Context) error {
	if p.of == nil {
		return nil
	}
	err := p.of.enter(ctx)
	p.taken = err == nil
	return err
}

// release gives the place back, if there is one to give.
func (p *place) release() {
	if p.taken {
		p.of.leave()
		p.taken = false
	}
}
