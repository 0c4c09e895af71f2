package account

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Credentials is what somebody signs in with.
type Credentials struct {
	Login    string // username or e-mail address
	Password string
}

// Proof is with what somebody proves who they are once more: exactly one of its fields, a passkey with its ceremony.
type Proof struct {
	Code       string          `json:"code,omitempty"`
	BackupCode string          `json:"backup_code,omitempty"`
	Password   string          `json:"password,omitempty"`
	Passkey    json.RawMessage `json:"passkey,omitempty"`
	Ceremony   string          `json:"ceremony,omitempty"`
}

// challengeData is what is kept of a sign-in that waits for the second factor.
type challengeData struct {
	Version int64 `json:"version"` // of the user whose password was right
}

const (
	challengeTime  = 5 * time.Minute
	challengeTries = 5
)

// wrong is what anybody learns whose name or password is not right: not which of them it was, nor whether the account is locked.
func wrong() error {
	return fault.New(fault.Unauthorized, "the name or the password is not right, or the account is locked for a while")
}

// Login signs somebody in with a password. Who has a second factor gets a Challenge for CompleteLogin instead of tokens. Whether the
// user exists, is disabled or is locked makes no difference to the answer, and none to the time that it takes: each costs one hash, and
// the answer waits for the next multiple of answerStep. (While the record is away, putting the failure of somebody known on it takes
// until that times out: then the time does tell.)
//
// Errors: Unauthorized; Unavailable when too many sign in at once, or the database is away.
func (s *Service) Login(ctx context.Context, c Credentials, from Client) (LoginResult, error) {
	ctx, began := fromClient(ctx, from), time.Now()
	result, err := s.login(ctx, c, from)
	if fault.Is(err, fault.Unauthorized) {
		s.evenly(ctx, began)
	}
	return result, err
}

func (s *Service) login(ctx context.Context, c Credentials, from Client) (LoginResult, error) {
	stored, err := s.checkPassword(ctx, c)
	if err != nil {
		return LoginResult{}, err
	}
	f, err := s.factorsOf(ctx, stored.Tenant, stored.ID)
	if err != nil {
		return LoginResult{}, err
	}
	if methods := f.Methods(); len(methods) > 0 {
		data, err := json.Marshal(challengeData{stored.Version})
		if err != nil {
			return LoginResult{}, fmt.Errorf("encode a sign-in: %w", err)
		}
		token, expires, err := s.putOneTime(ctx, OneTime{Purpose: forLogin, Tenant: stored.Tenant, UserID: stored.ID, Data: data}, challengeTime, false)
		if err != nil {
			return LoginResult{}, err
		}
		return LoginResult{Challenge: &Challenge{Token: token, Methods: methods, ExpiresAt: expires}}, nil
	}
	tokens, err := s.signIn(ctx, stored.User, from, false, "password")
	if err != nil {
		return LoginResult{}, err
	}
	return LoginResult{Tokens: &tokens}, nil
}

// checkPassword returns whose name and password it is.
func (s *Service) checkPassword(ctx context.Context, c Credentials) (StoredUser, error) {
	stored, err := s.byLogin(ctx, c.Login)
	if err != nil {
		return StoredUser{}, err
	}
	right, err := s.cfg.Hasher.Check(ctx, stored.PasswordHash, clipPassword(c.Password))
	if err != nil {
		return StoredUser{}, fmt.Errorf("check a password: %w", err)
	}
	if stored.ID == "" { // no audit: there is no school in whose record it would belong
		s.cfg.Logger.InfoContext(ctx, "somebody tried to sign in whom nobody knows", "ip", audit.FromOf(ctx).IP)
		return StoredUser{}, wrong()
	}
	if !right {
		return StoredUser{}, s.countFailure(ctx, stored.User, "password")
	}
	if until := stored.LockedUntil; until != nil && until.After(s.cfg.Now()) {
		s.note(ctx, stored.User, "login.failed", "locked")
		return StoredUser{}, wrong()
	}
	if s.cfg.Hasher.Outdated(stored.PasswordHash) {
		s.rehash(ctx, stored, c.Password)
	}
	return stored, nil
}

// byLogin returns the user of a login, and one without an id where there is none.
func (s *Service) byLogin(ctx context.Context, login string) (StoredUser, error) {
	stored, err := s.cfg.Store.ByLogin(ctx, loginKey(login)) // with what nobody can have, too: it takes its time
	if fault.Is(err, fault.NotFound) {
		return StoredUser{}, nil
	}
	if err != nil {
		return StoredUser{}, fmt.Errorf("find who signs in: %w", err)
	}
	return stored, nil
}

func (s *Service) rehash(ctx context.Context, stored StoredUser, password string) {
	hash, err := s.cfg.Hasher.Hash(ctx, clipPassword(password))
	if err == nil {
		err = s.cfg.Store.Rehash(ctx, stored.Tenant, stored.ID, stored.PasswordHash, hash)
	}
	if err != nil {
		s.cfg.Logger.WarnContext(ctx, "a password could not be hashed anew; the next sign-in tries again", "user_id", stored.ID, "error", err)
	}
}

// factorsOf returns the second factors of who signs in. Unauthorized when they were disabled meanwhile.
func (s *Service) factorsOf(ctx context.Context, tenant, userID string) (Factors, error) {
	f, err := s.cfg.Factors.Factors(ctx, tenant, userID)
	if fault.Is(err, fault.NotFound) {
		return Factors{}, wrong()
	}
	if err != nil {
		return Factors{}, fmt.Errorf("read second factors: %w", err)
	}
	return f, nil
}

// countFailure counts a wrong proof and returns what is said of it. The failure that locks an account is mailed to its owner. What comes
// while it is locked is not put on record one by one: nobody shall fill a school's record from outside. Who hangs up is counted, too.
func (s *Service) countFailure(ctx context.Context, u User, what string) error {
	until, locked, err := s.cfg.Store.CountFailure(context.WithoutCancel(ctx), u.Tenant, u.ID, s.cfg.LockAfter, s.cfg.LockFor, s.cfg.Now())
	if err != nil {
		return fmt.Errorf("count a failed sign-in: %w", err)
	}
	if until == nil || locked {
		s.note(ctx, u, "login.failed", what)
	}
	if locked {
		s.note(ctx, u, "account.locked", "")
		s.send(ctx, u.Email, "Your account is locked for a while", fmt.Sprintf(
			"Somebody failed to sign in to your account %s %d times. It is locked until %s.\n\nIf that was not you, change your password then.\n",
			u.Username, s.cfg.LockAfter, until.UTC().Format("15:04 MST")))
	}
	return wrong()
}

// CompleteLogin ends a sign-in that waits for the second factor. Unauthorized when the challenge is over (five minutes, five tries) or the
// proof is wrong, which counts to the lockout as a wrong password does.
func (s *Service) CompleteLogin(ctx context.Context, challenge string, proof Proof, from Client) (Tokens, error) {
	ctx, now := fromClient(ctx, from), s.cfg.Now()
	one, err := s.cfg.Store.TryToken(ctx, hashOf(challenge), forLogin, challengeTries, now)
	if fault.Is(err, fault.NotFound) {
		return Tokens{}, fault.New(fault.Unauthorized, "the sign-in has expired, or failed too often: begin again")
	}
	if err != nil {
		return Tokens{}, fmt.Errorf("find a sign-in: %w", err)
	}
	f, err := s.factorsOf(ctx, one.Tenant, one.UserID)
	if err != nil {
		return Tokens{}, err
	}
	method, err := s.proveSecondFactor(ctx, f, proof)
	if err != nil {
		return Tokens{}, err
	}
	_, err = s.cfg.Store.UseToken(ctx, one.Hash, forLogin, now) // two proofs of one challenge: one signs in
	if fault.Is(err, fault.NotFound) {
		return Tokens{}, fault.New(fault.Unauthorized, "the sign-in is over: begin again")
	}
	if err != nil {
		return Tokens{}, fmt.Errorf("use up a sign-in: %w", err)
	}
	var of challengeData
	if err := json.Unmarshal(one.Data, &of); err != nil {
		return Tokens{}, fmt.Errorf("read a sign-in: %w", err)
	}
	stored, err := s.cfg.Store.ByID(ctx, one.Tenant, one.UserID)
	if err != nil {
		return Tokens{}, fmt.Errorf("find who signs in: %w", err)
	}
	stored.Version = of.Version // what was proved five minutes ago, of the account as it was
	return s.signIn(ctx, stored.User, from, true, method)
}

// signIn starts a session for somebody who has proved who they are. Unauthorized when the account was locked meanwhile.
func (s *Service) signIn(ctx context.Context, u User, from Client, secondFactor bool, method string) (Tokens, error) {
	open, err := s.cfg.Store.ClearFailures(ctx, u.Tenant, u.ID, s.cfg.Now())
	if err != nil {
		return Tokens{}, fmt.Errorf("note a sign-in: %w", err)
	}
	if !open {
		return Tokens{}, wrong()
	}
	tokens, err := s.startSession(ctx, u, from, secondFactor)
	if err != nil {
		return Tokens{}, err
	}
	s.noteSession(ctx, u, tokens.SessionID, "login.succeeded", method)
	return tokens, nil
}

// mustEnroll reports whether a user has to set up a second factor before anything else.
func (s *Service) mustEnroll(u User) bool {
	return !u.SecondFactor && slices.Contains(s.cfg.Require, u.Role)
}

// accessFor returns an access token of a session.
func (s *Service) accessFor(u User, sessionID string, authAt time.Time, secondFactor bool, ttl time.Duration) (string, error) {
	token, err := s.cfg.Keys.Issue(auth.Principal{
		UserID: u.ID, Tenant: u.Tenant, Role: u.Role, Name: u.Name, SessionID: sessionID, AuthAt: authAt, SecondFactor: secondFactor, Enroll: s.mustEnroll(u),
		Renew: u.MustChangePassword,
	}, ttl)
	if err != nil {
		return "", fmt.Errorf("issue an access token: %w", err)
	}
	return token, nil
}

func newID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make an id: %w", err)
	}
	return id.String(), nil
}
