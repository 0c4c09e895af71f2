package api

import (
	"context"

	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// ListAudit implements StrictServerInterface.
func (s *Server) ListAudit(ctx context.Context, r ListAuditRequestObject) (ListAuditResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	q := r.Params
	if q.From != nil && q.To != nil && !q.To.After(*q.From) {
		return nil, fault.InvalidField("to", "is not after from")
	}
	page, err := s.cfg.AuditLog.List(ctx, audit.Filter{
		Tenant: p.Tenant, Actor: q.Actor, Action: q.Action, Target: q.Target, From: q.From, To: q.To, Before: q.Before, Limit: q.Limit,
	})
	if err != nil {
		return nil, err
	}
	return ListAudit200JSONResponse(success(ctx, AuditPage{Entries: orNone(page.Entries), Next: page.Next}, "ok")), nil
}

// ListAccess implements StrictServerInterface.
func (s *Server) ListAccess(ctx context.Context, r ListAccessRequestObject) (ListAccessResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	q := r.Params
	if q.From != nil && q.To != nil && !q.To.After(*q.From) {
		return nil, fault.InvalidField("to", "is not after from")
	}
	page, err := s.cfg.AccessLog.ListAccesses(ctx, audit.AccessFilter{
		Tenant: p.Tenant, Student: q.Student, Actor: q.Actor, From: q.From, To: q.To, Cursor: q.Cursor, Limit: q.Limit,
	})
	if err != nil {
		return nil, err
	}
	return ListAccess200JSONResponse(success(ctx, AccessPage{Accesses: orNone(page.Accesses), Next: page.Next}, "ok")), nil
}
