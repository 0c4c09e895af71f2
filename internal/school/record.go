package school

import (
	"context"
	"encoding/json"

	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
)

// record puts on record what by has done in a tenant. It is done: that it is not on record is for the operators to know.
func (s *Service) record(ctx context.Context, tenant string, by auth.Principal, action, target string, detail any) {
	e := audit.Entry{At: s.time(), Tenant: tenant, Actor: by.UserID, SessionID: by.SessionID, KeyID: by.KeyID, Action: action, Target: target, Outcome: audit.Done}
	if detail != nil {
		e.Detail, _ = json.Marshal(detail) // our own types: they always encode
	}
	if err := s.audit.Append(context.WithoutCancel(ctx), e); err != nil {
		s.logger.ErrorContext(ctx, "what was done is not on record", "tenant", tenant, "actor", by.UserID, "action", action, "target", target, "error", err)
	}
}

// moved is the detail of something that went from one state to another.
type moved struct {
	From string `json:"from"`
	To   string `json:"to"`
}
