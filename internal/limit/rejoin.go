package limit

import (
	"context"
	"slices"
	"time"

	"github.com/toolboxai/orchestrator/internal/breaker"
)

// Run keeps this process among those that share the store, and ends outages. It returns nil when ctx has ended and the store has
// heard that this process is gone.
func (f *Fallback) Run(ctx context.Context) error {
	joined := time.Time{}
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		if apart := !f.together(); f.stumbled.Swap(false) || apart || time.Since(joined) >= JoinEvery {
			f.knock(ctx)
			f.join(ctx, apart)
			joined = time.Now()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.cfg.Timeout)
			defer cancel()
			_ = f.cfg.Shared.Leave(leave, f.cfg.Process) // else it is forgotten a little later
			return nil
		}
	}
}

// knock half-opens the breaker before its time when the store gives a sign of life: as long as some processes ask the store and
// others grant their share, more passes than is allowed.
func (f *Fallback) knock(ctx context.Context) {
	if f.cfg.Breaker.State().State != breaker.Open || time.Since(f.early) < earlyEvery {
		return
	}
	if _, err := f.census(ctx); err != nil {
		return
	}
	f.early = time.Now()
	f.cfg.Breaker.HalfOpen()
}

// join asks the store for a sign of life and tells it what it missed. That it took all of it closes the breaker.
func (f *Fallback) join(ctx context.Context, apart bool) {
	done, err := f.cfg.Breaker.Allow()
	if err != nil {
		return // still open
	}
	census, err := f.census(ctx)
	if err == nil {
		err = f.pay(ctx, f.learn(census, time.Now()))
	}
	if err != nil && ctx.Err() != nil {
		err = context.Canceled
	}
	done(err)
	if err == nil && apart && f.together() {
		f.cfg.Logger.Info("shared limits are back", "processes", f.share())
		_ = f.pay(ctx, false) // what was granted since; the rest is told the next time
	}
}

func (f *Fallback) census(ctx context.Context) (c Census, err error) {
	err = f.bounded(ctx, func(ctx context.Context) error {
		c, err = f.cfg.Shared.Join(ctx, f.cfg.Process)
		return err
	})
	return c, err
}

// learn believes at once in more processes, but in fewer only when the store has said so for as long as one that is silent counts:
// after a restart it has yet to hear of most, and as long as it has not, this process keeps to its share.
func (f *Fallback) learn(c Census, now time.Time) (lost bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	lost = f.memory != "" && f.memory != c.Memory
	f.memory = c.Memory
	if lost {
		f.gathering = now.Add(silence)
	}
	n := min(max(c.Processes, 1), maxProcesses)
	switch {
	case n >= f.processes:
		f.processes, f.fewer, f.gathering = n, time.Time{}, time.Time{}
	case f.fewer.IsZero():
		f.fewer = now
	case now.Sub(f.fewer) >= silence:
		f.processes, f.fewer = n, time.Time{}
	}
	if now.After(f.gathering) {
		f.gathering = time.Time{}
	}
	return lost
}

// pay tells the store what was granted without it.
func (f *Fallback) pay(ctx context.Context, lost bool) error {
	var failed error
	for debts := range slices.Chunk(f.local.debts(f.share(), lost), MaxDebts) {
		if failed == nil {
			failed = f.bounded(ctx, func(ctx context.Context) error { return f.cfg.Shared.Charge(ctx, debts...) })
		}
		if failed != nil { // what it took all the same is counted twice: too strict, and not for long
			f.local.owe(debts)
		}
	}
	return failed
}

func (f *Fallback) bounded(ctx context.Context, fn func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, f.cfg.Timeout)
	defer cancel()
	return fn(ctx)
}
