package api

import (
	"context"

	"github.com/toolboxai/orchestrator/internal/agentcontext"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// AgentContexts keeps what agents remember. *agentcontext.Service has it; see there.
type AgentContexts interface {
	Get(ctx context.Context, of agentcontext.Owner, key string) (agentcontext.Context, error)
	Update(ctx context.Context, of agentcontext.Owner, writes []agentcontext.Write) (agentcontext.Context, error)
	Clear(ctx context.Context, of agentcontext.Owner, key string) (agentcontext.Context, error)
	SetPriority(ctx context.Context, of agentcontext.Owner, key string, p agentcontext.Priority) (agentcontext.Context, error)
}

// contextOwner returns whose context a request is about: the caller's own. A platform admin has it at home alone: what is kept of them must be
// found by their export and erasure.
func contextOwner(ctx context.Context) (agentcontext.Owner, error) {
	p, err := principal(ctx)
	if err != nil {
		return agentcontext.Owner{}, err
	}
	if p.Home != "" && p.Home != p.Tenant {
		return agentcontext.Owner{}, fault.New(fault.Forbidden, "you have an agent context in your own tenant only: ask without %s", headerTenant)
	}
	return agentcontext.Owner{Tenant: p.Tenant, UserID: p.UserID}, nil
}

// GetAgentContext implements StrictServerInterface.
func (s *Server) GetAgentContext(ctx context.Context, r GetAgentContextRequestObject) (GetAgentContextResponseObject, error) {
	of, err := contextOwner(ctx)
	if err != nil {
		return nil, err
	}
	found, err := s.cfg.Contexts.Get(ctx, of, r.Params.Key)
	if err != nil {
		return nil, err
	}
	return GetAgentContext200JSONResponse{ContextFoundJSONResponse(success(ctx, found, "ok"))}, nil
}

// UpdateAgentContext implements StrictServerInterface.
func (s *Server) UpdateAgentContext(ctx context.Context, r UpdateAgentContextRequestObject) (UpdateAgentContextResponseObject, error) {
	of, err := contextOwner(ctx)
	if err != nil {
		return nil, err
	}
	after, err := s.cfg.Contexts.Update(ctx, of, r.Body.Entries)
	if err != nil {
		return nil, err
	}
	message := "the context is written"
	if len(after.Pruned) > 0 {
		message = "the context is written; entries went for want of room"
	}
	return UpdateAgentContext200JSONResponse{ContextFoundJSONResponse(success(ctx, after, message))}, nil
}

// ClearAgentContext implements StrictServerInterface.
func (s *Server) ClearAgentContext(ctx context.Context, r ClearAgentContextRequestObject) (ClearAgentContextResponseObject, error) {
	of, err := contextOwner(ctx)
	if err != nil {
		return nil, err
	}
	after, err := s.cfg.Contexts.Clear(ctx, of, r.Params.Key)
	if err != nil {
		return nil, err
	}
	return ClearAgentContext200JSONResponse{ContextFoundJSONResponse(success(ctx, after, "it is forgotten"))}, nil
}

// SetContextPriority implements StrictServerInterface.
func (s *Server) SetContextPriority(ctx context.Context, r SetContextPriorityRequestObject) (SetContextPriorityResponseObject, error) {
	of, err := contextOwner(ctx)
	if err != nil {
		return nil, err
	}
	after, err := s.cfg.Contexts.SetPriority(ctx, of, r.Key, r.Body.Priority)
	if err != nil {
		return nil, err
	}
	return SetContextPriority200JSONResponse{ContextFoundJSONResponse(success(ctx, after, "ok"))}, nil
}
