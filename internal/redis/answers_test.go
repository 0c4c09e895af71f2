package redis_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/toolboxai/orchestrator/internal/fault"
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
	late := lateness(t)
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
	if took := time.Since(began); took > 5*time.Second+late() {
		t.Errorf("that took %v", took)
	}
}

// What a tenant's cache holds can be deleted whole, others' stays, and so does what was counted.
func TestAnswers_ForgetATenant(t *testing.T) {
	t.Parallel()
	store := redis.NewAnswers(open(t, redistest.Start(t).URL))
	for _, tenant := range []string{"school", "school2"} {
		for n := range 1200 {
			if err := store.Keep(t.Context(), tenant, fmt.Sprint(n), llm.Answer{Text: "of ada"}, time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		err := store.Append(t.Context(), tenant, llm.Vector{Space: "s", Key: "1", Values: [][]float32{{1}}}, time.Minute)
		if err = errors.Join(err, store.Count(t.Context(), tenant, llm.Tally{Exact: 1})); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Keep(t.Context(), llm.Scope("school", "2"), "k", llm.Answer{Text: "of ada"}, time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := store.Forget(t.Context(), "school"); err != nil {
		t.Fatal(err)
	}
	if _, found, err := store.Answer(t.Context(), llm.Scope("school", "2"), "k"); err != nil || found {
		t.Errorf("what is of a generation is there: %v", err)
	}
	for tenant, there := range map[string]bool{"school": false, "school2": true} {
		for n := range 1200 {
			if _, found, err := store.Answer(t.Context(), tenant, fmt.Sprint(n)); err != nil || found != there {
				t.Fatalf("%s of %s: %v, %v", fmt.Sprint(n), tenant, found, err)
			}
		}
		if all, _, err := store.Since(t.Context(), tenant, ""); err != nil || len(all) > 0 != there {
			t.Errorf("%s has %d entries, %v", tenant, len(all), err)
		}
		if got, err := store.Tally(t.Context(), tenant); err != nil || got.Exact != 1 {
			t.Errorf("%s counted %+v, %v", tenant, got, err)
		}
	}
}

// An answer that cannot be read is none, and makes room for one that can: the store is not away because of it.
func TestAnswers_PassOverWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	store := redis.NewAnswers(open(t, server.URL))
	opts, err := goredis.ParseURL(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	raw := goredis.NewClient(opts)
	defer func() { _ = raw.Close() }()
	for _, garbage := range []string{"", "{", `{"text":5}`, "\x00\xff", "[]"} {
		if err := raw.Set(t.Context(), "{cache:a}:answer:k", garbage, time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
		if _, found, err := store.Answer(t.Context(), "a", "k"); err != nil || found {
			t.Errorf("%q: %v, %v", garbage, found, err)
		}
	}
	if err := raw.Del(t.Context(), "{cache:a}:answer:k").Err(); err != nil {
		t.Fatal(err)
	}
	if err := raw.LPush(t.Context(), "{cache:a}:answer:k", "another type").Err(); err != nil {
		t.Fatal(err)
	}
	if _, found, err := store.Answer(t.Context(), "a", "k"); err != nil || found {
		t.Errorf("a list: %v, %v", found, err)
	}
	if err := store.Keep(t.Context(), "a", "k", llm.Answer{Text: "good"}, time.Minute); err != nil {
		t.Fatal(err)
	}
	if got, found, err := store.Answer(t.Context(), "a", "k"); err != nil || !found || got.Text != "good" {
		t.Errorf("%+v, %v, %v", got, found, err)
	}
}

// A server that is full takes nothing and still gives what it has: it is not away.
func TestAnswers_ReadFromAFullServer(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	store := redis.NewAnswers(open(t, server.URL))
	if err := store.Keep(t.Context(), "a", "k", llm.Answer{Text: "good"}, time.Minute); err != nil {
		t.Fatal(err)
	}
	opts, err := goredis.ParseURL(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	raw := goredis.NewClient(opts)
	defer func() { _ = raw.Close() }()
	if err := raw.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if err := store.Keep(t.Context(), "a", "k2", llm.Answer{Text: "more"}, time.Minute); !fault.Is(err, fault.RateLimited) {
		t.Errorf("keeping gives %v", err)
	}
	if _, err := store.Lease(t.Context(), "a", "k", "me", time.Minute); !fault.Is(err, fault.RateLimited) {
		t.Errorf("a lease gives %v", err)
	}
	if got, found, err := store.Answer(t.Context(), "a", "k"); err != nil || !found || got.Text != "good" {
		t.Errorf("%+v, %v, %v", got, found, err)
	}
}
