package auth

import (
	"cmp"
	"container/list"
	"sync"
	"time"
)

// RevocationTTL is how long a revocation is remembered. Access tokens live for less.
const RevocationTTL = time.Hour

// maxRevocations bounds Revocations.
const maxRevocations = 100_000

// What can be revoked.
const (
	RevokedSession = "session" // whatever was issued for it, at any time: an ended session does not begin again
	RevokedUser    = "user"    // what was issued to the user before
	RevokedTenant  = "tenant"  // what was issued to anybody whose home it is before
	RevokedKey     = "key"     // what is known of the API key from before: it was changed or revoked
)

// Revocation ends proofs of who somebody is before they expire by themselves.
type Revocation struct {
	Kind   string    `json:"kind"` // session, user, tenant or key
	ID     string    `json:"id"`
	Before time.Time `json:"before"` // what was issued before is void
}

// Revocations is the set of revocations that this process knows. It holds at most 100,000 and lets the oldest go first: these are
// the ones that outlive no token. What is older than RevocationTTL goes with the next one that comes. It is safe for concurrent use.
type Revocations struct {
	mu    sync.RWMutex
	known map[revoked]*list.Element // of remembered
	order *list.List                // the oldest first
	limit int
	hooks []func(Revocation)
}

type revoked struct{ kind, id string }

type remembered struct {
	revoked
	before time.Time
	at     time.Time // when it became known
}

// NewRevocations returns an empty set.
func NewRevocations() *Revocations {
	return &Revocations{known: map[revoked]*list.Element{}, order: list.New(), limit: maxRevocations}
}

// Add puts r into the set. Of two about the same the later one counts; but it is told as well of one that is earlier, because the clocks
// of who publishes may differ. What is in the set exactly as it is, because it was read again, is told to nobody.
func (s *Revocations) Add(r Revocation) {
	for _, hook := range s.add(r, time.Now()) {
		hook(r)
	}
}

// add returns what is to be called, which is nothing where r tells nothing new.
func (s *Revocations) add(r Revocation, now time.Time) []func(Revocation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := revoked{r.Kind, r.ID}
	if e, ok := s.known[key]; ok {
		was := e.Value.(remembered).before
		switch {
		case was.Equal(r.Before):
			return nil
		case was.After(r.Before):
			return s.hooks
		}
		s.order.Remove(e)
	}
	s.known[key] = s.order.PushBack(remembered{key, r.Before, now})
	for oldest := s.order.Front(); len(s.known) > s.limit || now.Sub(oldest.Value.(remembered).at) > RevocationTTL; oldest = s.order.Front() {
		s.drop(oldest)
	}
	return s.hooks
}

func (s *Revocations) drop(e *list.Element) {
	delete(s.known, s.order.Remove(e).(remembered).revoked)
}

// Forget takes a revocation out of the set.
func (s *Revocations) Forget(kind, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.known[revoked{kind, id}]; ok {
		s.drop(e)
	}
}

// Len returns how many there are.
func (s *Revocations) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.known)
}

// OnAdd has fn called with every revocation that Add tells of from now on, by the goroutine that adds it and after the set holds it.
// fn must not block, and may ask the set. It cannot be taken back: what calls it lives as long as the set.
func (s *Revocations) OnAdd(fn func(Revocation)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks = append(s.hooks[:len(s.hooks):len(s.hooks)], fn)
}

// OnKey is OnAdd for those of API keys: fn is to drop what it knows of that key.
func (s *Revocations) OnKey(fn func(id string)) {
	s.OnAdd(func(r Revocation) {
		if r.Kind == RevokedKey {
			fn(r.ID)
		}
	})
}

// Revoked reports whether what proves p is void. A proof that does not say when it was made is taken for the oldest.
func (s *Revocations) Revoked(p Principal) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.known) == 0 {
		return false
	}
	if p.SessionID != "" && s.known[revoked{RevokedSession, p.SessionID}] != nil {
		return true
	}
	return s.before(p, RevokedUser, p.UserID) || s.before(p, RevokedTenant, cmp.Or(p.Home, p.Tenant)) ||
		p.KeyID != "" && s.before(p, RevokedKey, p.KeyID)
}

func (s *Revocations) before(p Principal, kind, id string) bool {
	e, ok := s.known[revoked{kind, id}]
	return ok && p.IssuedAt.Before(e.Value.(remembered).before)
}
