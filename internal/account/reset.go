package account

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

const resetTime = 30 * time.Minute

// RequestReset mails a link with which to set a new password, if the login belongs to somebody who has an e-mail address. Who asks does not
// learn whether it does: the answer is nil in either case and waits for the next multiple of answerStep, and the mail goes its own way. A
// new request voids the one before.
func (s *Service) RequestReset(ctx context.Context, login string, from Client) error {
	ctx, began := fromClient(ctx, from), time.Now()
	err := s.requestReset(ctx, login)
	if err == nil {
		s.evenly(ctx, began)
	}
	return err
}

func (s *Service) requestReset(ctx context.Context, login string) error {
	stored, err := s.byLogin(ctx, login)
	if err != nil {
		return err
	}
	if stored.ID == "" || stored.Email == "" {
		return nil
	}
	token, _, err := s.resetToken(ctx, stored.User)
	if err != nil {
		return err
	}
	s.record(ctx, audit.Entry{Tenant: stored.Tenant, Actor: cmp.Or(audit.FromOf(ctx).Actor, unknown), Action: "reset.requested", Target: stored.ID})
	s.send(ctx, stored.Email, "Set a new password", "Somebody asked to set a new password for your account "+stored.Username+".\n\n"+
		cmp.Or(s.link("reset", "token", token), "Your token: "+token)+"\n\nIt is good for 30 minutes. If that was not you, there is nothing to do.\n")
	return nil
}

// ResetLink returns a token with which the user of a login can set a password, and the link that takes it: for an operator who hands it over
// in person. NotFound.
func (s *Service) ResetLink(ctx context.Context, login string) (token, link string, err error) {
	stored, err := s.byLogin(ctx, login)
	if err != nil {
		return "", "", err
	}
	if stored.ID == "" {
		return "", "", fault.New(fault.NotFound, "nobody signs in with this name")
	}
	token, _, err = s.resetToken(ctx, stored.User)
	return token, s.link("reset", "token", token), err
}

func (s *Service) resetToken(ctx context.Context, u User) (string, time.Time, error) {
	return s.putOneTime(ctx, OneTime{Purpose: forReset, Tenant: u.Tenant, UserID: u.ID}, resetTime, true)
}

// ResetPassword sets a password with a token of RequestReset, ends all sessions and lifts a lock. Errors: Unauthorized when the token is not
// good any more; Invalid when the password may not be, and Unavailable: the token is still good then, for twenty tries.
func (s *Service) ResetPassword(ctx context.Context, token, password string, from Client) error {
	const tries = 20
	ctx = fromClient(ctx, from)
	one, err := s.cfg.Store.TryToken(ctx, hashOf(token), forReset, tries, s.cfg.Now())
	if fault.Is(err, fault.NotFound) {
		return badReset()
	}
	if err != nil {
		return fmt.Errorf("find a request for a new password: %w", err)
	}
	stored, err := s.cfg.Store.ByID(ctx, one.Tenant, one.UserID)
	if err != nil {
		return fmt.Errorf("read user %s: %w", one.UserID, err)
	}
	if stored.State != Active {
		return badReset()
	}
	err = s.setPassword(ctx, stored, password, PasswordChange{Reset: one.Hash, Why: "the password was reset"})
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Conflict) { // somebody else used it meanwhile
		return badReset()
	}
	if err != nil {
		return err
	}
	s.note(ctx, stored.User, "password.reset", "")
	s.send(ctx, stored.Email, "Your password was reset", "A new password was set for your account "+stored.Username+".\n\nIf that was not you, ask an admin of your school at once.\n")
	return nil
}

func badReset() error {
	return fault.New(fault.Unauthorized, "the request for a new password has expired or was used: ask again")
}

// Unlock lifts the lock of an account of by's tenant. NotFound.
func (s *Service) Unlock(ctx context.Context, by auth.Principal, userID string) error {
	if err := s.cfg.Store.Unlock(ctx, by.Tenant, userID); err != nil {
		return fmt.Errorf("unlock user %s: %w", userID, err)
	}
	s.record(ctx, audit.Entry{Tenant: by.Tenant, Actor: by.UserID, Action: "account.unlocked", Target: userID, SessionID: by.SessionID, KeyID: by.KeyID})
	return nil
}
