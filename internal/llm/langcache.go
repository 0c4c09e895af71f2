package llm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// LangCacheConfig says where a LangCache service is.
type LangCacheConfig struct {
	URL       string // of the service: "https://host"; required
	CacheID   string // required; the cache must declare the attributes tenant and space
	Key       string // bearer token
	Threshold float64
	TTL       time.Duration
	Transport http.RoundTripper
}

// maxLangCache bounds a reply of the service, in bytes: an answer is JSON in JSON there, where a quotation mark has four.
const maxLangCache = 8 * MaxAnswer

// LangCache is the SemanticIndex of a Redis LangCache service, over its REST API: POST /v1/caches/{id}/entries/search, and POST and
// DELETE /v1/caches/{id}/entries. The service computes the embeddings, of all
// texts of a question together, so that one text that differs among many weighs less than with Semantic. Tenant and space go as attributes, which the service matches exactly,
// both as hashes: it learns no names of schools. The generation of a scope is part of space, so that Forget can delete all generations.
type LangCache struct {
	cfg    LangCacheConfig
	base   string
	client *http.Client
}

var _ SemanticIndex = (*LangCache)(nil)

// NewLangCache checks cfg. It does no I/O. Errors are Invalid and name LANGCACHE_URL and LANGCACHE_CACHE_ID.
func NewLangCache(cfg LangCacheConfig) (*LangCache, error) {
	base, err := url.Parse(cfg.URL)
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" || base.User != nil || base.RawQuery != "" {
		return nil, fault.InvalidField("LANGCACHE_URL", "is no URL of the form https://host")
	}
	if cfg.CacheID == "" {
		return nil, fault.InvalidField("LANGCACHE_CACHE_ID", "is not set")
	}
	setZero(&cfg.Threshold, DefaultThreshold)
	setZero(&cfg.TTL, AnswerTTL)
	if cfg.Transport == nil {
		cfg.Transport = newTransport()
	}
	return &LangCache{
		cfg: cfg, base: base.JoinPath("v1", "caches", cfg.CacheID, "entries").String(),
		client: &http.Client{Transport: cfg.Transport, Timeout: embedTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}, nil
}

// Search implements SemanticIndex.
func (l *LangCache) Search(ctx context.Context, q Similar) (Match, bool, error) {
	limit := l.cfg.Threshold
	if q.Threshold > 0 {
		limit = q.Threshold
	}
	var found struct {
		Data []struct {
			Response   string  `json:"response"`
			Similarity float64 `json:"similarity"`
		} `json:"data"`
	}
	err := l.send(ctx, http.MethodPost, l.base+"/search", map[string]any{
		"prompt": clip(strings.Join(q.Texts, "\n"), maxEmbedText), "similarityThreshold": limit, "attributes": attributes(q),
	}, &found)
	if err != nil || len(found.Data) == 0 {
		return Match{Similarity: -1}, false, err
	}
	best := found.Data[0]
	m := Match{Similarity: best.Similarity}
	ours := json.Unmarshal([]byte(best.Response), &m.Answer) == nil // what else there is in the cache is no trouble of the service
	return m, ours && best.Similarity >= limit, nil
}

// Add implements SemanticIndex.
func (l *LangCache) Add(ctx context.Context, q Similar, a Answer) error {
	response, err := json.Marshal(a)
	if err != nil {
		return err
	}
	ttl := l.cfg.TTL
	if q.TTL > 0 {
		ttl = q.TTL
	}
	return l.send(ctx, http.MethodPost, l.base, map[string]any{
		"prompt": clip(strings.Join(q.Texts, "\n"), maxEmbedText), "response": string(response), "attributes": attributes(q), "ttlMillis": ttl.Milliseconds(),
	}, nil)
}

// Entries implements SemanticIndex: the service does not say.
func (l *LangCache) Entries(context.Context, string) (int, error) { return -1, nil }

// Forget deletes the entries of a tenant, of all generations.
func (l *LangCache) Forget(ctx context.Context, tenant string) error {
	return l.send(ctx, http.MethodDelete, l.base, map[string]any{"attributes": map[string]string{"tenant": fingerprint(tenant)}}, nil)
}

func attributes(q Similar) map[string]string {
	tenant := TenantOf(q.Scope)
	return map[string]string{"tenant": fingerprint(tenant), "space": fingerprint(q.Scope[len(tenant):] + q.Space)}
}

func fingerprint(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

// send sends a request and reads its answer into out, unless that is nil.
func (l *LangCache) send(ctx context.Context, method, to string, body, out any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, to, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if l.cfg.Key != "" {
		req.Header.Set("Authorization", "Bearer "+l.cfg.Key)
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return fault.New(fault.Unavailable, "langcache could not be reached: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxLangCache))
	switch {
	case err != nil:
		return fault.New(fault.Unavailable, "langcache broke off its answer: %w", err)
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		return fault.New(fault.Unauthorized, "langcache answered %d", resp.StatusCode)
	case resp.StatusCode == http.StatusTooManyRequests:
		return fault.New(fault.RateLimited, "langcache answered %d", resp.StatusCode)
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return fault.New(fault.Unavailable, "langcache answered %d", resp.StatusCode)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fault.New(fault.Unavailable, "langcache sent something that is not an answer: %w", err)
	}
	return nil
}
