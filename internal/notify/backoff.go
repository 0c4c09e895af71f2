package notify

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// maxRetryAfter bounds how long a sender's RetryAfter is obeyed, so that a wrong header cannot stop the notifier for a day.
const maxRetryAfter = 5 * time.Minute

// backoff says how long to wait before try number failures+1: a random time below first·2^(failures-1) and limit (full
// jitter), and never less than err asks for.
func backoff(first, limit time.Duration, failures int, err error) time.Duration {
	ceiling := first
	for ; failures > 1 && ceiling < limit; failures-- {
		if ceiling > limit/2 {
			ceiling = limit
		} else {
			ceiling *= 2
		}
	}
	wait := rand.N(ceiling)
	if asked := min(fault.RetryAfter(err), maxRetryAfter); wait < asked {
		// The shards were all asked to come back at once; spread them.
		wait = asked + rand.N(first)
	}
	return wait
}

// sleep returns nil after d, or why ctx ended before that.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
