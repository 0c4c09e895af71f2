package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/internal/breaker"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/policy"
	"github.com/toolboxai/orchestrator/internal/redis/redistest"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

// langcacheService plays a LangCache service: it finds the same prompt with the same attributes.
type langcacheService struct {
	mu      sync.Mutex
	entries []langcacheEntry
}

type langcacheEntry struct {
	Prompt     string            `json:"prompt"`
	Response   string            `json:"response"`
	Attributes map[string]string `json:"attributes"`
	Similarity float64           `json:"similarity"`
}

func (l *langcacheService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var asked langcacheEntry
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	tenant, space := asked.Attributes["tenant"], asked.Attributes["space"]
	found := []langcacheEntry{}
	switch {
	case r.Method == http.MethodDelete:
		l.entries = slices.DeleteFunc(l.entries, func(e langcacheEntry) bool { return e.Attributes["tenant"] == tenant })
	case r.URL.Path == "/v1/caches/c1/entries":
		asked.Similarity = 0.99
		l.entries = append(l.entries, asked)
	default:
		for _, e := range l.entries {
			if e.Prompt == asked.Prompt && e.Attributes["tenant"] == tenant && e.Attributes["space"] == space {
				found = append(found, e)
			}
		}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"data": found})
}

func (l *langcacheService) held() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries)
}

// writer is a model that writes what it is told to.
type writer struct{ text *atomic.Value }

func (writer) Describe() string { return "test writer" }
func (w writer) Complete(context.Context, llm.Request) (llm.Response, error) {
	return llm.Response{Text: w.text.Load().(string)}, nil
}

// cachingProcess is what one process asks by: its caches, and its own connection to the broker.
type cachingProcess struct {
	client  llm.Client
	pantry  api.SemanticCache
	current llm.Generation // of the connection that it has at the moment
}

func startCaching(t *testing.T, cfg Config, broker *natstest.Broker, model writer, control bool) *cachingProcess {
	t.Helper()
	p := &cachingProcess{}
	p.connect(t, broker, control)
	meter, err := llm.NewLocalMeter(llm.LocalConfig{})
	if err != nil {
		t.Fatal(err)
	}
	kept, err := openCaches(cfg, llm.GovernConfig{
		Meter: meter, Policy: func() policy.Policy { return policy.Policy{} }, Breakers: breaker.NewRegistry(),
	}, func(ctx context.Context, tenant string) (string, error) { return p.current(ctx, tenant) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kept.end)
	if p.client, err = kept.around(model, nil); err != nil {
		t.Fatal(err)
	}
	p.pantry = kept.forAPI()
	return p
}

// connect gives the process a connection to the broker, and returns what breaks it.
func (p *cachingProcess) connect(t *testing.T, broker *natstest.Broker, control bool) (leave func()) {
	t.Helper()
	nc, _, err := nats.Connect(nats.ConnectConfig{Embedded: broker.Embedded, Name: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	generations, err := nats.NewGenerations(js)
	if err != nil {
		t.Fatal(err)
	}
	p.current = generations.Current
	if control {
		p.current = func(context.Context, string) (string, error) { return "", nil }
	}
	return nc.Close
}

// ask returns what it is answered, which may be what was kept.
func (p *cachingProcess) ask(t *testing.T, tenant string) string {
	t.Helper()
	input := json.RawMessage(`{"objective":"how plants grow in spring"}`)
	resp, _, err := llm.CompleteValid(llm.WithCaller(t.Context(), llm.Caller{Tenant: tenant}), p.client,
		llm.Request{Purpose: "quiz.draft", Version: "quiz/1", Prompt: string(input), Input: input}, func(string) []fault.Detail { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return resp.Text
}

// search returns whether a program finds what one has stored.
func (p *cachingProcess) search(t *testing.T, tenant string) bool {
	t.Helper()
	hit, err := p.pantry.Search(t.Context(), tenant, stored)
	if err != nil && !fault.Is(err, fault.Unavailable) {
		t.Error(err)
	}
	return hit.Hit
}

var stored = api.CacheQuestion{Prompt: "who grows plants"}

// Nobody finds what was kept of a tenant before one of its users was erased: neither the same process, nor one that was away from the broker at
// that time, whether answers are in its memory, in Redis or at a LangCache service, which has nothing of it any more. Other tenants keep theirs.
// In the controls the caches know no generations, and nothing is deleted.
func TestForgetting_LeavesNothingForAnyProcessToFind(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ redis, langcache, control bool }{
		"Memory": {}, "MemoryControl": {control: true}, "Redis": {redis: true}, "RedisControl": {redis: true, control: true},
		"LangCache": {langcache: true}, "LangCacheControl": {langcache: true, control: true}, "Both": {redis: true, langcache: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broker, service := natstest.Start(t), &langcacheService{}
			cfg := Config{LLMCache: cacheSemantic}
			if c.redis {
				cfg.RedisURL = redistest.Start(t).URL
			}
			if c.langcache {
				server := httptest.NewServer(service)
				t.Cleanup(server.Close)
				cfg.LangCacheURL, cfg.LangCacheID = server.URL, "c1"
			}
			model := writer{new(atomic.Value)}
			model.text.Store("about ada")
			here, apart := startCaching(t, cfg, broker, model, c.control), startCaching(t, cfg, broker, model, c.control)
			leave := apart.connect(t, broker, c.control)
			for _, p := range []*cachingProcess{here, apart} {
				for _, tenant := range []string{"school", "college"} {
					if err := p.pantry.Store(t.Context(), tenant, stored, "ada does", time.Hour); err != nil {
						t.Fatal(err)
					}
					if text := p.ask(t, tenant); text != "about ada" || !p.search(t, tenant) {
						t.Fatalf("answered %q", text)
					}
				}
			}
			leave()
			model.text.Store("about nobody")
			before, school, found := service.held(), "about nobody", false
			if c.control {
				school, found = "about ada", true
			} else {
				generations, err := nats.NewGenerations(broker.JS)
				if err != nil {
					t.Fatal(err)
				}
				if err := (forgetting{cfg, generations, time.Now}).tenant(t.Context(), "school"); err != nil {
					t.Fatal(err)
				}
				if held := service.held(); 2*held != before {
					t.Errorf("the service has %d entries of %d", held, before)
				}
				if apart.search(t, "school") {
					t.Error("a process that is away finds what it cannot know to be allowed")
				}
			}
			apart.connect(t, broker, c.control)
			for at, p := range map[string]*cachingProcess{"here": here, "apart": apart} {
				if text := p.ask(t, "school"); text != school || p.search(t, "school") != found {
					t.Errorf("%s: answered %q, want %q", at, text, school)
				}
				if text := p.ask(t, "college"); text != "about ada" || !p.search(t, "college") {
					t.Errorf("%s: another tenant is answered %q", at, text)
				}
			}
		})
	}
}

// What a tenant keeps for fewer days than answers last is emptied so often, and no more often.
func TestForgetting_KeepsNothingLongerThanTheTenantDoes(t *testing.T) {
	t.Parallel()
	generations, err := nats.NewGenerations(natstest.Start(t).JS)
	if err != nil {
		t.Fatal(err)
	}
	f := forgetting{generations: generations, now: time.Now}
	if err := f.older(t.Context(), "school", 1); err != nil { // nothing was ever kept
		t.Fatal(err)
	}
	current := func() string {
		name, err := generations.Current(t.Context(), "school")
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	first := current()
	for _, days := range []int{7, 30, 1} {
		if err := f.older(t.Context(), "school", days); err != nil || current() != first {
			t.Errorf("a generation of today ended for a tenant that keeps %d days: %v", days, err)
		}
	}
	f.now = func() time.Time { return time.Now().Add(25 * time.Hour) }
	for _, days := range []int{7, 2} {
		if err := f.older(t.Context(), "school", days); err != nil || current() != first {
			t.Errorf("a generation of yesterday, where %d days are kept: %v", days, err)
		}
	}
	if err := f.older(t.Context(), "school", 1); err != nil || current() == first {
		t.Errorf("a generation of yesterday goes on where one day is kept: %v", err)
	}
}
