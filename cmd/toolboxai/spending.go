package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/toolboxai/orchestrator/internal/breaker"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/composer"
	"github.com/toolboxai/orchestrator/internal/privacy"
	"github.com/toolboxai/orchestrator/internal/redis"
	"github.com/toolboxai/orchestrator/nats"
)

// meter is what counts requests, tokens and money, and how to end it.
type meter struct {
	llm.Meter
	close func()
}

// newMeter returns the meter that processes share in Redis, or one of this process alone where REDIS_URL is not set.
func newMeter(cfg Config, logger *slog.Logger) (*meter, error) {
	if cfg.RedisURL == "" {
		logger.Warn("REDIS_URL is not set: this process counts requests, tokens and money alone, and from zero at each start; budgets do not hold over restarts")
		local, err := llm.NewLocalMeter(llm.LocalConfig{Share: 1 / float64(cfg.Processes)})
		return &meter{local, func() {}}, err
	}
	client, err := redis.Open(redis.Config{URL: cfg.RedisURL})
	if err != nil {
		return nil, &usageError{err}
	}
	shared, err := redis.NewMeter(client, redis.MeterConfig{})
	if err != nil {
		client.Close()
		return nil, err
	}
	fallback, err := llm.NewFallbackMeter(llm.FallbackConfig{Store: shared, Processes: cfg.Processes, Logger: logger})
	if err != nil {
		client.Close()
		return nil, err
	}
	return &meter{fallback, func() { fallback.Close(); client.Close() }}, nil
}

// govern keeps a model within the limits and budgets of the policy, and from knowing whom it writes of. It waits until the policy is known: under the zero one nothing has a
// limit.
func (s *system) govern(
	ctx context.Context, client llm.Client, own llm.Kinds, m llm.Meter, policies *nats.PolicyStore, breakers *breaker.Registry, kept *caches,
) (llm.Client, error) {
	select {
	case <-policies.Ready():
		for _, err := range llm.CheckFallbacks(ctx, s.cfg.models(), policies.Current().Fallbacks) {
			s.logger.WarnContext(ctx, "a fallback of the policy cannot be used", "error", err)
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	governed, err := llm.Govern(llm.GovernConfig{
		Client: client, Open: llm.Opener(s.cfg.models()), Meter: m, Policy: policies.Current, Kinds: own, Breakers: breakers, Logger: s.logger,
	})
	if fault.Is(err, fault.Invalid) {
		return nil, &usageError{err}
	}
	if _, offline := client.(*composer.Composer); offline || err != nil {
		return governed, err
	}
	cached, err := kept.around(governed, s.logger)
	if err != nil {
		return nil, err
	}
	return privacy.NewPseudonyms(cached), nil
}

const (
	syncEvery = time.Minute
	syncTime  = 30 * time.Second
)

// syncBudgets keeps what the meter counts from falling behind the ledger, until ctx ends: a Redis that lost its memory must not hand
// out spent money again.
func (s *system) syncBudgets(ctx context.Context, m llm.Meter, policies *nats.PolicyStore) error {
	cfg := llm.SyncConfig{Ledger: s.db, Meter: m, Policy: policies.Current}
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for {
		bounded, cancel := context.WithTimeout(ctx, syncTime)
		err := llm.SyncBudgets(bounded, cfg)
		cancel()
		if err != nil && ctx.Err() == nil {
			s.logger.WarnContext(ctx, "budgets could not be compared with the ledger, trying again", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
