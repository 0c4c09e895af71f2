package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/school"
)

// Accounts keeps users, sessions and what is used once. What is asked before it is known whose tenant it is (who signs in, whose token it
// is) is asked in the platform's name, everything else behind the second lock.
type Accounts struct{ db *DB }

var _ account.Store = (*Accounts)(nil)

// NewAccounts returns the accounts in db.
func NewAccounts(db *DB) *Accounts { return &Accounts{db} }

// userFields are those of account.User, of the table users under the name u.
const userFields = `u.id, u.tenant, u.username, coalesce(u.email, ''), u.name, u.role, u.state, u.version,
	u.totp_confirmed_at IS NOT NULL OR EXISTS (SELECT FROM passkeys k WHERE k.user_id = u.id),
	u.password_hash IS NOT NULL, u.must_change, u.locked_until, u.last_login_at, u.created_at, u.updated_at`

func userTargets(u *account.User) []any {
	return []any{
		&u.ID, &u.Tenant, &u.Username, &u.Email, &u.Name, &u.Role, &u.State, &u.Version, &u.SecondFactor, &u.HasPassword, &u.MustChangePassword,
		&u.LockedUntil, &u.LastLoginAt, &u.CreatedAt, &u.UpdatedAt,
	}
}

const (
	userByLogin = `SELECT ` + userFields + `, coalesce(u.password_hash, '') FROM users u JOIN tenants t ON t.id = u.tenant
		WHERE (u.username_key = $1 OR u.email_key = $1) AND u.state = 'active' AND t.state = 'active'`
	userByID   = `SELECT ` + userFields + `, coalesce(u.password_hash, '') FROM users u WHERE u.tenant = $1 AND u.id = $2`
	insertUser = `INSERT INTO users (id, tenant, username, username_key, email, email_key, name, role, state, password_hash, password_changed_at, created_at, updated_at)
		SELECT $1, t.id, $3, $4, nullif($5, ''), nullif($6, ''), $7, $8, 'active', nullif($9, ''), $10, $10, $10 FROM tenants t WHERE t.id = $2 AND t.state = 'active'`
	listHashes = `SELECT hash FROM (SELECT password_hash AS hash, 'infinity'::timestamptz AS set_at FROM users WHERE tenant = $1 AND id = $2 AND password_hash IS NOT NULL
		UNION ALL SELECT hash, set_at FROM password_history WHERE tenant = $1 AND user_id = $2) h ORDER BY set_at DESC LIMIT $3`
	setPassword = `UPDATE users SET password_hash = $4, password_changed_at = $5, must_change = false, failures = 0, locked_until = NULL, version = version + 1, updated_at = $5
		WHERE tenant = $1 AND id = $2 AND coalesce(password_hash, '') = $3 AND state = 'active'`
	keepHash = `INSERT INTO password_history (tenant, user_id, hash, set_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`
	dropHash = `DELETE FROM password_history WHERE tenant = $1 AND user_id = $2 AND set_at NOT IN
		(SELECT set_at FROM password_history WHERE tenant = $1 AND user_id = $2 ORDER BY set_at DESC LIMIT $3)`
	rehash = `UPDATE users SET password_hash = $4 WHERE tenant = $1 AND id = $2 AND password_hash = $3`
	// A failure long after the last one is the first of a new count, and so is the one after a lock. One statement counts and locks: whoever
	// comes at the same time waits for the row, and sees what became of it.
	nextFailure  = `CASE WHEN last_failure_at > $5::timestamptz - $4::interval THEN failures + 1 ELSE 1 END`
	countFailure = `UPDATE users SET last_failure_at = $5::timestamptz,
			failures = CASE WHEN ` + nextFailure + ` >= $3 THEN 0 ELSE ` + nextFailure + ` END,
			locked_until = CASE WHEN ` + nextFailure + ` >= $3 THEN $5::timestamptz + $4::interval END
		WHERE tenant = $1 AND id = $2 AND (locked_until IS NULL OR locked_until <= $5) RETURNING locked_until`
	lockedUntil   = `SELECT locked_until FROM users WHERE tenant = $1 AND id = $2`
	clearFailures = `UPDATE users SET failures = 0, last_login_at = $3, locked_until = NULL
		WHERE tenant = $1 AND id = $2 AND state = 'active' AND (locked_until IS NULL OR locked_until <= $3)`
	isOpenClass = `SELECT EXISTS (SELECT FROM classes WHERE tenant = $1 AND id = $2 AND archived_at IS NULL)`
	joinClass   = `INSERT INTO class_members (tenant, class, user_id, added_by, added_at)
		SELECT c.tenant, c.id, $3, $4, $5 FROM classes c WHERE c.tenant = $1 AND c.id = $2 AND c.archived_at IS NULL
			AND (` + countMembers + `) < $6`
	// What is counted is asked after it: see countMembers.
	holdClass  = `SELECT FROM classes WHERE tenant = $1 AND id = $2 FOR UPDATE`
	unlockUser = `UPDATE users SET failures = 0, locked_until = NULL WHERE tenant = $1 AND id = $2 AND state <> 'erased'`
)

// ByLogin implements account.UserStore.
func (a *Accounts) ByLogin(ctx context.Context, login string) (u account.StoredUser, err error) {
	err = a.db.asPlatform(ctx, func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, userByLogin, login).Scan(append(userTargets(&u.User), &u.PasswordHash)...)
	})
	return u, noUser(err)
}

// ByID implements account.UserStore.
func (a *Accounts) ByID(ctx context.Context, tenant, id string) (u account.StoredUser, err error) {
	err = a.db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, userByID, tenant, id).Scan(append(userTargets(&u.User), &u.PasswordHash)...)
	})
	return u, noUser(err)
}

// AddUser implements account.UserStore.
func (a *Accounts) AddUser(ctx context.Context, u account.NewUser) error {
	return a.db.asTenant(ctx, u.Tenant, func(ctx context.Context, tx pgx.Tx) error {
		done, err := tx.Exec(ctx, insertUser, u.ID, u.Tenant, u.Username, u.UsernameKey, u.Email, u.EmailKey, u.Name, u.Role, u.PasswordHash, u.CreatedAt)
		if err != nil {
			return takenName(err)
		}
		if done.RowsAffected() == 0 {
			return fault.New(fault.NotFound, "there is no active tenant %q", u.Tenant)
		}
		if u.Class != "" { // archived since the invitation, or full: then they join none
			if _, err := tx.Exec(ctx, holdClass, u.Tenant, u.Class); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, joinClass, u.Tenant, u.Class, u.ID, u.InvitedBy, u.CreatedAt, school.MaxMembers); err != nil {
				return err
			}
		}
		return useUp(ctx, tx, u.Invitation, "invite", u.CreatedAt)
	})
}

// useUp uses up a token as a part of what it is good for. NotFound when it is not good any more; nil uses up none.
func useUp(ctx context.Context, tx pgx.Tx, hash []byte, purpose string, at time.Time) error {
	if hash == nil {
		return nil
	}
	done, err := tx.Exec(ctx, spendToken, hash, purpose, at)
	if err != nil {
		return err
	}
	if done.RowsAffected() == 0 {
		return noToken()
	}
	return nil
}

// OpenClass implements account.UserStore.
func (a *Accounts) OpenClass(ctx context.Context, tenant, class string) (open bool, err error) {
	err = askRow(ctx, a.db.of(tenant), isOpenClass, []any{tenant, class}, func(row pgx.Row) error { return row.Scan(&open) })
	return open, err
}

// takenName turns what a unique name refuses into a Conflict that says which.
func takenName(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "23505" {
		switch pg.ConstraintName {
		case "users_username_key_key":
			return fault.New(fault.Conflict, "somebody has this username already")
		case "users_email_key_key":
			return fault.New(fault.Conflict, "somebody has this e-mail address already")
		}
	}
	return err
}

// PasswordHistory implements account.UserStore.
func (a *Accounts) PasswordHistory(ctx context.Context, tenant, id string, n int) (hashes []string, err error) {
	err = a.db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, listHashes, tenant, id, n)
		if err != nil {
			return err
		}
		hashes, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return hashes, err
}

// SetPassword implements account.UserStore.
func (a *Accounts) SetPassword(ctx context.Context, c account.PasswordChange) (ended []string, err error) {
	err = a.db.asTenant(ctx, c.Tenant, func(ctx context.Context, tx pgx.Tx) error {
		if err := useUp(ctx, tx, c.Reset, "reset", c.At); err != nil {
			return err
		}
		done, err := tx.Exec(ctx, setPassword, c.Tenant, c.UserID, c.Old, c.New, c.At)
		if err != nil {
			return err
		}
		if done.RowsAffected() == 0 {
			return fault.New(fault.Conflict, "the password was changed meanwhile")
		}
		var q pgx.Batch
		if c.Old != "" {
			q.Queue(keepHash, c.Tenant, c.UserID, c.Old, c.At)
		}
		q.Queue(dropHash, c.Tenant, c.UserID, c.Keep-1)
		q.Queue(voidSignIns, c.Tenant, c.UserID, []string{"reset", "login"}, c.At)
		if err := tx.SendBatch(ctx, &q).Close(); err != nil {
			return err
		}
		ended, err = ids(tx.Query(ctx, endSessions, c.Tenant, c.UserID, c.But, c.Why, c.At))
		return err
	})
	return ended, err
}

// Rehash implements account.UserStore.
func (a *Accounts) Rehash(ctx context.Context, tenant, id, old, hash string) error {
	return a.exec(ctx, tenant, rehash, tenant, id, old, hash)
}

// CountFailure implements account.UserStore.
func (a *Accounts) CountFailure(ctx context.Context, tenant, id string, limit int, window time.Duration, at time.Time) (until *time.Time, locked bool, err error) {
	err = a.db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
		err := tx.QueryRow(ctx, countFailure, tenant, id, limit, window, at).Scan(&until)
		if errors.Is(err, pgx.ErrNoRows) { // it is locked
			return noUser(tx.QueryRow(ctx, lockedUntil, tenant, id).Scan(&until))
		}
		locked = err == nil && until != nil
		return err
	})
	return until, locked, err
}

// ClearFailures implements account.UserStore.
func (a *Accounts) ClearFailures(ctx context.Context, tenant, id string, at time.Time) (open bool, err error) {
	err = a.db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
		done, err := tx.Exec(ctx, clearFailures, tenant, id, at)
		open = done.RowsAffected() == 1
		return err
	})
	return open, err
}

// Unlock implements account.UserStore.
func (a *Accounts) Unlock(ctx context.Context, tenant, id string) error {
	return a.db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
		done, err := tx.Exec(ctx, unlockUser, tenant, id)
		if err == nil && done.RowsAffected() == 0 {
			return fault.New(fault.NotFound, "there is no user %q", id)
		}
		return err
	})
}

func (a *Accounts) exec(ctx context.Context, tenant, sql string, args ...any) error {
	return a.db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sql, args...)
		return err
	})
}
