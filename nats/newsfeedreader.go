package nats

import (
	"context"
	"sync"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Tenant returns the events of a tenant's tasks that follow a sequence, in log order, each once, and in between the tasks' progress
// reports (with sequence 0), of which some may be missing. An after of 0 begins with the oldest event that the log holds,
// math.MaxUint64 with what comes from now on. The channel is closed when ctx ends, or else for the reason that reason returns then: a
// fault with ErrHistoryGone or ErrReaderTooSlow in its chain, or Unavailable when the feed ends. The caller ends ctx when it stops
// reading. Nothing is left of a reader whose channel is closed.
//
// Invalid for what is no tenant; Unavailable where the broker cannot be reached or too many read; ErrHistoryGone, as far as the log
// reaches back, when any event after that sequence is not on it any more, be it the tenant's or not.
func (f *Newsfeed) Tenant(ctx context.Context, tenant string, after uint64) (news <-chan events.Event, reason func() error, err error) {
	if err := events.CheckToken("tenant", tenant); err != nil {
		return nil, nil, fault.New(fault.Invalid, "read the log: %w", err)
	}
	return f.read(ctx, tenant, events.Subject(tenant, "*"), after)
}

// Task is Tenant for one task. A task that does not exist has no events yet.
func (f *Newsfeed) Task(ctx context.Context, tenant, task string, after uint64) (news <-chan events.Event, reason func() error, err error) {
	if err := events.CheckToken("tenant", tenant); err != nil {
		return nil, nil, fault.New(fault.Invalid, "read the log: %w", err)
	}
	if err := events.CheckToken("task", task); err != nil {
		return nil, nil, fault.New(fault.Invalid, "read the log: %w", err)
	}
	return f.read(ctx, tenant+"."+task, events.Subject(tenant, task), after)
}

func (f *Newsfeed) read(ctx context.Context, key, subject string, after uint64) (<-chan events.Event, func() error, error) {
	f.mu.Lock()
	full := f.count >= f.cfg.MaxReaders
	if !full {
		f.count++
	}
	f.mu.Unlock()
	if full {
		return nil, nil, fault.After(comeBack, "%d readers follow the log, as many as one process takes", f.cfg.MaxReaders)
	}
	r := &newsReader{
		feed: f, key: key, subject: subject, through: after, index: -1, behind: true,
		out: make(chan events.Event), wake: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	first, err := r.fill(ctx)
	if err != nil {
		r.close()
		return nil, nil, err
	}
	go r.run(ctx, first)
	return r.out, r.reason, nil
}

// newsReader is one reader's place in the log.
type newsReader struct {
	feed    *Newsfeed
	key     string
	subject string
	through uint64 // all up to here was handed out or waits; used by one goroutine
	out     chan events.Event
	wake    chan struct{}
	ended   chan struct{} // closed when err is set

	index int // among the feed's readers under key, -1 when detached; the feed's lock guards it

	mu       sync.Mutex
	waiting  []events.Event
	bytes    int
	after    uint64 // what is not behind it has been read from the log
	filling  bool   // the log is being read while waiting fills
	overflow bool   // more came meanwhile than waits
	behind   bool   // detached: the log is to be read when nothing waits
	left     uint64 // behind, and waiting holds all up to here
	err      error
}

// queue takes an event from the feed. It reports false when too many wait.
func (r *newsReader) queue(e events.Event) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.Seq > 0 && e.Seq <= r.after || r.overflow {
		return true
	}
	full := len(r.waiting) >= r.feed.cfg.Queue || len(r.waiting) > 0 && r.bytes+len(e.Data) > r.feed.cfg.QueueBytes
	switch {
	case e.Seq == 0 && (r.filling || full || len(r.waiting) > r.feed.cfg.Queue/2):
		return true
	case full && r.filling:
		r.overflow, r.waiting, r.bytes = true, nil, 0
		return true
	case full:
		return false
	}
	r.waiting = append(r.waiting, e)
	r.bytes += len(e.Data)
	r.poke()
	return true
}

func (r *newsReader) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// leave says that the reader hears nothing behind a place in the log any more, and has to read on there.
func (r *newsReader) leave(at uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.behind, r.left = true, at
	r.poke()
}

// end makes the reader end for a reason, unless it has one.
func (r *newsReader) end(reason error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err, r.waiting, r.bytes = reason, nil, 0
		close(r.ended)
	}
}

func (r *newsReader) reason() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// close takes the reader out of the feed.
func (r *newsReader) close() {
	r.feed.detach(r)
	r.feed.mu.Lock()
	defer r.feed.mu.Unlock()
	r.feed.count--
}

func (r *newsReader) run(ctx context.Context, ready []events.Event) {
	defer close(r.out)
	defer r.close()
	for {
		for _, e := range ready {
			select {
			case r.out <- e:
			case <-r.ended:
				return
			case <-ctx.Done():
				return
			}
		}
		var behind bool
		if ready, behind = r.take(); len(ready) > 0 {
			continue
		}
		if behind {
			ready = r.refill(ctx)
			continue
		}
		select {
		case <-r.wake:
		case <-r.ended:
			return
		case <-ctx.Done():
			return
		}
	}
}

// take returns what waits, and whether the log is to be read when nothing does.
func (r *newsReader) take() (waiting []events.Event, behind bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	waiting = r.waiting
	r.waiting, r.bytes = nil, 0
	if r.behind && len(waiting) == 0 {
		r.through = max(r.through, r.left)
	}
	return waiting, r.behind && r.err == nil
}
