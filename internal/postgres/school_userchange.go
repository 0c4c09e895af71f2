package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/school"
)

const (
	// holdOffices makes who takes somebody out of office wait for each other: in the tenant, and where platform admins are at home. In
	// one order, so that no two wait for each other at once. Nobody is kept from adding what refers to a tenant.
	holdOffices = `SELECT FROM tenants WHERE id = $1 OR id IN (SELECT u.tenant FROM users u WHERE u.role = 'platform_admin' AND u.state = 'active')
		ORDER BY id FOR NO KEY UPDATE`
	// What is counted is asked after it: a statement that waited for a lock goes on with its old view of other rows.
	otherPlatformAdmins = `SELECT count(*) FROM users WHERE id <> $1 AND state = 'active' AND role = 'platform_admin'`

	lockPerson   = getPerson + ` FOR UPDATE OF u`
	changePerson = `UPDATE users SET name = $3, email = nullif($4, ''), email_key = nullif($5, ''), role = $6, state = $7, version = version + 1,
		updated_at = greatest(updated_at, $8) WHERE tenant = $1 AND id = $2`
	leaveClasses   = `DELETE FROM class_members WHERE tenant = $1 AND user_id = $2`
	leaveGuardians = `DELETE FROM guardians WHERE tenant = $1 AND (parent = $2 OR child = $2)`
)

// ChangeUser implements school.UserStore.
func (s *School) ChangeUser(ctx context.Context, tenant, id string, version int64, change school.UserChange, at time.Time) (u account.User, err error) {
	var first pgx.Batch
	var otherPlatform int
	if change.Role != nil || change.State != nil {
		if !s.db.sabotage.unheld {
			first.Queue(holdOffices, tenant)
		}
		first.Queue(otherPlatformAdmins, id).QueryRow(func(row pgx.Row) error { return row.Scan(&otherPlatform) })
	}
	err = s.db.asTenantBehind(ctx, tenant, &first, func(ctx context.Context, tx pgx.Tx) error {
		was, err := scanPerson(tx.QueryRow(ctx, lockPerson, tenant, id))
		if err != nil {
			return missing("user", id, err)
		}
		next, err := changed(was, version, change)
		if err != nil {
			return err
		}
		if u = was; next == was {
			return nil
		}
		if err := keepsOffice(ctx, tx, was, next, otherPlatform); err != nil {
			return err
		}
		if err := storePerson(ctx, tx, was, next, at); err != nil {
			return err
		}
		u, err = scanPerson(tx.QueryRow(ctx, getPerson, tenant, id))
		return err
	})
	return u, err
}

// changed returns a user as a change leaves them.
func changed(u account.User, version int64, change school.UserChange) (account.User, error) {
	switch {
	case u.Version != version:
		return u, conflict("version", "the user has changed meanwhile")
	case u.State == account.Erased:
		return u, fault.New(fault.Conflict, "user %s is erased", u.ID)
	}
	if change.Name != nil {
		u.Name = *change.Name
	}
	if change.Email != nil {
		u.Email = *change.Email
	}
	if change.Role != nil {
		u.Role = *change.Role
	}
	if change.State != nil {
		u.State = *change.State
	}
	return u, nil
}

// keepsOffice returns a Conflict when the last one would leave an office.
func keepsOffice(ctx context.Context, tx pgx.Tx, was, next account.User, otherPlatform int) error {
	administers := func(u account.User) bool {
		return u.State == account.Active && (u.Role == auth.Admin || u.Role == auth.PlatformAdmin)
	}
	platform := func(u account.User) bool { return u.State == account.Active && u.Role == auth.PlatformAdmin }
	if platform(was) && !platform(next) && otherPlatform == 0 {
		return fault.New(fault.Conflict, "user %s is the last platform admin: make somebody else one first", was.ID)
	}
	if !administers(was) || administers(next) {
		return nil
	}
	var others int
	if err := tx.QueryRow(ctx, otherAdmins, was.Tenant, was.ID).Scan(&others); err != nil {
		return err
	}
	if others == 0 {
		return fault.New(fault.Conflict, "user %s is the last admin of the tenant: make somebody else one first", was.ID)
	}
	return nil
}

// storePerson stores a changed user, and ends what went with the old role, or was on its way to the old address.
func storePerson(ctx context.Context, tx pgx.Tx, was, next account.User, at time.Time) error {
	_, email, err := keysOf(next)
	if err != nil {
		return err
	}
	var q pgx.Batch
	q.Queue(changePerson, next.Tenant, next.ID, next.Name, next.Email, email, string(next.Role), next.State, at)
	if was.Role != next.Role {
		q.Queue(leaveClasses, next.Tenant, next.ID)
		q.Queue(leaveGuardians, next.Tenant, next.ID)
	}
	if was.Email != next.Email {
		q.Queue(voidTokens, next.ID, "reset", at)
	}
	return taken(tx.SendBatch(ctx, &q).Close())
}
