package account

import (
	"context"
	"fmt"
	"strings"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// AccessToken is an access token for a session that goes on.
type AccessToken struct {
	Token     string `json:"access_token"`
	ExpiresIn int    `json:"expires_in"` // seconds
}

// StepUp proves once more who p is, and returns an access token of the same session that says so: it opens what asks for a fresh
// proof. Who has a second factor proves with that, the others with their password.
//
// Errors: Unauthorized when the proof is wrong, or the account is locked or the session over; Invalid when the proof is of a kind that
// the user cannot use; Forbidden without a session.
func (s *Service) StepUp(ctx context.Context, p auth.Principal, proof Proof) (AccessToken, error) {
	if err := needSession(p); err != nil {
		return AccessToken{}, err
	}
	f, err := s.ownFactors(ctx, p)
	if err != nil {
		return AccessToken{}, err
	}
	method := MethodPassword
	if f.SecondFactor() {
		method, err = s.proveSecondFactor(ctx, f, proof)
	} else {
		err = s.provePassword(ctx, f, proof)
	}
	if err != nil {
		return AccessToken{}, err
	}
	access, err := s.freshen(ctx, p, f.SecondFactor())
	if err != nil {
		return AccessToken{}, err
	}
	s.factorChanged(ctx, p, "step_up", method)
	return access, nil
}

// proveSecondFactor uses up a proof of f's second factor and returns its method. A wrong one is Unauthorized, goes on record and
// counts to the lockout, under which right ones are refused too and stay good. A wrong passkey counts to nothing, as nobody guesses one.
func (s *Service) proveSecondFactor(ctx context.Context, f Factors, proof Proof) (string, error) {
	method, err := proof.method(f.Methods())
	if err != nil {
		return "", err
	}
	if s.locked(f) {
		s.noteFactor(ctx, f, "mfa.failed", "locked")
		return "", wrong()
	}
	ok := false
	switch method {
	case MethodPasskey:
		owner, err := s.usePasskey(ctx, proof.Ceremony, proof.Passkey)
		if err != nil {
			return "", err
		}
		if owner.UserID != f.UserID {
			s.noteFactor(ctx, f, "mfa.failed", "passkey of another")
			return "", wrongPasskey(nil)
		}
		return method, nil
	case MethodTOTP:
		ok, err = s.useTOTP(ctx, f, proof.Code)
	case MethodBackupCode:
		ok, err = s.useBackupCode(ctx, f, proof.BackupCode)
	}
	if err != nil {
		return "", err
	}
	if !ok {
		s.noteFactor(ctx, f, "mfa.failed", method)
		return "", s.failed(ctx, f, method)
	}
	return method, nil
}

// provePassword checks the password of who has no second factor.
func (s *Service) provePassword(ctx context.Context, f Factors, proof Proof) error {
	if _, err := proof.method([]string{MethodPassword}); err != nil {
		return err
	}
	right, err := s.cfg.Hasher.Check(ctx, f.PasswordHash, clipPassword(proof.Password))
	if err != nil {
		return fmt.Errorf("check a password: %w", err)
	}
	switch {
	case s.locked(f):
		return wrong()
	case !right:
		return s.failed(ctx, f, MethodPassword)
	}
	return nil
}

func (s *Service) locked(f Factors) bool {
	return f.LockedUntil != nil && f.LockedUntil.After(s.cfg.Now())
}

// failed counts a wrong proof and returns what is said of it.
func (s *Service) failed(ctx context.Context, f Factors, method string) error {
	stored, err := s.cfg.Store.ByID(ctx, f.Tenant, f.UserID)
	if err != nil {
		return fmt.Errorf("count a wrong proof: %w", err)
	}
	return s.countFailure(ctx, stored.User, method)
}

// method returns of which kind the proof is. Invalid unless it is exactly one of allowed.
func (p Proof) method(allowed []string) (string, error) {
	var given []string
	for _, kind := range []struct {
		method string
		given  bool
	}{
		{MethodTOTP, p.Code != ""}, {MethodBackupCode, p.BackupCode != ""}, {MethodPassword, p.Password != ""},
		{MethodPasskey, len(p.Passkey) > 0 || p.Ceremony != ""},
	} {
		if kind.given {
			given = append(given, kind.method)
		}
	}
	if len(given) == 1 {
		for _, method := range allowed {
			if method == given[0] {
				return method, nil
			}
		}
	}
	return "", fault.InvalidField("proof", "must be exactly one of %s", strings.Join(allowed, ", "))
}

// freshen marks p's session as just proved and returns an access token that says so.
func (s *Service) freshen(ctx context.Context, p auth.Principal, secondFactor bool) (AccessToken, error) {
	now := s.cfg.Now()
	live, err := s.cfg.Factors.ProveSession(ctx, home(p), p.UserID, p.SessionID, now, secondFactor)
	if err != nil {
		return AccessToken{}, fmt.Errorf("note a proof: %w", err)
	}
	if !live {
		return AccessToken{}, fault.New(fault.Unauthorized, "the session has ended, or the account is locked for a while")
	}
	session, user, err := s.cfg.Store.SessionOf(ctx, p.SessionID)
	if err != nil {
		return AccessToken{}, fmt.Errorf("read session %s: %w", p.SessionID, err)
	}
	ttl := min(s.cfg.AccessTTL, session.ExpiresAt.Sub(now))
	token, err := s.accessFor(user, p.SessionID, now, secondFactor, ttl)
	if err != nil {
		return AccessToken{}, err
	}
	return AccessToken{Token: token, ExpiresIn: int(ttl.Seconds())}, nil
}

// ownFactors returns what p can prove who they are with. Unauthorized when p's account is not active any more.
func (s *Service) ownFactors(ctx context.Context, p auth.Principal) (Factors, error) {
	f, err := s.cfg.Factors.Factors(ctx, home(p), p.UserID)
	if fault.Is(err, fault.NotFound) {
		return Factors{}, &fault.Error{Kind: fault.Unauthorized, Message: "the account is not active", Err: err}
	}
	if err != nil {
		return Factors{}, fmt.Errorf("read second factors: %w", err)
	}
	return f, nil
}

// needSession refuses API keys and tokens from the command line: there is no session that a proof could be noted in.
func needSession(p auth.Principal) error {
	if p.SessionID == "" {
		return fault.New(fault.Forbidden, "only somebody who is signed in can prove who they are")
	}
	return nil
}

// needSecondFactor refuses who proved with a password alone while there is a second factor to prove with: whoever has but the password must
// not take that away, or add one of their own.
func needSecondFactor(p auth.Principal, f Factors) error {
	if f.SecondFactor() && !p.SecondFactor && !p.Dev {
		return fault.New(fault.Forbidden, "this needs a proof with your second factor: %w", auth.ErrStepUp)
	}
	return nil
}

// provedWithFactor is needSecondFactor for p's factors as they are now.
func (s *Service) provedWithFactor(ctx context.Context, p auth.Principal) error {
	f, err := s.ownFactors(ctx, p)
	if err != nil {
		return err
	}
	return needSecondFactor(p, f)
}

// home returns the tenant that p is of: a platform admin may act in another.
func home(p auth.Principal) string {
	if p.Home != "" {
		return p.Home
	}
	return p.Tenant
}

// factorChanged puts on record what p did with their own factors.
func (s *Service) factorChanged(ctx context.Context, p auth.Principal, action, detail string) {
	s.noteSession(ctx, User{ID: p.UserID, Tenant: home(p)}, p.SessionID, action, detail)
}

// noteFactor puts on record what happened to a user's factors.
func (s *Service) noteFactor(ctx context.Context, f Factors, action, detail string) {
	s.note(ctx, User{ID: f.UserID, Tenant: f.Tenant}, action, detail)
}
