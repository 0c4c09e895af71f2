package account

import (
	"context"
	"encoding/json"
	"time"
)

// The methods of a Challenge and of a Proof.
const (
	MethodTOTP       = "totp"
	MethodBackupCode = "backup_code"
	MethodPasskey    = "passkey"
	MethodPassword   = "password"
)

// Factors is what a user can prove who they are with, as it stands in the database.
type Factors struct {
	UserID, Tenant, Username, Name string
	PasswordHash                   string // PHC; empty: none
	LockedUntil                    *time.Time
	TOTPSecret                     []byte // sealed; nil: none
	TOTPConfirmed                  bool   // false: TOTPSecret is not in force yet
	TOTPLastStep                   int64  // time step of the last code that was taken
	BackupCodes                    int    // that have not been used
	Passkeys                       int
}

// SecondFactor reports whether the user has a second factor. A passkey is one: it asks for its owner's finger, face or PIN.
func (f Factors) SecondFactor() bool { return f.TOTPConfirmed || f.Passkeys > 0 }

// Methods returns with what the user can prove a second factor, in the order in which a client should offer them; none: they have
// no second factor.
func (f Factors) Methods() []string {
	var out []string
	if f.Passkeys > 0 {
		out = append(out, MethodPasskey)
	}
	if f.TOTPConfirmed {
		out = append(out, MethodTOTP)
	}
	if f.SecondFactor() && f.BackupCodes > 0 {
		out = append(out, MethodBackupCode)
	}
	return out
}

// Passkey is a user's WebAuthn credential, without what verifies it.
type Passkey struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	CreatedAt  time.Time  `json:"created_at"`
	LastUsedAt *time.Time `json:"last_used_at,omitempty"`
}

// StoredPasskey is a passkey with what verifies it.
type StoredPasskey struct {
	Passkey
	UserID, Tenant string
	CredentialID   []byte          // the authenticator's, unique over all users
	Credential     json.RawMessage // webauthn.Credential
}

// SecondFactorStore keeps second factors. Its methods are safe for concurrent use; each is one transaction. Errors are faults:
// NotFound where the user does not exist, is not active or not of the tenant; Unavailable and Timeout of the database.
type SecondFactorStore interface {
	// Factors returns what an active user can prove who they are with.
	Factors(ctx context.Context, tenant, userID string) (Factors, error)

	// PutTOTP keeps a sealed secret that is not in force yet, in place of one that never came into force. Conflict when one is in
	// force.
	PutTOTP(ctx context.Context, tenant, userID string, sealed []byte) error
	// ConfirmTOTP brings the secret into force, takes the time step of the code that proved it and replaces the backup codes. Conflict
	// when sealed is not the secret that waits for it.
	ConfirmTOTP(ctx context.Context, tenant, userID string, sealed []byte, step int64, codes [][]byte, at time.Time) error
	// UseTOTP takes a time step of the secret in force, once: false when it, or a later one, was taken before, or the secret is
	// not sealed any more.
	UseTOTP(ctx context.Context, tenant, userID string, sealed []byte, step int64) (bool, error)
	// DropTOTP forgets the secret, in force or not, and the backup codes where no passkey is left for which they stand in. It
	// returns whether it was in force.
	DropTOTP(ctx context.Context, tenant, userID string) (bool, error)

	// ReplaceBackupCodes makes codes the only ones. Conflict when the user has no second factor.
	ReplaceBackupCodes(ctx context.Context, tenant, userID string, codes [][]byte) error
	// BackupCodes returns the hashes of the codes that have not been used.
	BackupCodes(ctx context.Context, tenant, userID string) ([][]byte, error)
	// UseBackupCode takes a code, once: false when it was taken before or is none of the user's.
	UseBackupCode(ctx context.Context, tenant, userID string, code []byte, at time.Time) (bool, error)

	// AddPasskey keeps a new passkey. Conflict when its credential is known, or the user has limit passkeys.
	AddPasskey(ctx context.Context, key StoredPasskey, limit int) error
	// Passkeys returns a user's passkeys, oldest first.
	Passkeys(ctx context.Context, tenant, userID string) ([]StoredPasskey, error)
	// PasskeyOwner returns the tenant and the id of the active user whose credential it is. NotFound when nobody's.
	PasskeyOwner(ctx context.Context, credentialID []byte) (tenant, userID string, err error)
	// UsePasskey keeps what an assertion changed: false when the sign count is not beyond the one that is stored (none of them counting
	// is fine), or the passkey is gone.
	UsePasskey(ctx context.Context, key StoredPasskey, signCount uint32, at time.Time) (bool, error)
	// DeletePasskey removes a passkey, and the backup codes with the last second factor. NotFound when it is none of the user's.
	DeletePasskey(ctx context.Context, tenant, userID, id string) error

	// ProveSession notes that the user of a session has proved who they are once more. False when the session has ended, or the account is
	// locked at that moment.
	ProveSession(ctx context.Context, tenant, userID, sessionID string, at time.Time, secondFactor bool) (bool, error)
}
