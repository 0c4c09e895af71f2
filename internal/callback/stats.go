package callback

import (
	"context"
	"sync/atomic"
	"time"
)

// Stats says what a Runner has done since it was made, and what there is in the database for all of them.
type Stats struct {
	Planned   uint64 // deliveries
	Refused   uint64 // callback_urls that were passed over
	Delivered uint64
	Failed    uint64 // tries that are made again
	GaveUp    uint64 // deliveries that died
	Unwritten uint64 // outcomes that the database did not take: these are tried again

	// As of the last look, at most RunnerConfig.Sweep ago.
	Pending int64
	Dead    int64         // in the log, until they are replayed or purged
	Lag     time.Duration // how long the oldest delivery has been due; 0: none waits
}

type counters struct {
	delivered, failed, gaveUp, unwritten atomic.Uint64
	backlog                              atomic.Pointer[Backlog]
}

func (c *counters) count(v Verdict) {
	switch v {
	case Accepted:
		c.delivered.Add(1)
	case Failed:
		c.failed.Add(1)
	case GaveUp, Gone:
		c.gaveUp.Add(1)
	}
}

// Stats returns the counters as they are now. It is safe for concurrent use.
func (r *Runner) Stats() Stats {
	s := Stats{
		Delivered: r.stats.delivered.Load(), Failed: r.stats.failed.Load(), GaveUp: r.stats.gaveUp.Load(), Unwritten: r.stats.unwritten.Load(),
	}
	if p := r.cfg.Planner; p != nil {
		s.Planned, s.Refused = p.planned.Load(), p.refused.Load()
	}
	if b := r.stats.backlog.Load(); b != nil {
		s.Pending, s.Dead = b.Pending, b.Dead
		if !b.Oldest.IsZero() {
			s.Lag = max(0, r.cfg.Now().Sub(b.Oldest))
		}
	}
	return s
}

// Bounds of one sweep.
const (
	sweepPage = 1000
	maxPages  = 50
	// buryAfter is how long after its day a delivery may still get its last try.
	buryAfter = time.Hour
)

// sweepAll cleans up and counts until ctx ends.
func (r *Runner) sweepAll(ctx context.Context) {
	for {
		if err := r.sweep(ctx); err != nil && ctx.Err() == nil {
			r.cfg.Logger.WarnContext(ctx, "the log of deliveries could not be swept", "error", err)
		}
		sleep(ctx, r.cfg.Sweep/2+r.random(r.cfg.Sweep))
		if ctx.Err() != nil {
			return
		}
	}
}

func (r *Runner) sweep(ctx context.Context) error {
	now := r.cfg.Now()
	buried, err := pages(func() (int, error) { return r.cfg.Queue.Bury(ctx, now.Add(-buryAfter), sweepPage) })
	r.stats.gaveUp.Add(uint64(buried))
	if err != nil {
		return err
	}
	if _, err := pages(func() (int, error) { return r.cfg.Queue.Purge(ctx, now.Add(-Retention), sweepPage) }); err != nil {
		return err
	}
	b, err := r.cfg.Queue.Backlog(ctx)
	if err == nil {
		r.stats.backlog.Store(&b)
	}
	return err
}

// pages repeats what does a page at a time, until there is less than a page.
func pages(next func() (int, error)) (sum int, err error) {
	for range maxPages {
		n, err := next()
		if sum += n; err != nil || n < sweepPage {
			return sum, err
		}
	}
	return sum, nil
}
