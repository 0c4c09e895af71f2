package llm

import (
	"context"
	"log/slog"
	"time"

	"github.com/toolboxai/orchestrator/internal/breaker"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// BreakerConfig says when a model is no longer asked. Zero fields take the defaults.
type BreakerConfig struct {
	Calls int           // at least so many calls within Reset before it opens; 3
	Rate  float64       // of them, failed: 0 to 1; 0.6
	Reset time.Duration // how long it stays open before one call is tried; 60 s
}

// newBreaker returns the breaker of a model, known to reg as provider/model. It counts by time: calls to models are few, and slow.
func newBreaker(cfg BreakerConfig, m Model, reg *breaker.Registry, log *slog.Logger) (*breaker.Breaker, error) {
	setZero(&cfg.Reset, time.Minute)
	b, err := breaker.New(breaker.Config{
		Name: m.String(), Failures: cfg.Calls, Rate: cfg.Rate, Window: cfg.Reset, Reset: cfg.Reset, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	return b, reg.Add(b)
}

// guarded asks a model through its breaker. Unavailable and Timeout count as failures; every other answer, refusals included,
// shows that the provider is there. A call that the caller withdrew shows nothing.
type guarded struct {
	model   Model
	next    Client
	breaker *breaker.Breaker
}

func (g *guarded) Describe() string { return g.next.Describe() }

// Complete implements Client.
func (g *guarded) Complete(ctx context.Context, req Request) (Response, error) {
	done, err := g.breaker.Allow()
	if err != nil {
		return Response{}, paused(g.model, PausedByBreaker, time.Now().Add(fault.RetryAfter(err)), nil)
	}
	defer done(context.Canceled) // of a panic
	resp, err := g.next.Complete(ctx, req)
	done(err)
	return resp, err
}
