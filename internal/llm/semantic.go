package llm

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// DefaultThreshold is how close two questions must be, as the cosine of their embeddings, for one's answer to stand for the other's.
const DefaultThreshold = 0.95

// Limits of a semantic cache.
const (
	maxTenants   = 256      // whose entries a process holds; who was asked for longest ago goes first
	maxHeld      = 64 << 20 // bytes of vectors that a process holds, but for those of one tenant
	maxEmbedText = 8 << 10  // bytes of a text that are compared
	embedTime    = 10 * time.Second
)

// SemanticConfig says how questions are compared. Zero fields take the defaults.
type SemanticConfig struct {
	Embedder  Embedder    // required
	Vectors   VectorStore // required
	Answers   AnswerStore // required: where the answers are
	Threshold float64     // DefaultThreshold; 0 < t ≤ 1
	TTL       time.Duration
}

// Semantic finds answers to questions that mean the same. The entries of a scope are in a list that all processes share; each holds
// a copy, fetches what is new at each question, and compares with all of it: exact, for at most MaxVectors entries.
type Semantic struct {
	embedder  Embedder
	vectors   VectorStore
	answers   AnswerStore
	threshold float64
	ttl       time.Duration

	mu     sync.Mutex
	scopes map[string]*copied
	held   int // bytes of vectors in all copies
}

// copied is what a process holds of one tenant's entries.
type copied struct {
	turn    chan struct{} // holds one while the copy is brought up to date
	cursor  string
	entries []Vector // oldest first

	used  time.Time // under Semantic.mu, like bytes
	bytes int       // of the vectors
}

var _ SemanticIndex = (*Semantic)(nil)

// NewSemantic returns an index that holds nothing yet.
func NewSemantic(cfg SemanticConfig) (*Semantic, error) {
	setZero(&cfg.Threshold, DefaultThreshold)
	setZero(&cfg.TTL, AnswerTTL)
	if cfg.Embedder == nil || cfg.Vectors == nil || cfg.Answers == nil || cfg.TTL < 0 || !(cfg.Threshold > 0 && cfg.Threshold <= 1) {
		return nil, fault.New(fault.Invalid, "a semantic cache needs an embedder, vectors, answers and a threshold above 0 and up to 1")
	}
	return &Semantic{
		embedder: cfg.Embedder, vectors: cfg.Vectors, answers: cfg.Answers, threshold: cfg.Threshold, ttl: cfg.TTL, scopes: map[string]*copied{},
	}, nil
}

// Search implements SemanticIndex.
func (s *Semantic) Search(ctx context.Context, q Similar) (Match, bool, error) {
	entries, err := s.current(ctx, q.Scope)
	if err != nil || !anyIn(entries, s.space(q)) {
		return Match{Similarity: -1}, false, err // without an entry to compare with, an embedding would be paid for nothing
	}
	vectors, err := s.embed(ctx, q.Texts)
	if err != nil {
		return Match{}, false, err
	}
	best, similarity := nearest(entries, s.space(q), vectors)
	if similarity < s.limit(q) {
		return Match{Similarity: similarity}, false, nil
	}
	a, ok, err := s.answers.Answer(ctx, q.Scope, best.Key)
	return Match{Answer: a, Similarity: similarity}, ok, err
}

// Add implements SemanticIndex. The answer itself is in the store of answers, or will be.
func (s *Semantic) Add(ctx context.Context, q Similar, _ Answer) error {
	vectors, err := s.embed(ctx, q.Texts)
	if err != nil {
		return err
	}
	return s.vectors.Append(ctx, q.Scope, Vector{Space: s.space(q), Key: q.Key, Values: vectors, Sole: q.Sole}, s.ttl)
}

// Entries implements SemanticIndex.
func (s *Semantic) Entries(ctx context.Context, scope string) (int, error) {
	entries, err := s.current(ctx, scope)
	return len(entries), err
}

// space keeps vectors of different models apart: they cannot be compared.
func (s *Semantic) space(q Similar) string {
	return s.embedder.EmbeddingModel().String() + " " + q.Space
}

func (s *Semantic) limit(q Similar) float64 {
	if q.Threshold > 0 {
		return q.Threshold
	}
	return s.threshold
}

func (s *Semantic) embed(ctx context.Context, texts []string) ([][]float32, error) {
	ctx, cancel := context.WithTimeout(ctx, embedTime)
	defer cancel()
	cut := make([]string, len(texts))
	for i, text := range texts {
		cut[i] = clip(text, maxEmbedText)
	}
	vectors, _, err := s.embedder.Embed(ctx, cut)
	if err != nil {
		return nil, err
	}
	if len(vectors) != len(texts) || len(vectors) == 0 {
		return nil, fault.New(fault.Unavailable, "%s sent %d vectors for %d texts", s.embedder.EmbeddingModel(), len(vectors), len(texts))
	}
	return vectors, nil
}

// current returns a scope's entries. What is returned does not change.
func (s *Semantic) current(ctx context.Context, scope string) ([]Vector, error) {
	c := s.copyOf(scope)
	select { // whoever waits for a store that is slow may have no time
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, endedFault(ctx, "the semantic cache")
	}
	fresh, cursor, err := s.vectors.Since(ctx, scope, c.cursor)
	if err != nil {
		return nil, err
	}
	if len(fresh) > 0 {
		all := slices.Concat(c.entries, fresh)
		c.entries = all[max(len(all)-MaxVectors, 0):]
		s.weigh(scope, c)
	}
	c.cursor = cursor
	return c.entries, nil
}

// copyOf returns the copy of a scope, and drops those of the tenant's other generations: they may hold what was erased.
func (s *Semantic) copyOf(scope string) *copied {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.scopes[scope]
	if !ok {
		for other := range s.scopes {
			if TenantOf(other) == TenantOf(scope) {
				s.forget(other)
			}
		}
		if len(s.scopes) >= maxTenants {
			s.forgetOne(scope)
		}
		c = &copied{turn: make(chan struct{}, 1)}
		s.scopes[scope] = c
	}
	c.used = time.Now()
	return c
}

func (s *Semantic) forget(scope string) {
	s.held -= s.scopes[scope].bytes
	delete(s.scopes, scope)
}

// forgetOne drops the copy that was used longest ago, but for one scope's, and reports whether there was one.
func (s *Semantic) forgetOne(but string) bool {
	oldest := ""
	for scope, c := range s.scopes {
		if scope != but && (oldest == "" || c.used.Before(s.scopes[oldest].used)) {
			oldest = scope
		}
	}
	if oldest != "" {
		s.forget(oldest)
	}
	return oldest != ""
}

// weigh counts what a scope's copy takes, and drops others while all take too much.
func (s *Semantic) weigh(scope string, c *copied) {
	bytes := 0
	for _, e := range c.entries {
		for _, v := range e.Values {
			bytes += 4 * len(v)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.scopes[scope] != c {
		return // dropped meanwhile
	}
	s.held += bytes - c.bytes
	c.bytes = bytes
	for s.held > maxHeld && s.forgetOne(scope) {
	}
}
