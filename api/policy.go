package api

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/policy"
)

// GetPolicy implements StrictServerInterface.
func (s *Server) GetPolicy(ctx context.Context, _ GetPolicyRequestObject) (GetPolicyResponseObject, error) {
	return GetPolicy200JSONResponse(success(ctx, s.cfg.Policies.Current(), "ok")), nil
}

// PutPolicy implements StrictServerInterface.
func (s *Server) PutPolicy(ctx context.Context, r PutPolicyRequestObject) (PutPolicyResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	saved, err := s.save(ctx, p, "policy.changed", "", *r.Body)
	if err != nil {
		return nil, err
	}
	return PutPolicy200JSONResponse(success(ctx, saved, "the policy holds from now on")), nil
}

// save checks and stores a policy and puts that on record.
func (s *Server) save(ctx context.Context, p auth.Principal, action, target string, next policy.Policy) (policy.Policy, error) {
	if err := next.Validate(s.kindNames()); err != nil {
		return policy.Policy{}, err
	}
	saved, err := s.cfg.Policies.Save(ctx, next)
	detail := any(saved)
	if err != nil {
		detail = map[string]any{"replaces": next.Revision, "error": failureOf(err).message}
	}
	s.record(ctx, p, action, target, detail, err)
	return saved, err
}

func (s *Server) kindNames() []string {
	var names []string
	for _, k := range s.cfg.Catalog.All() {
		names = append(names, k.Name)
	}
	return names
}

// record puts on record what an admin did, or tried. What was done stays done when the record cannot be written; the log then says so.
func (s *Server) record(ctx context.Context, p auth.Principal, action, target string, detail any, err error) {
	e := audit.Entry{At: time.Now().UTC(), Tenant: p.Tenant, Actor: p.UserID, Action: action, Target: clipTo(target, audit.MaxField), Outcome: audit.Done}
	if err != nil {
		e.Outcome = fault.KindOf(err).String()
	}
	if detail != nil {
		e.Detail, _ = json.Marshal(detail) // our own types: they always encode
	}
	if err := s.cfg.Audit.Append(context.WithoutCancel(ctx), e); err != nil {
		s.logger.ErrorContext(ctx, "an admin's action is not on record", "action", action, "target", target, "actor", p.UserID, "outcome", e.Outcome, "error", err)
	}
}

// change edits the current policy, again when somebody else was faster.
func (s *Server) change(ctx context.Context, p auth.Principal, action, target string, edit func(*policy.Policy)) (policy.Policy, error) {
	const tries = 5
	var err error
	for range tries {
		next := s.cfg.Policies.Current()
		edit(&next)
		var saved policy.Policy
		if saved, err = s.save(ctx, p, action, target, next); !fault.Is(err, fault.Conflict) {
			return saved, err
		}
		select {
		case <-time.After(100 * time.Millisecond): // until the newer revision has come to this process
		case <-ctx.Done():
			return policy.Policy{}, ctx.Err()
		}
	}
	return policy.Policy{}, err
}

// PauseKind implements StrictServerInterface.
func (s *Server) PauseKind(ctx context.Context, r PauseKindRequestObject) (PauseKindResponseObject, error) {
	p, kind, err := s.adminOfKind(ctx, r.Kind)
	if err != nil {
		return nil, err
	}
	pause := policy.Pause{By: p.UserID, Since: time.Now().UTC()}
	if r.Body != nil {
		pause.Reason = r.Body.Reason
	}
	saved, err := s.change(ctx, p, "kind.paused", kind, func(next *policy.Policy) {
		next.Paused = maps.Clone(next.Paused)
		if next.Paused == nil {
			next.Paused = map[string]policy.Pause{}
		}
		next.Paused[kind] = pause
	})
	if err != nil {
		return nil, err
	}
	return PauseKind200JSONResponse(success(ctx, saved, "no task of kind "+kind+" begins until it is resumed")), nil
}

// ResumeKind implements StrictServerInterface.
func (s *Server) ResumeKind(ctx context.Context, r ResumeKindRequestObject) (ResumeKindResponseObject, error) {
	p, kind, err := s.adminOfKind(ctx, r.Kind)
	if err != nil {
		return nil, err
	}
	saved, err := s.change(ctx, p, "kind.resumed", kind, func(next *policy.Policy) {
		next.Paused = maps.Clone(next.Paused)
		delete(next.Paused, kind)
	})
	if err != nil {
		return nil, err
	}
	return ResumeKind200JSONResponse(success(ctx, saved, "tasks of kind "+kind+" begin again")), nil
}

func (s *Server) adminOfKind(ctx context.Context, name string) (auth.Principal, string, error) {
	p, err := principal(ctx)
	if err != nil {
		return p, "", err
	}
	k, err := s.cfg.Catalog.Resolve(name)
	if err != nil {
		k, err = s.cfg.Catalog.Internal(name)
	}
	if err != nil {
		return p, "", fault.New(fault.NotFound, "there is no kind %q; GET %s/agents lists them", clip(name), prefix)
	}
	return p, k.Name, nil
}

// TopUpBudget implements StrictServerInterface.
func (s *Server) TopUpBudget(ctx context.Context, r TopUpBudgetRequestObject) (TopUpBudgetResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	b := r.Body
	if b.USD == 0 && b.Tokens == 0 {
		return nil, fault.InvalidField("usd", "or tokens must be above 0")
	}
	now := time.Now().UTC()
	from, _ := b.Period.Bounds(now)
	saved, err := s.change(ctx, p, "budget.topped_up", string(b.Scope)+" "+b.ID, func(next *policy.Policy) {
		next.TopUps = slices.DeleteFunc(slices.Clone(next.TopUps), func(t policy.TopUp) bool {
			_, end := t.Period.Bounds(t.From)
			return !end.After(now)
		})
		next.TopUps = append(next.TopUps, policy.TopUp{
			Scope: b.Scope, ID: b.ID, Tenant: b.Tenant, Period: b.Period, From: from, USD: b.USD, Tokens: b.Tokens, By: p.UserID, Reason: b.Reason,
		})
	})
	if err != nil {
		return nil, err
	}
	return TopUpBudget200JSONResponse(success(ctx, saved, "the budget is topped up; tasks that wait for it go on")), nil
}
