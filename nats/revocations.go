package nats

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Bounds of the bucket REVOCATIONS. A revocation is small; when there are too many the oldest go, which outlive no token.
const (
	maxRevocations    = 100_000
	maxRevocationSize = 4 << 10
)

// Revocations carries revocations to every process that runs it: one publishes, all have it in their sets within a second, also those
// that start later or were away. The bucket forgets a revocation after auth.RevocationTTL. It is safe for concurrent use and has
// nothing to close.
type Revocations struct {
	docs *Documents[auth.Revocation]

	mu   sync.Mutex
	sets map[*auth.Revocations]int // that Run fills, and by how many calls of it
}

// NewRevocations returns the revocations on the broker that js speaks to. It sends nothing yet. The logger may be nil.
func NewRevocations(js jetstream.JetStream, logger *slog.Logger) (*Revocations, error) {
	docs, err := NewDocuments[auth.Revocation](js, BucketRevocations, logger)
	if err != nil {
		return nil, err
	}
	return &Revocations{docs: docs, sets: map[*auth.Revocations]int{}}, nil
}

// Publish makes r known to every process. A zero Before is now. The sets that Run fills in this process have it at once, also when the
// broker cannot be reached: then the error, Unavailable or Timeout, says that other processes do not know it, and it should be
// repeated. Invalid for what is no revocation.
func (s *Revocations) Publish(ctx context.Context, r auth.Revocation) error {
	if r.Before.IsZero() {
		r.Before = time.Now()
	}
	switch r.Kind {
	case auth.RevokedSession, auth.RevokedUser, auth.RevokedTenant, auth.RevokedKey:
	default:
		return fault.InvalidField("kind", "%.64q is none of session, user, tenant, key", r.Kind)
	}
	key := revocationKey(r)
	if r.ID == "" || len(key) > maxKey {
		return fault.InvalidField("id", "must have 1 to 128 characters")
	}
	for _, set := range s.filled() {
		set.Add(r)
	}
	_, err := s.docs.overwrite(ctx, key, r)
	return err
}

// Run keeps set filled until ctx ends; then it returns nil. It calls ready, which may be nil, once the set holds all that the broker
// had, for the first time. After an interruption it reads what it missed. It returns an error when the bucket does not exist and when
// the connection is closed for good; the set keeps what it has.
func (s *Revocations) Run(ctx context.Context, set *auth.Revocations, ready func()) error {
	s.fill(set, 1)
	defer s.fill(set, -1)
	// Not a watch of Documents: that remembers each key until the broker says that it is gone, which it does not say of what has expired.
	t := &tail{
		js: s.docs.js, stream: kvStream(BucketRevocations), filter: kvSubject(BucketRevocations, ">"), logger: s.docs.logger,
		hand: func(msg *natsgo.Msg, p place) {
			s.take(ctx, set, stored{Subject: msg.Subject, Seq: p.streamSeq, Header: msg.Header, Data: msg.Data})
		},
	}
	if ready != nil {
		t.synced = sync.OnceFunc(ready)
	}
	return t.run(ctx)
}

func (s *Revocations) take(ctx context.Context, set *auth.Revocations, m stored) {
	if isGone(m) { // somebody deleted it: what has expired says nothing
		kind, encoded, _ := strings.Cut(strings.TrimPrefix(m.Subject, kvSubject(BucketRevocations, "")), ".")
		if id, err := base64.RawURLEncoding.DecodeString(encoded); err == nil {
			set.Forget(kind, string(id))
		}
		return
	}
	var r auth.Revocation
	if err := json.Unmarshal(m.Data, &r); err != nil {
		s.docs.logger.WarnContext(ctx, "revocation passed over", "seq", m.Seq, "error", err)
		return
	}
	set.Add(r)
}

func (s *Revocations) fill(set *auth.Revocations, by int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sets[set] += by; s.sets[set] == 0 {
		delete(s.sets, set)
	}
}

func (s *Revocations) filled() []*auth.Revocations {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sets []*auth.Revocations
	for set := range s.sets {
		sets = append(sets, set)
	}
	return sets
}

// revocationKey is the document of r. An id may hold what a key may not.
func revocationKey(r auth.Revocation) string {
	return r.Kind + "." + base64.RawURLEncoding.EncodeToString([]byte(r.ID))
}
