package nats

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/internal/policy"
)

// policyKey is the one document of BucketPolicy.
const policyKey = "policy"

// PolicyStore holds the newest revision of the policy in memory, as long as Run runs, and keeps all of them on the broker. While
// the broker is away the last known one counts. It is safe for concurrent use.
type PolicyStore struct {
	docs  *Documents[policy.Policy]
	ready chan struct{}

	mu      sync.Mutex
	current policy.Policy
	at      time.Time     // when current was saved
	changed chan struct{} // closed and replaced at each change
	synced  sync.Once
}

// NewPolicyStore returns a store that knows the zero policy. It sends nothing yet. The logger may be nil.
func NewPolicyStore(js jetstream.JetStream, logger *slog.Logger) (*PolicyStore, error) {
	docs, err := NewDocuments[policy.Policy](js, BucketPolicy, logger)
	if err != nil {
		return nil, err
	}
	return &PolicyStore{docs: docs, ready: make(chan struct{}), changed: make(chan struct{})}, nil
}

// Run keeps Current up to date until ctx ends; then it returns nil. It returns an error when the bucket does not exist and when
// the connection is closed for good.
func (s *PolicyStore) Run(ctx context.Context) error {
	show := func(doc Document[policy.Policy]) {
		if doc.Key == policyKey && !doc.Deleted { // a bucket that lost it is no reason to forget it
			s.take(doc)
		}
	}
	return s.docs.watch(ctx, show, func() { s.synced.Do(func() { close(s.ready) }) })
}

// Ready is closed once Current is what the broker has, for the first time.
func (s *PolicyStore) Ready() <-chan struct{} { return s.ready }

// Current returns the newest revision that is known; the zero policy before Ready. It does not wait. What it holds is shared: do
// not change it.
func (s *PolicyStore) Current() policy.Policy {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// Changed returns a channel that is closed when Current changes next. Take it before Current to miss nothing.
func (s *PolicyStore) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// take makes doc the current policy, unless a later one is known. A bucket that was made anew counts from 1 again.
func (s *PolicyStore) take(doc Document[policy.Policy]) policy.Policy {
	doc.Value.Revision = doc.Revision
	s.mu.Lock()
	defer s.mu.Unlock()
	if doc.Revision > s.current.Revision || doc.At.After(s.at) {
		s.current, s.at = doc.Value, doc.At
		close(s.changed)
		s.changed = make(chan struct{})
	}
	return doc.Value
}

// Load returns the newest revision as the broker has it, the zero policy when there is none, and makes it the current one.
func (s *PolicyStore) Load(ctx context.Context) (policy.Policy, error) {
	doc, err := s.docs.get(ctx, policyKey)
	if isNotFound(err) {
		return policy.Policy{}, nil
	}
	if err != nil {
		return policy.Policy{}, err
	}
	return s.take(doc), nil
}

// Save stores p in the place of the revision that p.Revision names (0: of none), and returns it with its own. A Conflict fault
// names the current revision when that is another one. TooLarge above MaxDocument. Current knows it when Save
// returns, unless the broker went away meanwhile; other processes know it a moment later.
func (s *PolicyStore) Save(ctx context.Context, p policy.Policy) (policy.Policy, error) {
	replaces := p.Revision
	p.Revision = 0
	stored, err := s.docs.Put(ctx, policyKey, p, replaces)
	if err != nil {
		return policy.Policy{}, err
	}
	_, _ = s.Load(ctx) // else the watch brings it
	p.Revision = stored
	return p, nil
}

// PolicyRevision is the policy as it once was.
type PolicyRevision struct {
	Policy policy.Policy `json:"policy"`
	At     time.Time     `json:"at"` // when it was saved
}

// History returns the last 16 revisions, the newest first; none when nothing was ever saved.
func (s *PolicyStore) History(ctx context.Context) ([]PolicyRevision, error) {
	docs, err := s.docs.History(ctx, policyKey)
	if isNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	revisions := make([]PolicyRevision, len(docs))
	for i, doc := range docs {
		doc.Value.Revision = doc.Revision
		revisions[i] = PolicyRevision{Policy: doc.Value, At: doc.At}
	}
	return revisions, nil
}
