package llm

import (
	"context"
	"time"
)

// Limits of what is kept of answers.
const (
	AnswerTTL  = 7 * 24 * time.Hour // since it was given
	MaxAnswer  = 256 << 10          // bytes of one answer's text
	leaseTTL   = 30 * time.Second   // of the right to ask; renewed while the model answers
	maxWaiting = 10 * time.Minute   // for somebody else's answer
)

// Answer is what a model said, and was found good, as it is kept for the next one who asks the same.
type Answer struct {
	Text     string    `json:"text"`
	Provider string    `json:"provider"`
	Model    string    `json:"model"`
	Offline  bool      `json:"offline,omitempty"` // like Fallback, of what is shared at the time and not kept
	Fallback string    `json:"fallback,omitempty"`
	Usage    Usage     `json:"usage"` // what it cost the first time
	At       time.Time `json:"at"`
}

// Tally counts what a cache did for one tenant. As an argument it is what is to be added.
type Tally struct {
	Exact       int64 `json:"exact"`    // hits of the same question
	Semantic    int64 `json:"semantic"` // hits of a question that means the same
	Shared      int64 `json:"shared"`   // waited for the answer to the same question, asked by somebody else at that time
	Misses      int64 `json:"misses"`
	SavedTokens int64 `json:"saved_tokens"`    // in and out, that the hits did not cost
	SavedMicro  int64 `json:"saved_micro_usd"` // millionths of a dollar, where prices are known
}

// Add returns the sum of two tallies.
func (t Tally) Add(u Tally) Tally {
	return Tally{
		t.Exact + u.Exact, t.Semantic + u.Semantic, t.Shared + u.Shared, t.Misses + u.Misses, t.SavedTokens + u.SavedTokens, t.SavedMicro + u.SavedMicro,
	}
}

// AnswerStore keeps answers for all processes. Keys begin with the scope (see Scope), so that nothing is ever found for another tenant. It is
// safe for concurrent use. Errors are faults; whoever asks goes on without.
type AnswerStore interface {
	// Answer returns what is kept under key, and false for nothing.
	Answer(ctx context.Context, scope, key string) (Answer, bool, error)
	// Keep keeps an answer for ttl, in place of what was there.
	Keep(ctx context.Context, scope, key string, a Answer, ttl time.Duration) error
	// Lease takes, or renews, the right to ask for what key stands for. It returns false while another holder has it.
	Lease(ctx context.Context, scope, key, holder string, ttl time.Duration) (bool, error)
	// Release gives the right back, if holder has it.
	Release(ctx context.Context, scope, key, holder string) error
	// Count adds to the tenant's tally, Tally returns it.
	Count(ctx context.Context, tenant string, t Tally) error
	Tally(ctx context.Context, tenant string) (Tally, error)
}

// Vector is one entry of a semantic cache: a question's meaning, and where its answer is.
type Vector struct {
	Space  string      // what must be equal for two questions to be compared
	Key    string      // of the answer
	Values [][]float32 // one vector of length 1 for each text of the question, all with as many dimensions
	Sole   bool        // nothing else leads to the answer, which goes with the entry; not returned by Since
}

// MaxVectors bounds how many entries a scope's semantic cache has; the oldest go first.
const MaxVectors = 1000

// VectorStore keeps the entries of semantic caches, a list for each scope, for all processes. It is safe for concurrent use.
type VectorStore interface {
	// Append adds an entry. The list keeps its MaxVectors newest, and ends ttl after the last one came. Where v is Sole, so are all in the
	// list, and the answers of those that go are deleted.
	Append(ctx context.Context, scope string, v Vector, ttl time.Duration) error
	// Since returns the entries behind a cursor that an earlier call returned, oldest first, and the next cursor; "" reads from the
	// beginning.
	Since(ctx context.Context, scope, cursor string) ([]Vector, string, error)
}

// Similar is a question to a semantic cache.
type Similar struct {
	Scope     string        // whose, see Scope
	Space     string        // what must be equal for two questions to be compared
	Texts     []string      // what is compared, each with its counterpart
	Key       string        // under which the answer is kept
	TTL       time.Duration // for Add, where the index itself keeps the answer: how long; 0 takes the index's
	Threshold float64       // 0 takes the index's
	Sole      bool          // for Add: nothing else leads to the answer, see Vector
}

// Match is what a semantic cache found.
type Match struct {
	Answer     Answer
	Similarity float64 // cosine of the two texts that are farthest apart, -1 to 1; of the nearest question also where that was not near enough
}

// SemanticIndex finds answers to questions that mean the same, in one scope at a time: Semantic with embeddings of our own,
// LangCache with a service. It is safe for concurrent use. Errors are faults; whoever asks goes on without.
type SemanticIndex interface {
	// Search returns the answer to the nearest question, false when none is near enough.
	Search(ctx context.Context, q Similar) (Match, bool, error)
	// Add keeps an answer for q, and for what means the same. It is in the AnswerStore under q.Key.
	Add(ctx context.Context, q Similar, a Answer) error
	// Entries returns how many questions a scope has, -1 where that is not known.
	Entries(ctx context.Context, scope string) (int, error)
}
