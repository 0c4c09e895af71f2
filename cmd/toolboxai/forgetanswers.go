package main

import (
	"context"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/redis"
	"github.com/toolboxai/orchestrator/nats"
)

// forgetting empties the caches of tenants.
type forgetting struct {
	cfg         Config
	generations *nats.Generations
	now         func() time.Time
}

// tenant sees to it that nobody finds what the caches of a tenant hold, whichever process holds it, and deletes what is in Redis and at a
// LangCache service. Nobody can say which of it was written for one of the tenant's users, or by them. What a process holds in its own memory goes
// when it next keeps something for the tenant, else with its age.
func (f forgetting) tenant(ctx context.Context, tenant string) error {
	if err := f.generations.Next(ctx, tenant); err != nil { // first: what is kept from now on is of the next one
		return err
	}
	names := []string{tenant, pantryOf(tenant)}
	if f.cfg.RedisURL != "" {
		client, err := redis.Open(redis.Config{URL: f.cfg.RedisURL})
		if err != nil {
			return err
		}
		defer func() { _ = client.Close() }()
		answers := redis.NewAnswers(client)
		for _, name := range names {
			if err := answers.Forget(ctx, name); err != nil {
				return err
			}
		}
	}
	if f.cfg.LangCacheURL == "" {
		return nil
	}
	service, err := f.cfg.langCache()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := service.Forget(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// older empties the caches of a tenant where they may hold what was kept more than so many days ago. Answers end by themselves: there is nothing
// to do for who keeps tasks longer.
func (f forgetting) older(ctx context.Context, tenant string, days int) error {
	age := time.Duration(days) * 24 * time.Hour
	if age >= llm.AnswerTTL {
		return nil
	}
	begun, err := f.generations.Begun(ctx, tenant)
	if fault.Is(err, fault.NotFound) || err == nil && f.now().Sub(begun) < age {
		return nil
	}
	if err != nil {
		return err
	}
	return f.tenant(ctx, tenant)
}
