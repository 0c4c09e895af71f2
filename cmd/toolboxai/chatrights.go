package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/toolboxai/orchestrator/internal/auth"
	turns "github.com/toolboxai/orchestrator/internal/chat"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/workers/agents/chat"
)

// rights says whether who sent a message may still do what they might then. A worker knows no directory: as an API process does between two
// proofs, it goes by what was revoked since, which whoever disables or erases a user, changes a role or a key, or suspends a tenant
// publishes. That a session ends is none of that: who signs out leaves what they asked for.
type rights struct {
	revoked *auth.Revocations
	known   atomic.Bool // what was revoked before this process began has been read
	now     func() time.Time
	blind   bool // what was revoked does not count; only a negative control sets it
}

func newRights() *rights { return &rights{revoked: auth.NewRevocations(), now: time.Now} }

// role returns what keeps r up to date.
func (r *rights) role(s *system) (role, error) {
	published, err := nats.NewRevocations(s.broker.js, s.logger)
	return role{"revocations", s.provisioned(func(ctx context.Context) error {
		return published.Run(ctx, r.revoked, func() { r.known.Store(true) })
	})}, err
}

// maxMessageAge is how old a message may be for which a task is started. What was revoked before is remembered for longer.
const maxMessageAge = auth.RevocationTTL - 10*time.Minute

// check returns nil while the grounds of o hold. Errors: Forbidden when they do not, or when nobody can say any more; Unavailable as long as
// it is not known what was revoked.
func (r *rights) check(o chat.Order) error {
	if r.blind {
		return nil
	}
	if !r.known.Load() {
		return fault.New(fault.Unavailable, "what was revoked has not been read yet")
	}
	g := o.Grounds
	if g == nil {
		g = &turns.Grounds{At: o.Turn.CreatedAt, Proved: o.Turn.CreatedAt}
	}
	now := r.now()
	p := auth.Principal{UserID: o.Turn.UserID, Tenant: o.Turn.Tenant, Home: g.Home, KeyID: g.KeyID, IssuedAt: g.Proved}
	switch {
	case now.Sub(g.At) > maxMessageAge:
		return fault.New(fault.Forbidden, "the message is too old to start anything: send it again")
	case g.Until != nil && !now.Before(*g.Until), r.revoked.Revoked(p):
		return fault.New(fault.Forbidden, "what proved who sent the message does so no longer: send it again")
	}
	return nil
}
