package school

import (
	"context"
	"time"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
)

// Store is where schools are kept. postgres.School is the one there is. It holds the bounds of this package, whoever else writes at the
// same time; who may do what is not its business. Its errors are those of Service, without Forbidden.
type Store interface {
	TenantStore
	UserStore
	ClassStore
	GuardianStore
	ShareStore
}

// TenantStore keeps tenants. It is asked in the platform's name, but for Tenant.
type TenantStore interface {
	Tenants(ctx context.Context, f TenantFilter) (TenantPage, error)
	Tenant(ctx context.Context, id string) (Tenant, error)
	// AddTenant is a Conflict fault when there is one of this id.
	AddTenant(ctx context.Context, t Tenant) error
	ChangeTenant(ctx context.Context, id string, change TenantChange, at time.Time) (Tenant, error)
}

// UserStore keeps the directory. What proves who a user is belongs to package account.
type UserStore interface {
	Users(ctx context.Context, tenant string, f UserFilter) (UserPage, error)
	User(ctx context.Context, tenant, id string) (account.User, error)
	// AddUser adds an active user. A username or e-mail address that somebody has, in whatever tenant, is a Conflict fault that names
	// the field. passwordHash is empty for none; with one, it must be changed at the first sign-in.
	AddUser(ctx context.Context, u account.User, passwordHash string) error
	// ChangeUser changes a user whose version is still the given one; else it is a Conflict fault, and so is taking the tenant's last
	// active admin, or the platform's last active platform admin, out of office. Whoever gets another role leaves the classes and
	// guardians of the old one.
	ChangeUser(ctx context.Context, tenant, id string, version int64, change UserChange, at time.Time) (account.User, error)
	// Names returns the names of all people of a tenant who are not erased. TooLarge above MaxNames.
	Names(ctx context.Context, tenant string) ([]string, error)
}

// ClassStore keeps classes and who is in them.
type ClassStore interface {
	Classes(ctx context.Context, tenant string, f ClassFilter) (ClassPage, error)
	Class(ctx context.Context, tenant, id string) (Class, error)
	AddClass(ctx context.Context, c Class) error
	ChangeClass(ctx context.Context, tenant, id string, version int64, change ClassChange, at time.Time) (Class, error)
	// Members returns all members of a class, in the order of their names.
	Members(ctx context.Context, tenant, class string) ([]Member, error)
	// AddMember adds an active user of the tenant with one of the roles to an open class. added is false when they are in it already.
	AddMember(ctx context.Context, tenant, class, userID string, roles []auth.Role, by string, at time.Time) (m Member, added bool, err error)
	// RemoveMember is a NotFound fault for who is no member.
	RemoveMember(ctx context.Context, tenant, class, userID string) error
	// Attends reports whether one of the users is a member of the class, which need not be open.
	Attends(ctx context.Context, tenant, class string, reader Reader) (bool, error)
}

// GuardianStore keeps whose parents are whose.
type GuardianStore interface {
	// Guardians returns the pairs of a parent or, with an empty parent, of a child.
	Guardians(ctx context.Context, tenant, parent, child string) ([]Guardian, error)
	// AddGuardian makes an active parent the guardian of an active student. added is false when they are already.
	AddGuardian(ctx context.Context, tenant, parent, child, by string, at time.Time) (g Guardian, added bool, err error)
	RemoveGuardian(ctx context.Context, tenant, parent, child string) error
}

// ShareStore keeps what classes may read.
type ShareStore interface {
	Shares(ctx context.Context, tenant string, f ShareFilter) (SharePage, error)
	// AddShare shares a task of the tenant that is in the archive with an open class. added is false when it is shared already.
	AddShare(ctx context.Context, tenant string, share Share) (was Share, added bool, err error)
	RemoveShare(ctx context.Context, tenant, class, task string) error
	// Readable reports whether a task belongs to a child of the reader's or is shared with an open class of theirs.
	Readable(ctx context.Context, tenant string, reader Reader, taskOwner, taskID string) (bool, error)
	// SharedTasks returns the tasks for which Readable says yes, newest first, at most limit of them.
	SharedTasks(ctx context.Context, tenant string, reader Reader, limit int) ([]string, error)
}

// Reader is who wants to read: a user and, for a parent, the children of this user.
type Reader struct {
	UserID   string
	Children bool // with those of whom they are a guardian
}
