package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/redis"
)

// Values of LLM_CACHE.
const (
	cacheOff      = "off"
	cacheExact    = "exact"
	cacheSemantic = "semantic"
)

// caches keep what models answered.
type caches struct {
	answers llm.AnswerStore
	index   llm.SemanticIndex // nil: only the same question finds an answer
	close   func()

	generation llm.Generation
}

// openCaches opens what the configuration asks for: in Redis for all processes, or in this process alone where REDIS_URL is not set.
// It returns nil when nothing is to be kept. What compares meanings keeps to the limits and budgets of the policy, and only what is of the present
// generation is found.
func openCaches(cfg Config, within llm.GovernConfig, generation llm.Generation) (*caches, error) {
	if cfg.LLMCache == cacheOff {
		return nil, nil
	}
	local := llm.NewLocalAnswers()
	c := &caches{answers: local, close: func() {}, generation: generation}
	var vectors llm.VectorStore = local
	if cfg.RedisURL != "" {
		client, err := redis.Open(redis.Config{URL: cfg.RedisURL, Timeout: llm.StoreTime})
		if err != nil {
			return nil, &usageError{err}
		}
		shared := redis.NewAnswers(client)
		c.answers, vectors, c.close = shared, shared, func() { _ = client.Close() }
	}
	var err error
	switch {
	case cfg.LLMCache == cacheExact:
	case cfg.LangCacheURL != "":
		c.index, err = cfg.langCache()
	default:
		c.index, err = c.ownIndex(cfg, vectors, within)
	}
	if err != nil {
		c.close()
		return nil, &usageError{err}
	}
	return c, nil
}

func (cfg Config) langCache() (*llm.LangCache, error) {
	return llm.NewLangCache(llm.LangCacheConfig{URL: cfg.LangCacheURL, CacheID: cfg.LangCacheID, Key: cfg.LangCacheKey, Threshold: cfg.CacheThreshold})
}

func (c *caches) ownIndex(cfg Config, vectors llm.VectorStore, within llm.GovernConfig) (llm.SemanticIndex, error) {
	models := cfg.models()
	embedder, err := llm.SelectEmbedder(models)
	if err != nil && models.Embedding == "" {
		embedder, err = llm.OfflineEmbedder{}, nil // an API has no provider's key, and needs none
	}
	if err != nil {
		return nil, err
	}
	if embedder, err = llm.GovernEmbedder(within, embedder); err != nil {
		return nil, err
	}
	return llm.NewSemantic(llm.SemanticConfig{Embedder: embedder, Vectors: vectors, Answers: c.answers, Threshold: cfg.CacheThreshold})
}

func (c *caches) end() {
	if c != nil {
		c.close()
	}
}

// around returns client behind the caches.
func (c *caches) around(client llm.Client, logger *slog.Logger) (llm.Client, error) {
	if c == nil {
		return client, nil
	}
	return llm.NewCached(llm.CacheConfig{Client: client, Store: c.answers, Semantic: c.index, Generation: c.generation, Logger: logger})
}

// forAPI returns what callers of the API may keep; nil when nothing is compared.
func (c *caches) forAPI() api.SemanticCache {
	if c == nil || c.index == nil {
		return nil
	}
	return pantry{c}
}

// pantry is the semantic cache of a tenant's programs. It has a list of its own, under a name that no tenant has: what programs store pushes out
// nothing of what agents know. Its spaces begin with a word that no agent's has.
type pantry struct{ *caches }

func pantryOf(tenant string) string { return tenant + " api" }

// scopes returns what agents and programs of a tenant have in the caches, as it is now.
func (c *caches) scopes(ctx context.Context, tenant string) (agents, programs string, err error) {
	generation, err := c.generation(ctx, tenant)
	return llm.Scope(tenant, generation), llm.Scope(pantryOf(tenant), generation), err
}

// similarTo says how a question of the API is known.
func similarTo(scope string, q api.CacheQuestion) llm.Similar {
	attributes, _ := json.Marshal(q.Attributes) // of strings, in the order of their names
	space := sha256.Sum256(attributes)
	return llm.Similar{Scope: scope, Space: "api " + hex.EncodeToString(space[:]), Texts: []string{q.Prompt}, Threshold: q.Threshold}
}

// Search implements api.SemanticCache.
func (p pantry) Search(ctx context.Context, tenant string, q api.CacheQuestion) (api.CacheHit, error) {
	_, scope, err := p.scopes(ctx, tenant)
	if err != nil {
		return api.CacheHit{}, err
	}
	found, ok, err := p.index.Search(llm.WithCaller(ctx, llm.Caller{Tenant: tenant}), similarTo(scope, q))
	if err != nil || !ok {
		return api.CacheHit{Similarity: found.Similarity}, err
	}
	return api.CacheHit{Hit: true, Response: found.Answer.Text, Similarity: found.Similarity, StoredAt: found.Answer.At}, nil
}

// Store implements api.SemanticCache.
func (p pantry) Store(ctx context.Context, tenant string, q api.CacheQuestion, response string, ttl time.Duration) error {
	_, scope, err := p.scopes(ctx, tenant)
	if err != nil {
		return err
	}
	at, a := similarTo(scope, q), llm.Answer{Text: response, At: time.Now().UTC().Truncate(time.Millisecond)}
	at.Key, at.Sole, at.TTL = "api:"+uuid.NewString(), true, ttl
	// The entry comes first: an answer that none leads to would be there for days, and nothing would bound how many.
	if err := p.index.Add(llm.WithCaller(ctx, llm.Caller{Tenant: tenant}), at, a); err != nil {
		return err
	}
	if _, own := p.index.(*llm.Semantic); !own {
		return nil // the index keeps the answer
	}
	return p.answers.Keep(ctx, at.Scope, at.Key, a, ttl)
}

// Stats implements api.SemanticCache.
func (p pantry) Stats(ctx context.Context, tenant string) (api.CacheStats, error) {
	t, err := p.answers.Tally(ctx, tenant)
	if err != nil {
		return api.CacheStats{}, err
	}
	agents, programs, err := p.scopes(ctx, tenant)
	if err != nil {
		return api.CacheStats{}, err
	}
	entries, err := p.index.Entries(ctx, agents)
	if err != nil {
		return api.CacheStats{}, err
	}
	stored, err := p.index.Entries(ctx, programs)
	if err != nil {
		return api.CacheStats{}, err
	}
	if entries >= 0 {
		entries += max(stored, 0)
	}
	s := api.CacheStats{
		Entries: entries, Exact: t.Exact, Semantic: t.Semantic, Shared: t.Shared, Misses: t.Misses, SavedTokens: t.SavedTokens, SavedUSD: float64(t.SavedMicro) / 1e6,
	}
	if hits := t.Exact + t.Semantic + t.Shared; hits > 0 {
		s.HitRate = float64(hits) / float64(hits+t.Misses)
	}
	return s, nil
}
