package account

import (
	"context"
	"time"

	"github.com/toolboxai/orchestrator/internal/auth"
)

// Store keeps accounts, sessions and what is used once. postgres.Accounts is the one there is. Its methods are safe for concurrent use;
// each is one transaction. Errors are faults: NotFound, Conflict, and Unavailable and Timeout of the database.
type Store interface {
	UserStore
	SessionStore
	TokenStore
}

// StoredUser is a user with what a sign-in is held against.
type StoredUser struct {
	User
	PasswordHash string // PHC; empty: none
}

// NewUser is a user to add.
type NewUser struct {
	User
	UsernameKey, EmailKey string // normalised; EmailKey is empty without an address
	PasswordHash          string // PHC
	Invitation            []byte // hash of the token that is used up with it; nil for none
	Class                 string // that they join, if it is open; empty for none
	InvitedBy             string
}

// PasswordChange is a password to set, and what ends with the old one.
type PasswordChange struct {
	Tenant, UserID string
	Old, New       string // hashes; Old is empty where there is none
	Keep           int    // hashes that may not come again, New among them
	But, Why       string // the session that goes on, empty for none, and why the others end
	Reset          []byte // hash of the token that is used up with it; nil for none
	At             time.Time
}

// UserStore keeps users and their passwords.
type UserStore interface {
	// ByLogin returns the active user of an active tenant with this username or e-mail address, both normalised. NotFound.
	ByLogin(ctx context.Context, login string) (StoredUser, error)
	// ByID returns a user of a tenant, in whatever state. NotFound.
	ByID(ctx context.Context, tenant, id string) (StoredUser, error)
	// AddUser adds an active user of an active tenant, all or nothing. A username or e-mail address that somebody has is a Conflict;
	// NotFound without the tenant, or when the invitation is not good any more.
	AddUser(ctx context.Context, u NewUser) error
	// OpenClass reports whether a tenant has a class that is not archived.
	OpenClass(ctx context.Context, tenant, class string) (bool, error)
	// PasswordHistory returns the hashes of a user's last passwords, the newest first, at most n.
	PasswordHistory(ctx context.Context, tenant, id string, n int) ([]string, error)
	// SetPassword sets the password of an active user if the present hash is still the old one, and lifts a lock. With the old password
	// end the sessions, whose ids it returns, requests for a new password and sign-ins that wait for a second factor. Conflict when the
	// hash is another one; NotFound when the token is not good any more.
	SetPassword(ctx context.Context, c PasswordChange) (ended []string, err error)
	// Rehash replaces a hash by another one of the same password, if it is still there.
	Rehash(ctx context.Context, tenant, id, old, hash string) error
	// CountFailure counts a wrong password or code. The limit-th, none of them later than window after the one before, locks the account for
	// window: until is set while it is locked, and locked when this call did it. A locked account's failures are not counted.
	CountFailure(ctx context.Context, tenant, id string, limit int, window time.Duration, at time.Time) (until *time.Time, locked bool, err error)
	// ClearFailures forgets failures and notes a sign-in, unless the account is locked: false then.
	ClearFailures(ctx context.Context, tenant, id string, at time.Time) (bool, error)
	// Unlock lifts a lock. NotFound.
	Unlock(ctx context.Context, tenant, id string) error
}

// StoredSession is a session with what its tokens are held against.
type StoredSession struct {
	Session
	Tenant         string
	AuthAt         time.Time
	RefreshHash    []byte
	RefreshExpires time.Time
	RotatedAt      *time.Time
	PreviousHash   []byte
	PreviousClient []byte
	Successor      []byte
	RevokedAt      *time.Time
}

// Rotation is one step of a session's refresh tokens.
type Rotation struct {
	SessionID     string
	Old, New      []byte // hashes
	Client        []byte // hash of who presented the old one
	Successor     []byte // the new token, sealed with the old one
	Expires       time.Time
	At            time.Time
	UserAgent, IP string
}

// SessionStore keeps sessions.
type SessionStore interface {
	// StartSession adds a session and ends the user's oldest ones above limit, whose ids it returns. NotFound when the user or
	// their tenant is not active, or the user is not of this version any more: what was proved is not what there is.
	StartSession(ctx context.Context, s StoredSession, version int64, limit int) (ended []string, err error)
	// Rotate replaces the live token of a session that has not ended, in one statement: of many calls with one Old at the most one
	// returns true. False when Old is not its live token, or either has ended.
	Rotate(ctx context.Context, r Rotation) (bool, error)
	// SessionOf returns a session and its user, in whatever state. NotFound.
	SessionOf(ctx context.Context, id string) (StoredSession, User, error)
	// Sessions returns a user's sessions that have not ended, the newest first.
	Sessions(ctx context.Context, tenant, userID string, now time.Time) ([]Session, error)
	// EndSession ends a session of a user: false when there is none that goes on.
	EndSession(ctx context.Context, tenant, userID, id, why string, at time.Time) (bool, error)
	// EndSessions ends a user's sessions but one (empty: all, with the sign-ins that wait for a second factor) and returns their ids.
	EndSessions(ctx context.Context, tenant, userID, but, why string, at time.Time) ([]string, error)
	// Sweep deletes at most limit sessions that ended and tokens that expired before a time, and returns how many.
	Sweep(ctx context.Context, before time.Time, limit int) (int, error)
}

// Purposes of what is used once.
const (
	forInvite   = "invite"
	forReset    = "reset"
	forLogin    = "login"
	forWebAuthn = "webauthn"
)

// OneTime is something that is used once.
type OneTime struct {
	Hash           []byte
	Purpose        string
	Tenant, UserID string // empty where they are not known yet
	Data           []byte // JSON
	Tries          int
	CreatedAt      time.Time
	ExpiresAt      time.Time
}

// TokenStore keeps what is used once.
type TokenStore interface {
	// PutToken keeps a token. With replace it voids the user's other ones of the purpose.
	PutToken(ctx context.Context, t OneTime, replace bool) error
	// UseToken uses a token up and returns it. NotFound when there is none of the purpose, or it was used, or has expired.
	UseToken(ctx context.Context, hash []byte, purpose string, at time.Time) (OneTime, error)
	// TryToken counts a try and returns the token without using it up. NotFound as UseToken, and after limit tries.
	TryToken(ctx context.Context, hash []byte, purpose string, limit int, at time.Time) (OneTime, error)
}

// Invitee says whom an invitation is for.
type Invitee struct {
	Email string    `json:"email"`
	Name  string    `json:"name"`
	Role  auth.Role `json:"role"`
	Class string    `json:"class,omitempty"`
	By    string    `json:"by"`
	Home  string    `json:"home,omitempty"` // of By
}
