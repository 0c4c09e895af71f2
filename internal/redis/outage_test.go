package redis_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/metertest"
	"github.com/toolboxai/orchestrator/internal/policy"
	"github.com/toolboxai/orchestrator/internal/redis"
	"github.com/toolboxai/orchestrator/internal/redis/redistest"
)

var luna = llm.Model{Provider: "openai", Name: "gpt-6-luna"}

// model is a provider that answers at once.
type model struct{ asked atomic.Int64 }

func (m *model) Model() llm.Model { return luna }
func (m *model) Describe() string { return luna.String() }
func (m *model) Complete(context.Context, llm.Request) (llm.Response, error) {
	m.asked.Add(1)
	return llm.Response{Text: "good", Provider: luna.Provider, Model: luna.Name, Usage: llm.Usage{InputTokens: 10, OutputTokens: 10}}, nil
}

func requestsPerMinute(n int) func() policy.Policy {
	return func() policy.Policy {
		return policy.Policy{Models: []policy.ModelLimit{{Provider: luna.Provider, RequestsPerMinute: n}}}
	}
}

func governed(t testing.TB, m *model, meter llm.Meter, perMinute int) *llm.Governed {
	t.Helper()
	g, err := llm.Govern(llm.GovernConfig{Client: m, Meter: meter, Policy: requestsPerMinute(perMinute), MaxWait: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// drain has several callers ask each client until it says that the limit is reached. It returns how many calls were served.
func drain(t *testing.T, m *model, clients ...*llm.Governed) int64 {
	t.Helper()
	before := m.asked.Load()
	var callers sync.WaitGroup
	for _, g := range clients {
		for range 4 {
			callers.Go(func() {
				for {
					_, err := g.Complete(context.Background(), llm.Request{Prompt: "x"})
					var held *llm.PausedError
					if errors.As(err, &held) {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	callers.Wait()
	return m.asked.Load() - before
}

func TestGovernors_KeepOneLimitOverOneServer(t *testing.T) {
	t.Parallel()
	server, m := redistest.Start(t), &model{}
	var clients []*llm.Governed
	for range 2 { // two processes: nothing is shared but the server
		clients = append(clients, governed(t, m, meter(t, server.URL, time.Minute), 40))
	}
	if n := drain(t, m, clients...); n != 40 {
		t.Errorf("%d calls within a minute, 40 are allowed", n)
	}
	var apart []*llm.Governed // the negative control
	for range 2 {
		own, err := llm.NewLocalMeter(llm.LocalConfig{})
		if err != nil {
			t.Fatal(err)
		}
		apart = append(apart, governed(t, m, own, 40))
	}
	if n := drain(t, m, apart...); n != 80 {
		t.Errorf("%d calls within a minute without a shared meter: the test sees nothing", n)
	}
}

// processes returns two meters that fall back, as two processes have them. A server that takes longer than patience is away.
func processes(t *testing.T, url string, patience time.Duration) [2]*llm.FallbackMeter {
	t.Helper()
	var both [2]*llm.FallbackMeter
	for i := range both {
		client, err := redis.Open(redis.Config{URL: url, Timeout: patience})
		if err != nil {
			t.Fatal(err)
		}
		store, err := redis.NewMeter(client, redis.MeterConfig{})
		if err != nil {
			t.Fatal(err)
		}
		if both[i], err = llm.NewFallbackMeter(llm.FallbackConfig{Store: store, Processes: 2, Timeout: patience}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			both[i].Close()
			_ = client.Close()
		})
	}
	return both
}

func (m *model) window() llm.Claim {
	return llm.Claim{Key: llm.RequestsKey(luna), Window: time.Minute, Limit: llm.Unlimited}
}

func shared(meters [2]*llm.FallbackMeter, want bool) func() bool {
	return func() bool { return meters[0].Status().Shared == want && meters[1].Status().Shared == want }
}

func TestGovernors_GoOnWhileTheServerIsDead(t *testing.T) {
	t.Parallel()
	const limit = 60
	server, m := redistest.Start(t), &model{}
	meters := processes(t, server.URL, 10*time.Second) // two cores run all tests: what is slow is not dead
	clients := []*llm.Governed{governed(t, m, meters[0], limit), governed(t, m, meters[1], limit)}
	before := int64(0)
	for _, g := range clients { // some calls of each, then the server dies
		for range 10 {
			if _, err := g.Complete(t.Context(), llm.Request{Prompt: "x"}); err != nil {
				t.Fatal(err)
			}
			before++
		}
	}
	server.Kill()
	during := drain(t, m, clients...) // no caller sees an error
	if !shared(meters, false)() {
		t.Fatalf("%+v, %+v", meters[0].Status(), meters[1].Status())
	}
	// Each grants half of the limit, less what it was granted within the minute before.
	if before+during != limit {
		t.Errorf("%d calls before and %d during the outage, %d are allowed a minute", before, during, limit)
	}
	server.Restart(t)
	metertest.Eventually(t, "both are back", shared(meters, true))
	store := meter(t, server.URL, time.Minute)
	used, err := store.Used(t.Context(), []llm.Claim{m.window()})
	if err != nil {
		t.Fatal(err)
	}
	if used[0] != during { // the server has lost what it knew before; what happened meanwhile it has been told
		t.Errorf("the server knows of %d calls, want %d", used[0], during)
	}
	if after := drain(t, m, clients...); after != limit-during {
		t.Errorf("%d calls after the outage, want %d", after, limit-during)
	}
}

func TestGovernors_DoNotWaitForASilentServer(t *testing.T) {
	t.Parallel()
	server, m := redistest.Start(t), &model{}
	meters := processes(t, server.URL, 0)
	g := governed(t, m, meters[0], 1000)
	if _, err := g.Complete(t.Context(), llm.Request{Prompt: "x"}); err != nil {
		t.Fatal(err)
	}
	late := lateness(t)
	thaw := server.Freeze(t)
	start := time.Now()
	if _, err := g.Complete(t.Context(), llm.Request{Prompt: "x"}); err != nil {
		t.Fatal(err)
	}
	first := time.Since(start)
	start = time.Now()
	for range 100 {
		if _, err := g.Complete(t.Context(), llm.Request{Prompt: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	rest := time.Since(start)
	t.Logf("the first call took %s, the next 100 took %s", first, rest)
	if first > 2*time.Second+late() || rest > 25*first { // each would wait as the first one did
		t.Errorf("the first call took %s, the next 100 took %s", first, rest)
	}
	thaw()
	metertest.Eventually(t, "it is back", func() bool { return meters[0].Status().Shared && meters[0].Status().Owed == 0 })
	metertest.Eventually(t, "the server knows of all calls", func() bool {
		used, err := meter(t, server.URL, time.Minute).Used(t.Context(), []llm.Claim{m.window()})
		return err == nil && used[0] >= 102 // one more if the frozen server had read the call that gave up
	})
}

func TestMeter_SaysThatTheServerIsAway(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client, err := redis.Open(redis.Config{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	m, err := redis.NewMeter(client, redis.MeterConfig{})
	if err != nil {
		t.Fatal(err)
	}
	server.Kill()
	late := lateness(t)
	start := time.Now()
	claim := llm.Claim{Key: "k", Window: time.Minute, Limit: 1, Amount: 1}
	if _, err := m.Reserve(t.Context(), []llm.Claim{claim}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v", err)
	}
	if err := client.Ping(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(start); took > 2*time.Second+late() { // go-redis' own defaults take 1.8 s a call
		t.Errorf("two calls took %s", took)
	}
}
