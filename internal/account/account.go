// Package account is how people prove who they are: accounts, passwords, sessions, second factors.
//
// A session begins with a sign-in and is a family of refresh tokens, of which one is live:
//
//	sign-in ─► session ─► refresh ─► refresh ─► …          a token that was rotated comes again:
//	             │  access token, 15 min, each                from the same client within 10 s: the same successor
//	             ▼                                            otherwise: it was stolen, and the session ends
//	  ended: signed out, revoked, idle, too old, one too many, reused
//
// An access token is checked without any I/O (package auth). That a session has ended is therefore published, and every API process
// refuses its tokens within a second.
//
// Everything that somebody could guess is slow, counted or both: a password costs argon2id, five failures lock an account for a
// while, and who asks learns neither whether the account exists nor whether it is locked.
package account

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/mail"
	"github.com/toolboxai/orchestrator/internal/secret"
)

// Client is from where somebody asks.
type Client struct {
	IP        netip.Addr
	UserAgent string
}

// States of a user.
const (
	Active   = "active"
	Disabled = "disabled"
	Erased   = "erased"
)

// User is a person with an account.
type User struct {
	ID                 string     `json:"id"`
	Tenant             string     `json:"tenant_id"`
	Username           string     `json:"username"`
	Email              string     `json:"email,omitempty"` // students may have none
	Name               string     `json:"name"`
	Role               auth.Role  `json:"role"`
	State              string     `json:"state"`
	Version            int64      `json:"version"` // grows with every change
	SecondFactor       bool       `json:"second_factor"`
	HasPassword        bool       `json:"has_password"`
	MustChangePassword bool       `json:"must_change_password,omitempty"`
	LockedUntil        *time.Time `json:"locked_until,omitempty"`
	LastLoginAt        *time.Time `json:"last_login_at,omitempty"`
	CreatedAt          time.Time  `json:"created_at"`
	UpdatedAt          time.Time  `json:"updated_at"`
}

// Session is a sign-in that goes on.
type Session struct {
	ID           string    `json:"id"`
	UserID       string    `json:"user_id"`
	CreatedAt    time.Time `json:"created_at"`
	LastSeenAt   time.Time `json:"last_seen_at"` // of the last refresh
	ExpiresAt    time.Time `json:"expires_at"`   // whatever happens
	IP           string    `json:"ip"`
	UserAgent    string    `json:"user_agent"`
	SecondFactor bool      `json:"second_factor"`
	Current      bool      `json:"current"` // it is the one that asks
}

// Tokens is what a sign-in or a refresh yields. They are shown once.
type Tokens struct {
	AccessToken      string `json:"access_token"`
	TokenType        string `json:"token_type"` // Bearer
	ExpiresIn        int    `json:"expires_in"` // seconds
	RefreshToken     string `json:"refresh_token"`
	RefreshExpiresIn int    `json:"refresh_expires_in"` // seconds
	SessionID        string `json:"session_id"`
	User             User   `json:"user"`
}

// Challenge is the half of a sign-in that waits for the second factor.
type Challenge struct {
	Token     string    `json:"challenge"`
	Methods   []string  `json:"methods"` // totp, backup_code, passkey
	ExpiresAt time.Time `json:"expires_at"`
}

// LoginResult is either Tokens or a Challenge.
type LoginResult struct {
	Tokens    *Tokens    `json:"tokens,omitempty"`
	Challenge *Challenge `json:"challenge,omitempty"`
}

// RelyingParty is who passkeys are made for.
type RelyingParty struct {
	ID      string // a host name, such as app.example.org
	Name    string // for people
	Origins []string
}

// Revoker tells all API processes that tokens end.
type Revoker interface {
	Publish(ctx context.Context, r auth.Revocation) error
}

// Enrolment says who may make an account.
type Enrolment string

const (
	Open   Enrolment = "open"   // anybody, in one tenant and with one role that is no admin's
	Invite Enrolment = "invite" // who was invited
	Closed Enrolment = "closed" // nobody but whom an admin makes one
)

// Config is what a Service needs. Store, Factors, Keys, Box, Revoker, Audit, Mail and Hasher are required; zero values of the rest take
// the defaults that stand beside them.
type Config struct {
	Store        Store
	Factors      SecondFactorStore
	Keys         *auth.Keyring
	Box          *secret.Box
	Revoker      Revoker
	Audit        audit.Recorder
	Mail         mail.Sender
	Hasher       *Hasher
	Enrolment    Enrolment     // invite
	OpenRole     auth.Role     // student; never an admin's
	OpenTenant   string        // required where Enrolment is open
	AccessTTL    time.Duration // 15 min; at most 50, so that no revocation is forgotten before the token that it ends
	RefreshTTL   time.Duration // 7 days
	Idle         time.Duration // a session that is not refreshed for so long beyond an access token's life ends; 15 min
	Absolute     time.Duration // a session's age; 12 h
	MaxSessions  int           // a user's; 5
	LockAfter    int           // failures, none of them later than LockFor after the one before; 5
	LockFor      time.Duration // 15 min
	Require      []auth.Role   // who must have a second factor
	PublicURL    string        // of the dashboard: where links in mails lead
	RelyingParty RelyingParty  // passkeys are off without an ID
	// Breached reports whether a password is known from a breach. It is asked about each new one, and does no I/O. Nil: only the list of
	// common ones counts.
	Breached func(password string) bool
	Now      func() time.Time // time.Now
	Logger   *slog.Logger     // nil discards
}

// Service is the one way to accounts. It is safe for concurrent use.
type Service struct {
	cfg        Config
	passkeys   *webauthn.WebAuthn // nil: off
	answerStep time.Duration      // only tests set another
}

// New checks cfg and returns the service.
func New(cfg Config) (*Service, error) {
	for _, field := range []struct {
		name    string
		missing bool
	}{
		{"Store", cfg.Store == nil}, {"Factors", cfg.Factors == nil}, {"Keys", cfg.Keys == nil}, {"Box", cfg.Box == nil}, {"Revoker", cfg.Revoker == nil},
		{"Audit", cfg.Audit == nil}, {"Mail", cfg.Mail == nil}, {"Hasher", cfg.Hasher == nil},
	} {
		if field.missing {
			return nil, fmt.Errorf("account: Config.%s is missing", field.name)
		}
	}
	orDefault(&cfg.Enrolment, Invite)
	orDefault(&cfg.OpenRole, auth.Student)
	orDefault(&cfg.AccessTTL, 15*time.Minute)
	orDefault(&cfg.RefreshTTL, 7*24*time.Hour)
	orDefault(&cfg.Idle, 15*time.Minute)
	orDefault(&cfg.Absolute, 12*time.Hour)
	orDefault(&cfg.MaxSessions, 5)
	orDefault(&cfg.LockAfter, 5)
	orDefault(&cfg.LockFor, 15*time.Minute)
	orDefault(&cfg.RelyingParty.Name, "ToolboxAI")
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case cfg.AccessTTL < 0 || cfg.RefreshTTL < 0 || cfg.Idle < 0 || cfg.Absolute < 0 || cfg.LockFor < 0 || cfg.MaxSessions < 0 || cfg.LockAfter < 0:
		return nil, errors.New("account: a limit of Config is negative")
	case cfg.AccessTTL > maxAccessTTL:
		return nil, fmt.Errorf("account: Config.AccessTTL is %s, at most %s are allowed", cfg.AccessTTL, maxAccessTTL)
	case !slices.Contains([]Enrolment{Open, Invite, Closed}, cfg.Enrolment):
		return nil, fmt.Errorf("account: Config.Enrolment is %q, must be open, invite or closed", cfg.Enrolment)
	case cfg.Enrolment == Open && cfg.OpenTenant == "":
		return nil, errors.New("account: Config.OpenTenant is missing: open registration needs it")
	case !cfg.OpenRole.Valid() || cfg.OpenRole == auth.Admin || cfg.OpenRole == auth.PlatformAdmin:
		return nil, fmt.Errorf("account: Config.OpenRole is %q: nobody registers as that", cfg.OpenRole)
	}
	if u, err := url.Parse(cfg.PublicURL); cfg.PublicURL != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		return nil, errors.New("account: Config.PublicURL is no address such as https://app.school.example")
	}
	passkeys, err := newRelyingParty(cfg.RelyingParty)
	if err != nil {
		return nil, err
	}
	return &Service{cfg, passkeys, answerStep}, nil
}

// maxAccessTTL keeps an access token from outliving a revocation of it.
const maxAccessTTL = 50 * time.Minute

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
