// Package ticket lends a proof of who somebody is to what cannot send headers: EventSource and WebSocket of browsers take an address and
// nothing else, and an address stands in logs and histories, where no token may be.
//
//	POST /stream-tickets ─► Issue ─► Store         a ticket is good for 30 seconds and for one use
//	GET …?ticket=… ───────► Redeem ─► the proof
//
// A store holds the proof sealed, under a hash of the ticket: who reads the store can use neither.
package ticket

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/secret"
)

const (
	// TTL is how long a ticket is good.
	TTL = 30 * time.Second
	// MaxContent is the largest proof, in bytes.
	MaxContent = 8 << 10

	prefix = "tbt_" // so that scanners and redactors know it
	length = 32     // bytes of chance
	label  = "ticket"
)

var form = regexp.MustCompile(`^tbt_[A-Za-z0-9_-]{43}$`)

// Store keeps tickets where every process finds them. It is safe for concurrent use.
type Store interface {
	// Put keeps what is sealed under an id for about TTL. Unavailable, Timeout.
	Put(ctx context.Context, id string, sealed []byte) error
	// Take returns it to one caller, once: NotFound for all others.
	Take(ctx context.Context, id string) ([]byte, error)
}

// Ticket is a ticket as it is issued.
type Ticket struct {
	Text      string    `json:"ticket"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Service issues and redeems tickets. It is safe for concurrent use.
type Service struct {
	store Store
	box   *secret.Box
	now   func() time.Time
}

// New returns a service. now may be nil.
func New(store Store, box *secret.Box, now func() time.Time) (*Service, error) {
	if store == nil || box == nil {
		return nil, fault.New(fault.Invalid, "tickets need a store and a box")
	}
	if now == nil {
		now = time.Now
	}
	return &Service{store, box, now}, nil
}

// Issue returns a ticket for content. TooLarge; Unavailable and Timeout of the store.
func (s *Service) Issue(ctx context.Context, content []byte) (Ticket, error) {
	if len(content) > MaxContent {
		return Ticket{}, fault.New(fault.TooLarge, "a ticket carries at most %d bytes", MaxContent)
	}
	expires := s.now().Add(TTL).UTC().Truncate(time.Millisecond)
	t := Ticket{prefix + secret.RandomToken(length), expires}
	id := idOf(t.Text)
	at, err := expires.MarshalBinary()
	if err != nil {
		return Ticket{}, fault.New(fault.Internal, "encode a time: %w", err)
	}
	plain := append([]byte{byte(len(at))}, append(at, content...)...)
	return t, s.store.Put(ctx, id, s.box.Seal(label, plain, []byte(id)))
}

// Redeem returns what a ticket was issued for, once. Unauthorized for what is no ticket, is used up or has expired; Unavailable and
// Timeout of the store.
func (s *Service) Redeem(ctx context.Context, text string) ([]byte, error) {
	if !form.MatchString(text) {
		return nil, void()
	}
	id := idOf(text)
	sealed, err := s.store.Take(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return nil, void()
	}
	if err != nil {
		return nil, err
	}
	plain, err := s.box.Open(label, sealed, []byte(id))
	if err != nil || len(plain) == 0 || len(plain) < 1+int(plain[0]) {
		return nil, void()
	}
	n := 1 + int(plain[0])
	var expires time.Time
	if err := expires.UnmarshalBinary(plain[1:n]); err != nil || !s.now().Before(expires) {
		return nil, void()
	}
	return plain[n:], nil
}

func void() error {
	return fault.New(fault.Unauthorized, "the ticket is not good, or not any more: ask for another one; each is for one use within %d seconds", int(TTL.Seconds()))
}

func idOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
