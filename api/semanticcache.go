package api

import (
	"context"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// CacheQuestion is what a semantic cache is asked, or is to remember an answer to.
type CacheQuestion struct {
	Prompt     string
	Attributes map[string]string // that must be equal
	Threshold  float64           // cosine; 0 takes the cache's
}

// CacheHit is what a semantic cache found.
type CacheHit struct {
	Hit        bool
	Response   string
	Similarity float64 // of the nearest one, also where it was not near enough; -1 for none
	StoredAt   time.Time
}

// SemanticCache keeps answers for callers of the API, a tenant's apart from those of all others and from its agents'. Errors are faults.
type SemanticCache interface {
	Search(ctx context.Context, tenant string, q CacheQuestion) (CacheHit, error)
	Store(ctx context.Context, tenant string, q CacheQuestion, response string, ttl time.Duration) error
	// Stats tells of all caches of the tenant, agents' included.
	Stats(ctx context.Context, tenant string) (CacheStats, error)
}

// cacheTTL is how long an answer is kept whose caller did not say.
const cacheTTL = 7 * 24 * time.Hour

func (s *Server) cacheOf(ctx context.Context) (SemanticCache, string, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, "", err
	}
	if s.cfg.Cache == nil {
		return nil, "", fault.New(fault.Unavailable, "this server has no semantic cache")
	}
	return s.cfg.Cache, p.Tenant, nil
}

// SearchSemanticCache implements StrictServerInterface.
func (s *Server) SearchSemanticCache(ctx context.Context, r SearchSemanticCacheRequestObject) (SearchSemanticCacheResponseObject, error) {
	cache, tenant, err := s.cacheOf(ctx)
	if err != nil {
		return nil, err
	}
	hit, err := cache.Search(ctx, tenant, CacheQuestion{Prompt: r.Body.Prompt, Attributes: r.Body.Attributes, Threshold: r.Body.Threshold})
	if err != nil {
		return nil, err
	}
	found := CacheFound{Hit: hit.Hit, Response: hit.Response}
	if hit.Similarity >= 0 {
		found.Similarity = hit.Similarity
	}
	if hit.Hit {
		found.StoredAt = &hit.StoredAt
	}
	return SearchSemanticCache200JSONResponse(success(ctx, found, "ok")), nil
}

// StoreSemanticCache implements StrictServerInterface.
func (s *Server) StoreSemanticCache(ctx context.Context, r StoreSemanticCacheRequestObject) (StoreSemanticCacheResponseObject, error) {
	cache, tenant, err := s.cacheOf(ctx)
	if err != nil {
		return nil, err
	}
	ttl := cacheTTL
	if r.Body.TTLSeconds > 0 {
		ttl = inSeconds(r.Body.TTLSeconds)
	}
	if err := cache.Store(ctx, tenant, CacheQuestion{Prompt: r.Body.Prompt, Attributes: r.Body.Attributes}, r.Body.Response, ttl); err != nil {
		return nil, err
	}
	stored := CacheStored{ExpiresAt: time.Now().Add(ttl).UTC().Truncate(time.Second)}
	return StoreSemanticCache201JSONResponse(success(ctx, stored, "the answer is found from now on")), nil
}

// GetSemanticCacheStats implements StrictServerInterface.
func (s *Server) GetSemanticCacheStats(ctx context.Context, _ GetSemanticCacheStatsRequestObject) (GetSemanticCacheStatsResponseObject, error) {
	cache, tenant, err := s.cacheOf(ctx)
	if err != nil {
		return nil, err
	}
	stats, err := cache.Stats(ctx, tenant)
	if err != nil {
		return nil, err
	}
	return GetSemanticCacheStats200JSONResponse(success(ctx, stats, "ok")), nil
}
