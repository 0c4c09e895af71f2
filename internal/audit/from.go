package audit

import (
	"cmp"
	"context"
)

// From says who acts and from where. The edge puts it into the context of a request, so that services need not hand it on.
type From struct {
	Actor, IP, RequestID, SessionID, KeyID string
}

type fromKey struct{}

// WithFrom returns a context whose entries come from where from says.
func WithFrom(ctx context.Context, from From) context.Context {
	return context.WithValue(ctx, fromKey{}, from)
}

// FromOf returns what WithFrom put into a context, or a zero From.
func FromOf(ctx context.Context) From {
	from, _ := ctx.Value(fromKey{}).(From)
	return from
}

// Complete returns e with what it does not say taken from the context. Recorders call it.
func Complete(ctx context.Context, e Entry) Entry {
	from := FromOf(ctx)
	e.Actor, e.IP, e.RequestID = cmp.Or(e.Actor, from.Actor), cmp.Or(e.IP, from.IP), cmp.Or(e.RequestID, from.RequestID)
	e.SessionID, e.KeyID = cmp.Or(e.SessionID, from.SessionID), cmp.Or(e.KeyID, from.KeyID)
	return e
}

// CompleteAccess is Complete for accesses.
func CompleteAccess(ctx context.Context, a Access) Access {
	from := FromOf(ctx)
	a.Actor, a.IP = cmp.Or(a.Actor, from.Actor), cmp.Or(a.IP, from.IP)
	return a
}
