package task

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Patience is how long a write to the log is repeated while the broker is away: an election of a new leader takes 4 to 9 s.
const Patience = 10 * time.Second

// Patiently repeats fn while it returns an Unavailable or Timeout fault, for at most limit, with waits of full jitter below
// a bound that grows from 50 ms to 1 s. What is left after that is an Unavailable fault with a RetryAfter. fn bounds each of its
// calls itself and must be safe to repeat, also when an earlier call succeeded and its answer was lost.
func Patiently(ctx context.Context, limit time.Duration, fn func(context.Context) error) error {
	began := time.Now()
	err := fn(ctx)
	if !passing(err) {
		return err
	}
	ctx, cancel := context.WithDeadline(ctx, began.Add(limit))
	defer cancel()
	for bound := 50 * time.Millisecond; ; bound = min(2*bound, time.Second) {
		select {
		case <-ctx.Done():
			return fault.After(5*time.Second, "the broker cannot be reached: %w", err)
		case <-time.After(rand.N(bound)):
		}
		if err = fn(ctx); !passing(err) {
			return err
		}
	}
}

// passing reports whether err is one that another try may mend.
func passing(err error) bool {
	kind := fault.KindOf(err)
	return err != nil && (kind == fault.Unavailable || kind == fault.Timeout)
}
