package redis_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/limit"
	"github.com/toolboxai/orchestrator/internal/redis"
	"github.com/toolboxai/orchestrator/internal/redis/redistest"
)

// BenchmarkFallback_Take measures what three limits add to a request: the server there, dead, and silent. The breaker is the
// one that the platform runs with: what the first callers of an outage wait is in p100.
func BenchmarkFallback_Take(b *testing.B) {
	for _, c := range []struct {
		name  string
		spoil func(*redistest.Server)
	}{
		{"shared", func(*redistest.Server) {}},
		{"dead", func(s *redistest.Server) { s.Kill() }},
		{"silent", func(s *redistest.Server) { s.Freeze(b) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			server := redistest.Start(b)
			client, err := redis.Open(redis.Config{URL: server.URL})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = client.Close() }()
			shared, err := redis.NewLimiter(client)
			if err != nil {
				b.Fatal(err)
			}
			f, err := limit.NewFallback(limit.FallbackConfig{Shared: shared, Process: "api-1", Processes: 3})
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(b.Context())
			var running sync.WaitGroup
			running.Go(func() { _ = f.Run(ctx) })
			defer running.Wait()
			defer cancel()
			asks := []limit.Ask{
				{Key: "all", Limit: limit.PerMinute(limit.ClassGlobal, limit.MaxRate, limit.MaxBurst)},
				{Key: "u", Limit: limit.PerMinute(limit.ClassUser, limit.MaxRate, limit.MaxBurst)},
				{Key: "u", Limit: limit.PerMinute(limit.ClassGeneration, 20, 0)},
			}
			if _, err := f.Take(ctx, asks...); err != nil {
				b.Fatal(err)
			}
			c.spoil(server)
			var took []time.Duration
			for b.Loop() {
				start := time.Now()
				if _, err := f.Take(ctx, asks...); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			for name, part := range map[string]float64{"p50-µs": 0.5, "p95-µs": 0.95, "p99-µs": 0.99, "p100-µs": 1} {
				b.ReportMetric(float64(took[min(int(part*float64(len(took))), len(took)-1)].Nanoseconds())/1000, name)
			}
		})
	}
}
