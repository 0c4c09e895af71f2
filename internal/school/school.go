// Package school keeps who belongs to a school and what they share: its tenants, people, classes, guardians, and the tasks whose
// results a class may read.
//
//	tenant ──< user           a platform admin has a home tenant like anybody
//	   └─────< class ──< member    students and teachers
//	                └──< share     of a task's result
//	         parent ──< child      guardians
//
// A user is active or disabled, and back; an erased one stays erased (package privacy does that). A tenant is active or suspended, and
// back. A class is open or archived, and back: an archived one is kept as it is, cannot be changed, and shows nobody anything.
//
// Who may do what is decided twice. The access table at the edge decides by role; this package decides again, and what only it can
// know: whose class it is, whom a change is about, and who would be left.
//
//   - Platform admins alone keep tenants, and alone make, change or unmake a platform admin.
//   - Admins keep their tenant's people and classes. Nobody changes their own role or state, and a tenant's last active admin stays one.
//   - Teachers see their tenant's classes and students, and keep the classes that they created.
//   - Students see the classes that they are in, parents those of their children; both see themselves.
//
// Everything is asked and done in by.Tenant: what another tenant has is NotFound. Changes are put on record in the audit log; one that
// is done and cannot be put on record stays done, and the service's own log says so.
package school

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
)

// Bounds of a school. What would go beyond is a Conflict fault.
const (
	MaxClasses   = 10_000  // of a tenant, archived ones among them
	MaxMembers   = 1_000   // of a class
	MaxGuardians = 10      // of a child
	MaxChildren  = 50      // of a parent
	MaxShares    = 10_000  // of a class
	MaxNames     = 200_000 // that Names returns
	MaxReadable  = 1_000   // that SharedTasks returns
)

// Bounds of a page, as those of task lists.
const (
	DefaultPage = 50
	MaxPage     = 200
)

// Accounts is what the directory needs of accounts. account.Service is one.
type Accounts interface {
	// RevokeUser ends all sessions of a user and voids what was issued to them. It may be repeated.
	RevokeUser(ctx context.Context, tenant, userID, why string) error
	// RequestReset mails a link to set a password with, if the login belongs to somebody who has an e-mail address.
	RequestReset(ctx context.Context, login string, from account.Client) error
}

// Hasher makes what is stored of a password. account.Hasher is one.
type Hasher interface {
	Hash(ctx context.Context, password string) (string, error)
}

// Revoker voids tokens.
type Revoker interface {
	Publish(ctx context.Context, r auth.Revocation) error
}

var (
	_ Accounts = (*account.Service)(nil)
	_ Hasher   = (*account.Hasher)(nil)
	_ Revoker  = account.Revoker(nil)
)

// Config is what a Service needs. All but Now and Logger are required.
type Config struct {
	Store    Store
	Accounts Accounts
	Hasher   Hasher  // of temporary passwords
	Revoker  Revoker // of whole tenants
	Audit    audit.Recorder
	Now      func() time.Time // time.Now when nil
	Logger   *slog.Logger     // nil discards
}

// Service keeps schools. It is safe for concurrent use and holds no state of its own.
//
// All its methods return, beside what they name: Invalid with the field; Unauthorized never; Forbidden for what the role does not
// allow; NotFound for what the tenant does not have, or the caller may not know of; Unavailable and Timeout while the database is away.
type Service struct {
	store    Store
	accounts Accounts
	hasher   Hasher
	revoker  Revoker
	audit    audit.Recorder
	now      func() time.Time
	logger   *slog.Logger
}

// New checks cfg and returns the service.
func New(cfg Config) (*Service, error) {
	if cfg.Store == nil || cfg.Accounts == nil || cfg.Hasher == nil || cfg.Revoker == nil || cfg.Audit == nil {
		return nil, errors.New("school: Config.Store, Accounts, Hasher, Revoker and Audit are required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Service{
		store: cfg.Store, accounts: cfg.Accounts, hasher: cfg.Hasher, revoker: cfg.Revoker, audit: cfg.Audit, now: cfg.Now,
		logger: cfg.Logger,
	}, nil
}

// time returns the present time as the database holds it.
func (s *Service) time() time.Time { return s.now().UTC().Truncate(time.Microsecond) }
