package nats

import (
	"context"
	"crypto/rand"
	"log/slog"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Tickets keeps tickets for as long as they may be good, in the broker's memory. It implements ticket.Store, is safe for concurrent use and
// has nothing to close.
type Tickets struct{ docs *Documents[lent] }

// lent is a ticket in the bucket. A ticket that was taken stays, with a mark that is its taker's alone, until it expires: that is how of two
// who take it at once the second is told.
type lent struct {
	Sealed  []byte `json:"sealed,omitempty"`
	TakenBy string `json:"taken_by,omitempty"`
}

// NewTickets returns the tickets on the broker that js speaks to. It sends nothing yet. The logger may be nil.
func NewTickets(js jetstream.JetStream, logger *slog.Logger) (*Tickets, error) {
	docs, err := NewDocuments[lent](js, BucketTickets, logger)
	return &Tickets{docs}, err
}

// Put keeps what is sealed under an id.
func (t *Tickets) Put(ctx context.Context, id string, sealed []byte) error {
	_, err := t.docs.Put(ctx, id, lent{Sealed: sealed}, 0)
	return err
}

// Take returns what Put kept, to one caller, once: NotFound for all others.
func (t *Tickets) Take(ctx context.Context, id string) ([]byte, error) {
	found, revision, err := t.docs.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if found.TakenBy == "" {
		_, err = t.docs.Put(ctx, id, lent{TakenBy: rand.Text()}, revision)
	}
	if found.TakenBy != "" || fault.Is(err, fault.Conflict) {
		return nil, fault.New(fault.NotFound, "the ticket was taken")
	}
	return found.Sealed, err
}
