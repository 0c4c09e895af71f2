// Package apikey gives programs a way in: keys that act for a user, with a part of what that user may do.
//
// A key is known by its id, which is no secret, and proved by its secret, which is shown once and stored as a MAC under a pepper that
// the database does not know. It acts for its user: when that user is disabled, or their tenant suspended, the key ends with them; when
// their role changes, so does what the key may do. On top of that it is limited by scopes, and may be limited to addresses, origins and
// a rate of its own.
//
//	         Rotate (the old secret stays good for the overlap)
//	           ┌──┐
//	           │  ▼
//	Create ─► live ─► expired (ExpiresAt)
//	            └───► revoked (Revoke)
//
// Service changes keys, Authenticator asks them. Every change is published as an auth.Revocation, at which each Authenticator of the
// platform drops what it remembers of the key.
package apikey

import (
	"context"
	"time"

	"github.com/toolboxai/orchestrator/internal/auth"
)

// Key is an API key, without its secret.
type Key struct {
	ID        string       `json:"id"`
	Tenant    string       `json:"tenant_id"`
	UserID    string       `json:"user_id"` // for whom it acts
	Name      string       `json:"name"`
	Scopes    []auth.Scope `json:"scopes"`
	IPs       []string     `json:"ips"`        // CIDRs that may use it; none: any
	Origins   []string     `json:"origins"`    // browser origins that may use it; none: any, also without one
	PerMinute int          `json:"per_minute"` // requests; 0: the default
	CreatedAt time.Time    `json:"created_at"`

	RotatedAt     *time.Time `json:"rotated_at,omitempty"`
	ExpiresAt     *time.Time `json:"expires_at,omitempty"`
	LastUsedAt    *time.Time `json:"last_used_at,omitempty"` // to the minute
	RevokedAt     *time.Time `json:"revoked_at,omitempty"`
	PreviousUntil *time.Time `json:"previous_until,omitempty"` // until then the secret before the last rotation is good as well
}

// Spec says what key to make.
type Spec struct {
	Name      string       // 1 to 100 characters
	Scopes    []auth.Scope // at least one; only what the user's role has a use for
	IPs       []string     // addresses or CIDRs, at most 32
	Origins   []string     // such as https://school.example, at most 32
	PerMinute int          // at most MaxPerMinute; 0: the default
	ExpiresAt *time.Time   // at most MaxLife ahead; nil: never
	UserID    string       // for whom it acts; empty: for who makes it
}

// Limits of keys.
const (
	MaxPerMinute = 10_000
	MaxOverlap   = 7 * 24 * time.Hour       // of the secrets in a rotation
	MaxLife      = 5 * 366 * 24 * time.Hour // of a key that expires at all
	MaxKeys      = 50                       // that are not revoked, for one user
	MaxPage      = 200                      // of a list
)

// Owner is whom a key acts for.
type Owner struct {
	UserID, Tenant, Name string
	Role                 auth.Role
	Active               bool // neither is the user disabled nor the tenant suspended
}

// Record is a key with what proves it and whom it acts for.
type Record struct {
	Key      Key
	Owner    Owner
	Hash     []byte // MAC of the secret
	Previous []byte // MAC of the secret before the last rotation; nil for none
}

// Rotation gives a key a new secret.
type Rotation struct {
	Replaces []byte // MAC of the secret that it replaces
	Hash     []byte // MAC of the new one
	At       time.Time
	Until    *time.Time // until when the replaced one stays good; nil: it ends at once
}

// Store keeps keys. It is safe for concurrent use. What belongs to another tenant does not exist: NotFound. All methods return
// Unavailable or Timeout faults when the database is away.
type Store interface {
	// Owner returns who a user of the tenant is. NotFound.
	Owner(ctx context.Context, tenant, userID string) (Owner, error)
	// Create stores a key with the MAC of its secret. Conflict when its user has atMost keys that are not revoked, NotFound when there
	// is no such user.
	Create(ctx context.Context, k Key, hash []byte, atMost int) error
	// List returns a page of the tenant's keys, or of one user's, the newest first, with those that are revoked, and the cursor of the next
	// page, empty on the last. Invalid (field "cursor").
	List(ctx context.Context, tenant, userID, cursor string, limit int) (keys []Key, next string, err error)
	// Get returns a key with all that belongs to it. NotFound.
	Get(ctx context.Context, tenant, id string) (Record, error)
	// Find is Get where the tenant is not known yet: it is for whoever shows the key.
	Find(ctx context.Context, id string) (Record, error)
	// Rotate replaces the secret and returns the key as it is then. Conflict when the secret is not the one to be replaced any more, or
	// the key is revoked; NotFound.
	Rotate(ctx context.Context, tenant, id string, r Rotation) (Key, error)
	// Revoke ends a key for good, and reports whether it was live before. NotFound.
	Revoke(ctx context.Context, tenant, id string, at time.Time) (changed bool, err error)
	// Used notes that a key was used, unless that was noted within a minute before.
	Used(ctx context.Context, tenant, id string, at time.Time) error
}

// Revoker tells every process about a change. It is safe for concurrent use.
type Revoker interface {
	Publish(ctx context.Context, r auth.Revocation) error
}
