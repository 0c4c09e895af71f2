package api

import (
	"context"
	"net/http"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Accounts is what the edge needs of package account. *account.Service has it; see there for what each method does and returns.
type Accounts interface {
	Register(ctx context.Context, r account.Registration, from account.Client) (account.User, error)
	Login(ctx context.Context, c account.Credentials, from account.Client) (account.LoginResult, error)
	CompleteLogin(ctx context.Context, challenge string, proof account.Proof, from account.Client) (account.Tokens, error)
	Refresh(ctx context.Context, token string, from account.Client) (account.Tokens, error)
	Logout(ctx context.Context, p auth.Principal) error
	LogoutEverywhere(ctx context.Context, p auth.Principal, keepThis bool) (int, error)
	ChangePassword(ctx context.Context, p auth.Principal, old, next string) error
	RequestReset(ctx context.Context, login string, from account.Client) error
	ResetPassword(ctx context.Context, token, next string, from account.Client) error
	Me(ctx context.Context, p auth.Principal) (account.User, error)
	Sessions(ctx context.Context, tenant, userID, current string) ([]account.Session, error)
	RevokeSession(ctx context.Context, by auth.Principal, userID, sessionID string) error
	RevokeUser(ctx context.Context, tenant, userID, why string) error
	Unlock(ctx context.Context, by auth.Principal, userID string) error
	Invite(ctx context.Context, by auth.Principal, spec account.InviteSpec) (account.Invitation, error)
	SecondFactors
	PasskeyBook
}

var _ Accounts = (*account.Service)(nil)

// client returns where the call comes from.
func client(ctx context.Context) account.Client {
	c := callOf(ctx)
	return account.Client{IP: c.ip, UserAgent: c.agent}
}

// done answers that something is done of which there is nothing to show.
func done(ctx context.Context, message string) Answer[any] { return success[any](ctx, nil, message) }

// Register implements StrictServerInterface.
func (s *Server) Register(ctx context.Context, r RegisterRequestObject) (RegisterResponseObject, error) {
	b := r.Body
	made, err := s.cfg.Accounts.Register(ctx, account.Registration{
		Username: b.Username, Email: b.Email, Name: b.Name, Password: b.Password, Invite: b.Invite,
	}, client(ctx))
	if err != nil {
		return nil, err
	}
	return Register201JSONResponse(success(ctx, made, "the account is made; sign in with it")), nil
}

// Login implements StrictServerInterface. Who tries many passwords for one account is held back wherever they come from.
func (s *Server) Login(ctx context.Context, r LoginRequestObject) (LoginResponseObject, error) {
	if err := s.limitAccount(ctx, r.Body.Login); err != nil {
		return nil, err
	}
	got, err := s.cfg.Accounts.Login(ctx, account.Credentials{Login: r.Body.Login, Password: r.Body.Password}, client(ctx))
	if err != nil {
		return nil, err
	}
	message := "signed in"
	if got.Challenge != nil {
		message = "a second factor is due"
	}
	return Login200JSONResponse(success(ctx, got, message)), nil
}

// CompleteLogin implements StrictServerInterface.
func (s *Server) CompleteLogin(ctx context.Context, r CompleteLoginRequestObject) (CompleteLoginResponseObject, error) {
	b := r.Body
	proof, err := oneProof(account.Proof{Code: b.Code, BackupCode: b.BackupCode, Passkey: b.Passkey, Ceremony: b.Ceremony})
	if err != nil {
		return nil, err
	}
	tokens, err := s.cfg.Accounts.CompleteLogin(ctx, b.Challenge, proof, client(ctx))
	if err != nil {
		return nil, err
	}
	return CompleteLogin200JSONResponse(success(ctx, tokens, "signed in")), nil
}

// RefreshSession implements StrictServerInterface.
func (s *Server) RefreshSession(ctx context.Context, r RefreshSessionRequestObject) (RefreshSessionResponseObject, error) {
	tokens, err := s.cfg.Accounts.Refresh(ctx, r.Body.RefreshToken, client(ctx))
	if err != nil {
		return nil, err
	}
	return RefreshSession200JSONResponse(success(ctx, tokens, "ok")), nil
}

// Logout implements StrictServerInterface.
func (s *Server) Logout(ctx context.Context, _ LogoutRequestObject) (LogoutResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Accounts.Logout(ctx, p); err != nil {
		return nil, err
	}
	return Logout200JSONResponse(done(ctx, "signed out")), nil
}

// LogoutEverywhere implements StrictServerInterface.
func (s *Server) LogoutEverywhere(ctx context.Context, r LogoutEverywhereRequestObject) (LogoutEverywhereResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	n, err := s.cfg.Accounts.LogoutEverywhere(ctx, p, r.Body != nil && r.Body.KeepThis)
	if err != nil {
		return nil, err
	}
	return LogoutEverywhere200JSONResponse(success(ctx, Ended{Ended: n}, "signed out")), nil
}

// ChangePassword implements StrictServerInterface.
func (s *Server) ChangePassword(ctx context.Context, r ChangePasswordRequestObject) (ChangePasswordResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Accounts.ChangePassword(ctx, p, r.Body.OldPassword, r.Body.NewPassword); err != nil {
		return nil, err
	}
	return ChangePassword200JSONResponse(done(ctx, "the password is changed; other sessions have ended")), nil
}

// RequestReset implements StrictServerInterface.
func (s *Server) RequestReset(ctx context.Context, r RequestResetRequestObject) (RequestResetResponseObject, error) {
	if err := s.limitAccount(ctx, r.Body.Login); err != nil {
		return nil, err
	}
	if err := s.cfg.Accounts.RequestReset(ctx, r.Body.Login, client(ctx)); err != nil {
		return nil, err
	}
	return RequestReset202JSONResponse(done(ctx, "if the account exists and has an address, a mail is under way")), nil
}

// ResetPassword implements StrictServerInterface.
func (s *Server) ResetPassword(ctx context.Context, r ResetPasswordRequestObject) (ResetPasswordResponseObject, error) {
	if err := s.cfg.Accounts.ResetPassword(ctx, r.Body.Token, r.Body.NewPassword, client(ctx)); err != nil {
		return nil, err
	}
	return ResetPassword200JSONResponse(done(ctx, "the password is set; sign in with it")), nil
}

// GetMe implements StrictServerInterface.
func (s *Server) GetMe(ctx context.Context, _ GetMeRequestObject) (GetMeResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	me, err := s.cfg.Accounts.Me(ctx, p)
	if err != nil {
		return nil, err
	}
	return GetMe200JSONResponse(success(ctx, me, "ok")), nil
}

// ListSessions implements StrictServerInterface.
func (s *Server) ListSessions(ctx context.Context, _ ListSessionsRequestObject) (ListSessionsResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	all, err := s.cfg.Accounts.Sessions(ctx, homeOf(p), p.UserID, p.SessionID)
	if err != nil {
		return nil, err
	}
	return ListSessions200JSONResponse(success(ctx, Sessions{Sessions: orNone(all)}, "ok")), nil
}

// RevokeSession implements StrictServerInterface.
func (s *Server) RevokeSession(ctx context.Context, r RevokeSessionRequestObject) (RevokeSessionResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	p.Tenant, p.Home = homeOf(p), "" // whatever tenant they act in
	if err := s.cfg.Accounts.RevokeSession(ctx, p, p.UserID, r.ID); err != nil {
		return nil, err
	}
	return RevokeSession200JSONResponse(done(ctx, "the session has ended")), nil
}

// keySet is an answer as libraries for JSON Web Keys expect it: without an envelope, and good for a while.
type keySet []byte

// VisitGetSigningKeysResponse implements GetSigningKeysResponseObject.
func (k keySet) VisitGetSigningKeysResponse(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(k)
	return err
}

// GetSigningKeys implements StrictServerInterface.
func (s *Server) GetSigningKeys(context.Context, GetSigningKeysRequestObject) (GetSigningKeysResponseObject, error) {
	if len(s.cfg.JWKS) == 0 {
		return keySet(`{"keys":[]}`), nil
	}
	return keySet(s.cfg.JWKS), nil
}

// oneProof returns p, or Invalid unless it holds exactly one kind of proof.
func oneProof(p account.Proof) (account.Proof, error) {
	kinds := 0
	for _, given := range []bool{p.Code != "", p.BackupCode != "", p.Password != "", len(p.Passkey) > 0} {
		if given {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return p, fault.InvalidField("body", "must hold exactly one proof")
	case (len(p.Passkey) > 0) != (p.Ceremony != ""):
		return p, fault.InvalidField("ceremony", "belongs to a passkey, and a passkey to a ceremony")
	}
	return p, nil
}
