package nats

import (
	"context"
	"sync"
	"time"
)

// shared is an answer that many callers share for a while. One of those who want a fresh one asks for all.
type shared[T any] struct {
	maxAge time.Duration

	mu    sync.Mutex
	value T
	err   error
	at    time.Time
	asked chan struct{} // closed when the request that is under way has ended; nil when none is
	stale bool          // something happened since that request began
}

// get returns an answer that is no older than maxAge, or its error. An error is shared as well, unless it is the asking caller's
// own: that its ctx ended.
func (s *shared[T]) get(ctx context.Context, ask func(context.Context) (T, error)) (T, error) {
	for {
		s.mu.Lock()
		if !s.at.IsZero() && time.Since(s.at) < s.maxAge {
			defer s.mu.Unlock()
			return s.value, s.err
		}
		asked := s.asked
		if asked == nil {
			s.asked, s.stale = make(chan struct{}), false
		}
		s.mu.Unlock()
		if asked == nil {
			return s.refresh(ctx, ask)
		}
		select {
		case <-asked:
		case <-ctx.Done():
			var none T
			return none, ctx.Err()
		}
	}
}

func (s *shared[T]) refresh(ctx context.Context, ask func(context.Context) (T, error)) (T, error) {
	value, err := ask(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil || ctx.Err() == nil {
		s.value, s.err, s.at = value, err, time.Now()
		if s.stale {
			s.at = time.Time{}
		}
	}
	close(s.asked)
	s.asked = nil
	return value, err
}

// forget makes the next caller ask.
func (s *shared[T]) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at, s.stale = time.Time{}, true
}
