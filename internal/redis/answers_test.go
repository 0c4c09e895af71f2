package redis_test

import (
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/cachetest"
	"github.com/toolboxai/orchestrator/internal/redis"
	"github.com/toolboxai/orchestrator/internal/redis/redistest"
)

func TestAnswers_OnRedis(t *testing.T) {
	t.Parallel()
	cachetest.Run(t, func(t testing.TB) cachetest.Store { return redis.NewAnswers(open(t, redistest.Start(t).URL)) })
}

func TestAnswers_Embedded(t *testing.T) {
	t.Parallel()
	cachetest.Run(t, func(t testing.TB) cachetest.Store { return redis.NewAnswers(open(t, startEmbedded(t).URL())) })
}

// A store whose server is dead says so at once.
func TestAnswers_FailFastWithoutRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client, err := redis.Open(redis.Config{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	store := redis.NewAnswers(client)
	server.Kill()
	began := time.Now()
	_, found, err := store.Answer(t.Context(), "a", "k")
	if err == nil || found {
		t.Error("a dead server answered")
	}
	if err := store.Keep(t.Context(), "a", "k", llm.Answer{}, time.Minute); err == nil {
		t.Error("a dead server took an answer")
	}
	if _, err := store.Lease(t.Context(), "a", "k", "me", time.Minute); err == nil {
		t.Error("a dead server gave a lease")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("that took %v", took)
	}
}
