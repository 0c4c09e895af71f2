package limittest

import (
	"context"
	"fmt"
	"time"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/internal/limit"
)

// Step is one turn of a play against a Model.
type Step struct {
	Pause time.Duration // in whole µs
	Asks  []limit.Ask
}

// Steps draws a play. Keys begin with prefix.
func Steps(t *rapid.T, prefix string) []Step {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Step { return Step{pause(t), asks(t, prefix)} }), 1, 60).Draw(t, "steps")
}

// Play plays steps to a limiter whose clock is moved by advance, and to a Model. It returns an error when they differ, when what was
// refused passes before RetryAfter or not then, or when more passes than ever may.
func Play(ctx context.Context, steps []Step, l limit.Limiter, advance func(time.Duration)) error {
	model, now := NewModel(), time.Duration(0)
	pass := func(d time.Duration) {
		advance(d)
		now += d
	}
	same := func(asks []limit.Ask) (limit.Verdict, error) {
		v, err := l.Take(ctx, asks...)
		if want := model.Take(now, asks...); err == nil && v.Allowed != want {
			err = fmt.Errorf("at %s: %+v, the model says %v to %+v", now, v, want, asks)
		}
		return v, err
	}
	for _, step := range steps {
		pass(step.Pause)
		v, err := same(step.Asks)
		if err != nil {
			return err
		}
		if !v.Allowed && v.RetryAfter <= 30*time.Second { // else nothing would ever be left of the others
			pass(v.RetryAfter - time.Microsecond)
			early, err := same(step.Asks)
			if err != nil || early.Allowed {
				return fmt.Errorf("at %s: %+v, and a µs early %+v (%w)", now, v, early, err)
			}
			pass(time.Microsecond)
			if v, err := same(step.Asks); err != nil || !v.Allowed {
				return fmt.Errorf("at %s: still %+v (%w)", now, v, err)
			}
		}
		for _, a := range step.Asks {
			if err := model.Bounded(a); err != nil {
				return err
			}
		}
	}
	return nil
}

// asks draws one to four asks of a few buckets, tight enough that some are refused.
func asks(t *rapid.T, prefix string) []limit.Ask {
	var all []limit.Ask
	for _, l := range []limit.Limit{
		{Name: "seven", Rate: 7, Per: time.Minute, Burst: 3}, // a request takes no whole number of µs
		{Name: "fast", Rate: 1_000_000, Per: time.Minute, Burst: 50},
		{Name: "log", Rate: 4, Per: 10 * time.Second, Sliding: true},
		{Name: "largest", Rate: limit.MaxRate - 1, Per: limit.MaxPer, Burst: limit.MaxBurst},
	} {
		if !rapid.Bool().Draw(t, l.Name) {
			continue
		}
		cost := rapid.IntRange(limit.Peek, min(l.Capacity(), 10)).Draw(t, "cost")
		if l.Capacity() == limit.MaxBurst && cost > 5 {
			cost = limit.MaxBurst / cost
		}
		all = append(all, limit.Ask{Key: prefix + rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key"), Limit: l, Cost: cost})
	}
	if all == nil {
		all = append(all, limit.Ask{Key: prefix, Limit: limit.PerMinute("plain", 60, 1)})
	}
	return all
}

// pause draws how long nothing happens, in whole µs: often as long as a request takes to drain, to the µs.
func pause(t *rapid.T) time.Duration {
	return rapid.OneOf(
		rapid.Just(time.Duration(0)),
		rapid.SampledFrom([]time.Duration{
			time.Microsecond, 60 * time.Microsecond, time.Second, 2500 * time.Millisecond, 10 * time.Second, 10*time.Second - time.Microsecond,
			8_571_428 * time.Microsecond, 8_571_429 * time.Microsecond,
		}),
		rapid.Custom(func(t *rapid.T) time.Duration {
			return time.Duration(rapid.Int64Range(0, 30_000_000).Draw(t, "µs")) * time.Microsecond
		}),
	).Draw(t, "pause")
}
