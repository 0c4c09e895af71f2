package api

import (
	"context"
	"encoding/json"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
)

// PasskeyBook is the part of Accounts for passkeys.
type PasskeyBook interface {
	BeginPasskey(ctx context.Context, p auth.Principal) (account.Ceremony, error)
	FinishPasskey(ctx context.Context, p auth.Principal, ceremony, name string, credential json.RawMessage) (account.Passkey, error)
	Passkeys(ctx context.Context, p auth.Principal) ([]account.Passkey, error)
	DeletePasskey(ctx context.Context, p auth.Principal, id string) error
	BeginPasskeyLogin(ctx context.Context) (account.Ceremony, error)
	FinishPasskeyLogin(ctx context.Context, ceremony string, assertion json.RawMessage, from account.Client) (account.Tokens, error)
}

// BeginPasskey implements StrictServerInterface.
func (s *Server) BeginPasskey(ctx context.Context, _ BeginPasskeyRequestObject) (BeginPasskeyResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	ceremony, err := s.cfg.Accounts.BeginPasskey(ctx, p)
	if err != nil {
		return nil, err
	}
	return BeginPasskey200JSONResponse(success(ctx, ceremony, "make a credential with these options, then add it")), nil
}

// FinishPasskey implements StrictServerInterface.
func (s *Server) FinishPasskey(ctx context.Context, r FinishPasskeyRequestObject) (FinishPasskeyResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	added, err := s.cfg.Accounts.FinishPasskey(ctx, p, r.Body.Ceremony, r.Body.Name, r.Body.Credential)
	if err != nil {
		return nil, err
	}
	return FinishPasskey201JSONResponse(success(ctx, added, "the passkey is added")), nil
}

// ListPasskeys implements StrictServerInterface.
func (s *Server) ListPasskeys(ctx context.Context, _ ListPasskeysRequestObject) (ListPasskeysResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	all, err := s.cfg.Accounts.Passkeys(ctx, p)
	if err != nil {
		return nil, err
	}
	return ListPasskeys200JSONResponse(success(ctx, Passkeys{Passkeys: orNone(all)}, "ok")), nil
}

// DeletePasskey implements StrictServerInterface.
func (s *Server) DeletePasskey(ctx context.Context, r DeletePasskeyRequestObject) (DeletePasskeyResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Accounts.DeletePasskey(ctx, p, r.ID); err != nil {
		return nil, err
	}
	return DeletePasskey200JSONResponse(done(ctx, "the passkey is removed")), nil
}

// BeginPasskeyLogin implements StrictServerInterface.
func (s *Server) BeginPasskeyLogin(ctx context.Context, _ BeginPasskeyLoginRequestObject) (BeginPasskeyLoginResponseObject, error) {
	ceremony, err := s.cfg.Accounts.BeginPasskeyLogin(ctx)
	if err != nil {
		return nil, err
	}
	return BeginPasskeyLogin200JSONResponse(success(ctx, ceremony, "sign with a passkey, then send what it says")), nil
}

// FinishPasskeyLogin implements StrictServerInterface.
func (s *Server) FinishPasskeyLogin(ctx context.Context, r FinishPasskeyLoginRequestObject) (FinishPasskeyLoginResponseObject, error) {
	tokens, err := s.cfg.Accounts.FinishPasskeyLogin(ctx, r.Body.Ceremony, r.Body.Assertion, client(ctx))
	if err != nil {
		return nil, err
	}
	return FinishPasskeyLogin200JSONResponse(success(ctx, tokens, "signed in")), nil
}
