package campaign

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// RunnerConfig is what a Runner needs.
type RunnerConfig struct {
	Documents Documents
	Tasks     Tasks
	Parallel  int // campaigns at once, over all tenants; 16 when 0
	Logger    *slog.Logger
}

// Runner carries out campaigns.
type Runner struct{ RunnerConfig }

// NewRunner checks cfg and returns the runner.
func NewRunner(cfg RunnerConfig) (*Runner, error) {
	switch {
	case cfg.Documents == nil:
		return nil, errors.New("campaign runner: RunnerConfig.Documents is missing")
	case cfg.Tasks == nil:
		return nil, errors.New("campaign runner: RunnerConfig.Tasks is missing")
	}
	if cfg.Parallel == 0 {
		cfg.Parallel = 16
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Runner{cfg}, nil
}

// Times of a runner.
const (
	saveEvery   = time.Second
	followEvery = 2 * time.Second
	actPatience = 15 * time.Second // of an act that is under way when the runner is stopped
	minRetry    = 500 * time.Millisecond
	maxRetry    = 30 * time.Second
	rewatch     = time.Second
)

// Run carries out all campaigns that have not ended until ctx ends; then it waits for what is under way and returns nil. Two
// runners at once replay nothing twice, but each keeps a campaign's rate on its own. Call it while leading.
func (r *Runner) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	slots := make(chan struct{}, r.Parallel)
	var mu sync.Mutex
	active := map[string]context.CancelCauseFunc{}
	tell := func(key string, doc Campaign, _ uint64, gone bool) {
		mu.Lock()
		defer mu.Unlock()
		stop, is := active[key]
		switch {
		case is && (gone || doc.State.Ended()):
			stop(errEnded)
		case !is && !gone && !doc.State.Ended():
			ctx, stop := context.WithCancelCause(ctx)
			active[key] = stop
			running.Go(func() {
				defer func() {
					stop(nil)
					mu.Lock()
					delete(active, key)
					mu.Unlock()
				}()
				select {
				case slots <- struct{}{}:
					r.serve(ctx, key)
					<-slots
				case <-ctx.Done():
				}
			})
		}
	}
	for {
		err := r.Documents.Watch(ctx, tell)
		if ctx.Err() != nil {
			return nil
		}
		r.Logger.WarnContext(ctx, "campaigns cannot be watched, trying again", "error", err)
		select {
		case <-time.After(rewatch):
		case <-ctx.Done():
			return nil
		}
	}
}

var (
	errEnded = errors.New("the campaign ended")
	errTaken = errors.New("another runner is ahead")
)

// serve carries out one campaign until it ends or ctx does.
func (r *Runner) serve(ctx context.Context, key string) {
	for failures := 0; ctx.Err() == nil; {
		began := time.Now()
		err := r.attempt(ctx, key)
		switch {
		case err == nil, ctx.Err() != nil, fault.Is(err, fault.NotFound):
			return
		case errors.Is(err, errTaken):
			failures = 0
		}
		if time.Since(began) > time.Minute {
			failures = 0
		}
		if failures++; failures == 2 {
			r.Logger.WarnContext(ctx, "campaign does not get on, trying again", "campaign", key, "error", err)
		}
		again := max(min(maxRetry, minRetry<<min(failures-1, 6)), fault.RetryAfter(err))
		select {
		case <-time.After(again/2 + rand.N(again/2+1)):
		case <-ctx.Done():
		}
	}
}

// attempt carries out a campaign as its document stands. It returns nil when the campaign ended, errTaken when another runner wrote
// the document, and what else kept it from going on.
func (r *Runner) attempt(ctx context.Context, key string) error {
	doc, rev, err := r.Documents.Get(ctx, key)
	if err != nil {
		return err
	}
	if doc.State.Ended() {
		return nil
	}
	w := &work{Runner: r, doc: doc, rev: rev, saved: time.Now()}
	err = w.run(ctx)
	if (w.dirty || errors.Is(context.Cause(ctx), errEnded)) && !errors.Is(err, errTaken) {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), actPatience)
		defer cancel()
		err = errors.Join(err, w.save(last))
	}
	if err != nil {
		return fmt.Errorf("campaign %s: %w", key, err)
	}
	return nil
}
