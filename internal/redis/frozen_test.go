package redis_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/redis"
	"github.com/toolboxai/orchestrator/internal/redis/redistest"
)

// A Redis that takes connections and answers nothing slows the first requests that meet it down, and not those behind them.
func TestAnswers_AFrozenRedisSlowsDownTheFirstAlone(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client, err := redis.Open(redis.Config{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	store := redis.NewAnswers(client)
	index, err := llm.NewSemantic(llm.SemanticConfig{Embedder: llm.OfflineEmbedder{}, Vectors: store, Answers: store})
	if err != nil {
		t.Fatal(err)
	}
	cached, err := llm.NewCached(llm.CacheConfig{Client: &model{}, Store: store, Semantic: index})
	if err != nil {
		t.Fatal(err)
	}
	ctx := llm.WithCaller(t.Context(), llm.Caller{Tenant: "school", User: "ada"})
	ask := func(ctx context.Context, n int) {
		input := fmt.Appendf(nil, `{"objective":"how do plants grow","questions":%d}`, n)
		if _, _, err := llm.CompleteValid(ctx, cached, llm.Request{Purpose: "quiz.draft", Input: input, Prompt: string(input)}, func(string) []fault.Detail { return nil }); err != nil {
			t.Error(err)
		}
	}
	ask(ctx, 0)
	late := lateness(t)
	thaw := server.Freeze(t)
	defer thaw()
	round := func(from int) time.Duration {
		began := time.Now()
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() { ask(ctx, from+i) })
		}
		all.Wait()
		return time.Since(began)
	}
	first, second := round(1), round(100)
	t.Logf("sixteen at once waited %v, and sixteen behind them %v", first, second)
	if slack := late(); first > 2*time.Second+slack || second > time.Second+slack {
		t.Errorf("sixteen at once waited %v, and sixteen behind them %v, and this machine is %v late", first, second, slack)
	}
}
