package postgres

import (
	"context"
	"sync"
	"time"
)

const (
	headAge     = time.Second            // how old an answer may be
	headTimeout = 500 * time.Millisecond // how long a list waits for one
)

// head remembers the sequence of the log's last event, or that it could not be told, for headAge. Of callers that come
// together one asks and the others wait for it.
type head struct {
	ask func(context.Context) (uint64, error)

	mu    sync.Mutex
	asked time.Time
	seq   uint64
	known bool
}

// last returns the sequence of the last event, when it was asked for, and whether the answer is known.
func (h *head) last(ctx context.Context) (seq uint64, asOf time.Time, known bool) {
	if h.ask == nil {
		return 0, time.Time{}, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if now := time.Now(); h.asked.IsZero() || now.Sub(h.asked) > headAge {
		// The caller's own end must not become everybody's answer.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), headTimeout)
		defer cancel()
		seq, err := h.ask(ctx)
		h.asked, h.seq, h.known = now, seq, err == nil
	}
	return h.seq, h.asked, h.known
}
