package api_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/internal/auth"
)

// notebook is a semantic cache that finds the same prompt only.
type notebook struct {
	mu   *sync.Mutex
	kept map[string]string
}

func newNotebook() notebook { return notebook{&sync.Mutex{}, map[string]string{}} }

func noted(tenant string, q api.CacheQuestion) string {
	return fmt.Sprint(tenant, q.Prompt, q.Attributes)
}

func (n notebook) Search(_ context.Context, tenant string, q api.CacheQuestion) (api.CacheHit, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	response, ok := n.kept[noted(tenant, q)]
	if !ok {
		return api.CacheHit{Similarity: -1}, nil
	}
	return api.CacheHit{Hit: true, Response: response, Similarity: max(q.Threshold, 0.97), StoredAt: time.UnixMilli(0).UTC()}, nil
}

func (n notebook) Store(_ context.Context, tenant string, q api.CacheQuestion, response string, ttl time.Duration) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.kept[noted(tenant, q)] = fmt.Sprint(response, " for ", ttl)
	return nil
}

func (n notebook) Stats(_ context.Context, tenant string) (api.CacheStats, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return api.CacheStats{Entries: len(n.kept), Exact: 1, Misses: 3, HitRate: 0.25, SavedUSD: 0.5}, nil
}

// cacheData asks one of the routes of the cache and returns its data.
func (k *kit) cacheData(a ask, status int) string {
	k.t.Helper()
	a.path = "/api/v1/cache/semantic/" + a.path
	got := k.do(a)
	k.want(got, status, "")
	return string(got.Data)
}

func TestSemanticCache_FindsWhatWasStored(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.cacheData(ask{method: "POST", path: "store", body: `{"prompt":"What is a verb?","response":"A doing word.","attributes":{"grade":"3"},"ttl_seconds":60}`}, http.StatusCreated)
	for body, want := range map[string]string{
		`{"prompt":"What is a verb?","attributes":{"grade":"3"}}`:                  `{"hit":true,"response":"A doing word. for 1m0s","similarity":0.97,"stored_at":"1970-01-01T00:00:00Z"}`,
		`{"prompt":"What is a verb?","attributes":{"grade":"3"},"threshold":0.99}`: `{"hit":true,"response":"A doing word. for 1m0s","similarity":0.99,"stored_at":"1970-01-01T00:00:00Z"}`,
		`{"prompt":"What is a verb?"}`:                                             `{"hit":false}`,
	} {
		if got := k.cacheData(ask{method: "POST", path: "search", body: body}, http.StatusOK); got != want {
			t.Errorf("%s gives %s, want %s", body, got, want)
		}
	}
	stranger := issue(t, auth.Principal{UserID: "u2", Tenant: "other", Role: auth.Teacher}, time.Hour)
	if got := k.cacheData(ask{method: "POST", path: "search", as: stranger, body: `{"prompt":"What is a verb?","attributes":{"grade":"3"}}`}, http.StatusOK); got != `{"hit":false}` {
		t.Errorf("another school finds %s", got)
	}
	want := `{"entries":1,"exact":1,"hit_rate":0.25,"misses":3,"saved_tokens":0,"saved_usd":0.5,"semantic":0,"shared":0}`
	if got := k.cacheData(ask{method: "GET", path: "stats"}, http.StatusOK); got != want {
		t.Errorf("the stats are %s, want %s", got, want)
	}
}

func TestSemanticCache_RefusesWhatItCannotKeep(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for body, field := range map[string]string{
		`{"prompt":"x"}`:                                         "response",
		`{"prompt":"","response":"y"}`:                           "prompt",
		`{"prompt":"x","response":"y","ttl_seconds":604801}`:     "ttl_seconds",
		`{"prompt":"x","response":"y","attributes":{"A b":"1"}}`: "body", // what is wrong is the name
	} {
		got := k.do(ask{method: "POST", path: "/api/v1/cache/semantic/store", body: body})
		k.want(got, http.StatusBadRequest, "invalid")
		k.wantDetail(got, field, "")
	}
	k.want(newKit(t, func(c *api.Config) { c.Cache = nil }).do(ask{method: "GET", path: "/api/v1/cache/semantic/stats"}), http.StatusServiceUnavailable, "unavailable")
}
