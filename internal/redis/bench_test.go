package redis_test

import (
	"context"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/policy"
	"github.com/toolboxai/orchestrator/internal/redis/redistest"
)

// BenchmarkGoverned measures what limits and budgets add to one call of a model that answers at once.
func BenchmarkGoverned(b *testing.B) {
	local, err := llm.NewLocalMeter(llm.LocalConfig{})
	if err != nil {
		b.Fatal(err)
	}
	store := meter(b, redistest.Start(b).URL, time.Minute)
	fallback, err := llm.NewFallbackMeter(llm.FallbackConfig{Store: store, Timeout: 10 * time.Second})
	if err != nil {
		b.Fatal(err)
	}
	defer fallback.Close()
	limits := policy.Policy{Models: []policy.ModelLimit{{Provider: luna.Provider, RequestsPerMinute: 1e9, TokensPerMinute: 1e15}}}
	budgets := limits
	budgets.Budgets = []policy.Budget{
		{Scope: policy.ScopeTenant, ID: policy.Everyone, Period: policy.Day, USD: 1e9},
		{Scope: policy.ScopeTenant, ID: policy.Everyone, Period: policy.Month, USD: 1e9},
		{Scope: policy.ScopeUser, ID: policy.Everyone, Period: policy.Month, USD: 1e9, Tokens: 1e15},
	}
	ctx := llm.WithCaller(context.Background(), llm.Caller{Tenant: "lakeside", User: "teacher-7"})
	for _, c := range []struct {
		name   string
		meter  llm.Meter
		policy policy.Policy
	}{
		{"local/limits", local, limits}, {"local/limits+budgets", local, budgets},
		{"redis/limits", fallback, limits}, {"redis/limits+budgets", fallback, budgets},
	} {
		b.Run(c.name, func(b *testing.B) {
			g, err := llm.Govern(llm.GovernConfig{Client: &model{}, Meter: c.meter, Policy: func() policy.Policy { return c.policy }})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := g.Complete(ctx, llm.Request{Prompt: "A quiz about the sky."}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
