package llm_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
)

// langcache plays the service: it finds the same prompt with the same attributes.
type langcache struct {
	mu      sync.Mutex
	entries []map[string]any
	seen    []string
}

func (l *langcache) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Header.Get("Authorization") != "Bearer key" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	raw, _ := json.Marshal(body)
	l.seen = append(l.seen, string(raw))
	switch r.Method + " " + r.URL.Path {
	case "POST /v1/caches/c1/entries":
		l.entries = append(l.entries, body)
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"entryId":"e1"}`))
	case "DELETE /v1/caches/c1/entries":
		asked, _ := body["attributes"].(map[string]any)
		l.entries = slices.DeleteFunc(l.entries, func(e map[string]any) bool {
			has, _ := e["attributes"].(map[string]any)
			return len(asked) == 1 && has["tenant"] == asked["tenant"]
		})
		_, _ = w.Write([]byte(`{"deletedEntriesCount":1}`))
	case "POST /v1/caches/c1/entries/search":
		found := []map[string]any{}
		for _, e := range l.entries {
			same, _ := json.Marshal(e["attributes"])
			asked, _ := json.Marshal(body["attributes"])
			if e["prompt"] == body["prompt"] && string(same) == string(asked) {
				found = append(found, map[string]any{"id": "e1", "prompt": e["prompt"], "response": e["response"], "similarity": 0.97})
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": found})
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// startLangCache returns a service until the test ends, and an index that asks it.
func startLangCache(t *testing.T) (*langcache, *llm.LangCache) {
	t.Helper()
	service := &langcache{}
	server := httptest.NewServer(service)
	t.Cleanup(server.Close)
	index, err := llm.NewLangCache(llm.LangCacheConfig{URL: server.URL, CacheID: "c1", Key: "key"})
	if err != nil {
		t.Fatal(err)
	}
	return service, index
}

func TestLangCache_AsksTheService(t *testing.T) {
	t.Parallel()
	service, index := startLangCache(t)
	store := llm.NewLocalAnswers()
	c := cached(t, always("answer"), store, index)
	want(of(t, "lakeside"), t, c, about("how plants grow", 5), "", 1)
	fresh := cached(t, always("answer"), llm.NewLocalAnswers(), index) // which knows only the service
	want(of(t, "lakeside"), t, fresh, about("how plants grow", 5), llm.CacheSemantic, 0)
	want(of(t, "hillside"), t, fresh, about("how plants grow", 5), "", 1)
	want(of(t, "lakeside"), t, fresh, about("how plants grow", 6), "", 1)
	if all := strings.Join(service.seen, ""); strings.Contains(all, "lakeside") || strings.Contains(all, "hillside") {
		t.Errorf("the service learned who asks: %s", all)
	}
	strict, _, err := index.Search(t.Context(), llm.Similar{Scope: "lakeside", Texts: []string{"x"}, Threshold: 0.99})
	if err != nil || strict.Similarity != -1 {
		t.Errorf("%+v, %v", strict, err)
	}
}

// What the service has of a tenant can be deleted, of every generation, and nobody finds what is of another generation before it is.
func TestLangCache_ForgetsATenant(t *testing.T) {
	t.Parallel()
	service, index := startLangCache(t)
	question := func(scope string) llm.Similar {
		return llm.Similar{Scope: scope, Space: "s", Texts: []string{"how plants grow"}}
	}
	for _, scope := range []string{llm.Scope("lakeside", "1"), llm.Scope("lakeside", "2"), llm.Scope("lake", "1")} {
		if err := index.Add(t.Context(), question(scope), llm.Answer{Text: scope}); err != nil {
			t.Fatal(err)
		}
	}
	found, ok, err := index.Search(t.Context(), question(llm.Scope("lakeside", "2")))
	if err != nil || !ok || found.Answer.Text != llm.Scope("lakeside", "2") {
		t.Errorf("found %+v, %v", found, err)
	}
	if _, ok, err := index.Search(t.Context(), question(llm.Scope("lakeside", "3"))); err != nil || ok {
		t.Errorf("found something of an earlier generation, %v", err)
	}
	if err := index.Forget(t.Context(), "lakeside"); err != nil {
		t.Fatal(err)
	}
	if len(service.entries) != 1 {
		t.Errorf("the service has %v", service.entries)
	}
}

// A long answer full of quotation marks comes back whole; an entry that somebody else made is none; and an entry ends when its caller wants it.
func TestLangCache_ReadsBackWhatItKept(t *testing.T) {
	t.Parallel()
	service, index := startLangCache(t)
	long := strings.Repeat(`"\`, llm.MaxAnswer/3)
	q := llm.Similar{Scope: "lakeside", Space: "s", Texts: []string{"how plants grow"}, TTL: time.Minute}
	if err := index.Add(t.Context(), q, llm.Answer{Text: long}); err != nil {
		t.Fatal(err)
	}
	if found, ok, err := index.Search(t.Context(), q); err != nil || !ok || found.Answer.Text != long {
		t.Errorf("found %d bytes, %v, %v", len(found.Answer.Text), ok, err)
	}
	service.mu.Lock()
	if ttl := service.entries[0]["ttlMillis"]; ttl != 60_000.0 {
		t.Errorf("it is kept for %v ms", ttl)
	}
	service.entries[0]["response"] = "not ours"
	service.mu.Unlock()
	if _, ok, err := index.Search(t.Context(), q); err != nil || ok {
		t.Errorf("found what is none of ours: %v, %v", ok, err)
	}
}

func TestLangCache_ClassifiesItsFaults(t *testing.T) {
	t.Parallel()
	for status, kind := range map[int]fault.Kind{401: fault.Unauthorized, 429: fault.RateLimited, 500: fault.Unavailable, 302: fault.Unavailable, 200: fault.Unavailable} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(status)
			_, _ = w.Write([]byte("no JSON"))
		}))
		index, err := llm.NewLangCache(llm.LangCacheConfig{URL: server.URL, CacheID: "c1"})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := index.Search(t.Context(), llm.Similar{Texts: []string{"x"}}); !fault.Is(err, kind) {
			t.Errorf("%d gives %v, want %s", status, err, kind)
		}
		server.Close()
	}
	for _, cfg := range []llm.LangCacheConfig{{}, {URL: "host"}, {URL: "https://host"}, {URL: "https://me:pw@host", CacheID: "c"}} {
		if _, err := llm.NewLangCache(cfg); !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "pw") {
			t.Errorf("%+v gives %v", cfg, err)
		}
	}
}
