package nats

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// refill is fill, and waits a moment when the log cannot be read.
func (r *newsReader) refill(ctx context.Context) []events.Event {
	found, err := r.fill(ctx)
	switch {
	case err == nil:
		return found
	case errors.Is(err, errNotRunning), !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Timeout):
		r.end(err)
		return nil
	}
	select {
	case <-time.After(followBackoff):
	case <-r.ended:
	case <-ctx.Done():
	}
	return nil
}

// fill reads the next page of the log. It attaches the reader to the feed first, so that what comes while it reads waits; when
// the page is the last one the reader stays attached, and what it has read is taken out of what waits.
func (r *newsReader) fill(ctx context.Context) (found []events.Event, err error) {
	select {
	case r.feed.reads <- struct{}{}:
		defer func() { <-r.feed.reads }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	r.mu.Lock()
	r.filling, r.overflow, r.behind, r.left, r.after = true, false, false, 0, 0
	r.mu.Unlock()
	found, more, err := r.splice(ctx)
	if err != nil || more || !r.settle() {
		r.retreat()
	}
	return found, err
}

func (r *newsReader) splice(ctx context.Context) (found []events.Event, more bool, err error) {
	var position uint64
	if !r.feed.sloppy {
		if position, err = r.feed.attach(ctx, r); err != nil {
			return nil, false, err
		}
	}
	if r.through == math.MaxUint64 {
		r.through = position
		return nil, false, nil
	}
	page, more, err := r.feed.page(ctx, r.subject, r.through, newsPage)
	if err == nil && r.feed.sloppy {
		position, err = r.feed.attach(ctx, r)
	}
	if err != nil {
		return nil, false, err
	}
	for _, m := range page {
		if e, err := decode(m.Header, m.Data, m.Seq); err == nil {
			found = append(found, e)
		}
		r.through = m.Seq
	}
	if !more {
		r.through = max(r.through, position)
	}
	return found, more, nil
}

// settle ends the filling. It reports false when something was lost meanwhile.
func (r *newsReader) settle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.overflow {
		return false
	}
	r.filling, r.after = false, r.through
	r.waiting = slices.DeleteFunc(r.waiting, func(e events.Event) bool { return e.Seq > 0 && e.Seq <= r.through })
	r.bytes = 0
	for _, e := range r.waiting {
		r.bytes += len(e.Data)
	}
	return true
}

// retreat leaves the feed: the log is to be read again.
func (r *newsReader) retreat() {
	r.feed.detach(r)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting, r.bytes, r.overflow, r.filling, r.behind, r.left = nil, 0, false, false, true, 0
}
