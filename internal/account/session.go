package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// maxUserAgent is how much of a User-Agent is kept, in bytes.
const maxUserAgent = 256

// startSession begins a session for u as u was when they proved who they are, and ends their oldest ones above the limit. Unauthorized when
// they were changed meanwhile: a new password, role or state is not to be outlived.
func (s *Service) startSession(ctx context.Context, u User, from Client, secondFactor bool) (Tokens, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Tokens{}, fmt.Errorf("make an id: %w", err)
	}
	now := s.cfg.Now().UTC().Truncate(time.Microsecond)
	refresh := s.newRefreshToken(id)
	stored := StoredSession{
		Session: Session{
			ID: id.String(), UserID: u.ID, CreatedAt: now, LastSeenAt: now, ExpiresAt: now.Add(s.cfg.Absolute), IP: ipText(from), UserAgent: agentText(from),
			SecondFactor: secondFactor,
		},
		Tenant: u.Tenant, AuthAt: now, RefreshHash: hashOf(refresh), RefreshExpires: s.refreshExpires(now, now.Add(s.cfg.Absolute)),
	}
	ended, err := s.cfg.Store.StartSession(ctx, stored, u.Version, s.cfg.MaxSessions)
	if fault.Is(err, fault.NotFound) {
		return Tokens{}, &fault.Error{Kind: fault.Unauthorized, Message: "the account was changed at this moment: sign in again", Err: err}
	}
	if err != nil {
		return Tokens{}, fmt.Errorf("start a session: %w", err)
	}
	s.announce(ctx, ended)
	return s.tokens(u, stored, refresh, stored.RefreshExpires)
}

// tokens returns what is handed out for a session. Neither token outlives it.
func (s *Service) tokens(u User, of StoredSession, refresh string, expires time.Time) (Tokens, error) {
	now := s.cfg.Now()
	u.LockedUntil = nil
	ttl := min(s.cfg.AccessTTL, of.ExpiresAt.Sub(now))
	access, err := s.accessFor(u, of.ID, of.AuthAt, of.SecondFactor, ttl)
	if err != nil {
		return Tokens{}, err
	}
	return Tokens{
		AccessToken: access, TokenType: "Bearer", ExpiresIn: int(ttl.Seconds()), RefreshToken: refresh,
		RefreshExpiresIn: int(expires.Sub(now).Seconds()), SessionID: of.ID, User: u,
	}, nil
}

// refreshExpires returns when a refresh token ends that is issued now: when it is too old, when its session has been idle for longer than
// the access token beside it lives, or with its session.
func (s *Service) refreshExpires(now, sessionEnds time.Time) time.Time {
	at := now.Add(min(s.cfg.RefreshTTL, s.cfg.Idle+s.cfg.AccessTTL))
	if at.After(sessionEnds) {
		return sessionEnds
	}
	return at
}

// publish tells every API process that sessions have ended.
func (s *Service) publish(ctx context.Context, ids ...string) error {
	for _, id := range ids {
		err := s.cfg.Revoker.Publish(context.WithoutCancel(ctx), auth.Revocation{Kind: auth.RevokedSession, ID: id, Before: s.cfg.Now()})
		if err != nil {
			return fmt.Errorf("publish the end of session %s: %w", id, err)
		}
	}
	return nil
}

// announce is publish for sessions that have ended, whether that can be told or not: their access tokens then live out their minutes.
func (s *Service) announce(ctx context.Context, ids []string) {
	for _, id := range ids {
		if err := s.publish(ctx, id); err != nil {
			s.cfg.Logger.ErrorContext(ctx, "the end of a session was not published; its access token lives until it expires", "session_id", id, "error", err)
		}
	}
}

// What somebody asks to end is published first and ended then: when one of the two fails, they are told so and ask again. A session that is
// published as ended does not come back, as its tokens are refused by its id.

// Logout ends the session of p. Forbidden without one. It may be repeated.
func (s *Service) Logout(ctx context.Context, p auth.Principal) error {
	if p.SessionID == "" {
		return fault.New(fault.Forbidden, "this token is of no session: there is nothing to sign out of")
	}
	if err := s.publish(ctx, p.SessionID); err != nil {
		return err
	}
	ended, err := s.cfg.Store.EndSession(ctx, home(p), p.UserID, p.SessionID, "signed out", s.cfg.Now())
	if err != nil {
		return fmt.Errorf("end session %s: %w", p.SessionID, err)
	}
	if ended {
		s.noteSession(ctx, User{ID: p.UserID, Tenant: home(p)}, p.SessionID, "logout", "")
	}
	return nil
}

// LogoutEverywhere ends all sessions of p's user, but that of p if keepThis, and returns how many.
func (s *Service) LogoutEverywhere(ctx context.Context, p auth.Principal, keepThis bool) (int, error) {
	but := ""
	if keepThis {
		but = p.SessionID
	}
	open, err := s.Sessions(ctx, home(p), p.UserID, but)
	if err != nil {
		return 0, err
	}
	for _, o := range open {
		if o.ID == but {
			continue
		}
		if err := s.publish(ctx, o.ID); err != nil {
			return 0, err
		}
	}
	ended, err := s.cfg.Store.EndSessions(ctx, home(p), p.UserID, but, "signed out everywhere", s.cfg.Now())
	if err != nil {
		return 0, fmt.Errorf("end sessions: %w", err)
	}
	if err := s.publish(ctx, ended...); err != nil { // one may have begun meanwhile
		return 0, err
	}
	s.noteSession(ctx, User{ID: p.UserID, Tenant: home(p)}, p.SessionID, "logout.everywhere", "")
	return len(ended), nil
}

// Sessions returns a user's sessions that have not ended, the newest first; that with the id current is marked.
func (s *Service) Sessions(ctx context.Context, tenant, userID, current string) ([]Session, error) {
	list, err := s.cfg.Store.Sessions(ctx, tenant, userID, s.cfg.Now())
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	for i := range list {
		list[i].Current = list[i].ID == current
	}
	return list, nil
}

// RevokeSession ends a session of a user of by's tenant. NotFound when there is none that goes on.
func (s *Service) RevokeSession(ctx context.Context, by auth.Principal, userID, sessionID string) error {
	open, err := s.Sessions(ctx, by.Tenant, userID, sessionID)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(open, func(o Session) bool { return o.Current }) {
		return fault.New(fault.NotFound, "there is no such session")
	}
	if err := s.publish(ctx, sessionID); err != nil {
		return err
	}
	ended, err := s.cfg.Store.EndSession(ctx, by.Tenant, userID, sessionID, "revoked", s.cfg.Now())
	if err != nil {
		return fmt.Errorf("end session %s: %w", sessionID, err)
	}
	if ended {
		s.record(ctx, audit.Entry{Tenant: by.Tenant, Actor: by.UserID, Action: "session.revoked", Target: userID, SessionID: by.SessionID}, "session_id", sessionID)
	}
	return nil
}

// RevokeUser ends all sessions of a user and voids every token that was issued to them until now, also those without a session. It may be
// repeated.
func (s *Service) RevokeUser(ctx context.Context, tenant, userID, why string) error {
	ended, err := s.cfg.Store.EndSessions(ctx, tenant, userID, "", why, s.cfg.Now())
	if err != nil {
		return fmt.Errorf("end the sessions of user %s: %w", userID, err)
	}
	// Nothing is issued for the sessions any more; what was issued until now ends with the user, and again when this is repeated.
	err = s.cfg.Revoker.Publish(context.WithoutCancel(ctx), auth.Revocation{Kind: auth.RevokedUser, ID: userID, Before: s.cfg.Now()})
	if err != nil {
		return fmt.Errorf("publish that the tokens of user %s end: %w", userID, err)
	}
	if err := s.publish(ctx, ended...); err != nil { // which the clocks of several processes have no say in
		return err
	}
	if len(ended) > 0 {
		s.record(ctx, audit.Entry{Tenant: tenant, Action: "session.revoked", Target: userID}, "by", why, "sessions", strconv.Itoa(len(ended)))
	}
	return nil
}

// Me returns the user that p is.
func (s *Service) Me(ctx context.Context, p auth.Principal) (User, error) {
	stored, err := s.cfg.Store.ByID(ctx, home(p), p.UserID)
	if err != nil {
		return User{}, fmt.Errorf("read user %s: %w", p.UserID, err)
	}
	if until := stored.LockedUntil; until != nil && !until.After(s.cfg.Now()) {
		stored.LockedUntil = nil
	}
	return stored.User, nil
}

// Sweep deletes sessions that ended and one-time tokens that expired more than a day ago, at most a thousand of each in one transaction,
// every hour until ctx ends. It returns nil. Any number of processes may do so.
func (s *Service) Sweep(ctx context.Context) error {
	const (
		every = time.Hour
		keep  = 24 * time.Hour // a session says from where somebody came: no longer than it helps to find out what went wrong
		step  = 1000
	)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		n, err := s.cfg.Store.Sweep(ctx, s.cfg.Now().Add(-keep), step)
		if err != nil && !errors.Is(err, context.Canceled) {
			s.cfg.Logger.WarnContext(ctx, "ended sessions could not be deleted; the next sweep tries again", "error", err)
		}
		if n == step && ctx.Err() == nil {
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func ipText(c Client) string {
	if !c.IP.IsValid() {
		return ""
	}
	return c.IP.Unmap().String()
}
