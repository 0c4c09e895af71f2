package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/privacy"
)

var (
	_ privacy.Records = (*DB)(nil)
	_ privacy.Backlog = (*DB)(nil)
)

const erasureColumns = `id, tenant, user_id, requested_by, requested_at, state, erased_tasks, coalesce(error, ''), finished_at`

func scanErasure(row pgx.Row) (e privacy.Erasure, err error) {
	err = row.Scan(&e.ID, &e.Tenant, &e.UserID, &e.RequestedBy, &e.RequestedAt, &e.State, &e.ErasedTasks, &e.Error, &e.FinishedAt)
	return e, err
}

const (
	readUserRole = `SELECT role, state FROM users WHERE tenant = $1 AND id = $2`
	otherAdmins  = `SELECT count(*) FROM users WHERE tenant = $1 AND id <> $2 AND state = 'active' AND role IN ('admin', 'platform_admin')`
	emptyAccount = `UPDATE users SET username = 'erased-' || id, username_key = 'erased-' || id, email = NULL, email_key = NULL, name = 'Erased user', state = 'erased',
		version = version + 1, password_hash = NULL, must_change = false, totp_secret = NULL, totp_confirmed_at = NULL, locked_until = NULL, updated_at = now()
		WHERE tenant = $1 AND id = $2`
	insertErasure = `INSERT INTO erasures (id, tenant, user_id, requested_by, requested_at, updated_at) VALUES ($1, $2, $3, $4, now(), now()) RETURNING ` + erasureColumns
	readErasure   = `SELECT ` + erasureColumns + ` FROM erasures WHERE tenant = $1 AND user_id = $2 ORDER BY requested_at DESC LIMIT 1`
)

// withdrawInvitations deletes invitations to the address of who is erased. It has to come before the account is emptied.
const withdrawInvitations = `DELETE FROM one_time_tokens o USING users u WHERE u.tenant = $1 AND u.id = $2 AND o.tenant = u.tenant AND o.purpose = 'invite'
	AND lower(o.data->>'email') = u.email_key`

// emptied is what goes with the account. That its sessions have ended is published by their ids: of those something stays until the end.
var emptied = []string{
	`DELETE FROM password_history WHERE tenant = $1 AND user_id = $2`,
	`UPDATE sessions SET ip = '', user_agent = '', successor = NULL WHERE tenant = $1 AND user_id = $2`,
	`DELETE FROM backup_codes WHERE tenant = $1 AND user_id = $2`,
	`DELETE FROM passkeys WHERE tenant = $1 AND user_id = $2`,
	`DELETE FROM one_time_tokens WHERE user_id = $2 AND tenant = $1`,
	leaveClasses,
	leaveGuardians,
	`DELETE FROM shares WHERE tenant = $1 AND shared_by = $2`,
	`DELETE FROM api_keys WHERE tenant = $1 AND user_id = $2`,
	forgetContext,
	`DELETE FROM chat_conversations WHERE tenant = $1 AND user_id = $2`, // and with them their messages
}

// RequestErasure implements privacy.Records.
func (db *DB) RequestErasure(ctx context.Context, tenant, userID, by string) (e privacy.Erasure, err error) {
	err = db.asPlatform(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, holdOffices, tenant); err != nil { // two admins who erase each other take turns
			return err
		}
		var role auth.Role
		var state string
		if err := tx.QueryRow(ctx, readUserRole, tenant, userID).Scan(&role, &state); err != nil {
			return notThere(err, userID)
		}
		if state == "erased" {
			e, err = scanErasure(tx.QueryRow(ctx, readErasure, tenant, userID))
			return err
		}
		if err := notTheLast(ctx, tx, role, tenant, userID); err != nil {
			return err
		}
		for _, sql := range append([]string{withdrawInvitations, emptyAccount}, emptied...) {
			if _, err := tx.Exec(ctx, sql, tenant, userID); err != nil {
				return err
			}
		}
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		e, err = scanErasure(tx.QueryRow(ctx, insertErasure, id.String(), tenant, userID, by))
		return err
	})
	return e, err
}

// notTheLast returns a Conflict for the last admin of a tenant, and for the last platform admin.
func notTheLast(ctx context.Context, tx pgx.Tx, role auth.Role, tenant, userID string) error {
	var admins, platformAdmins int
	if err := tx.QueryRow(ctx, otherAdmins, tenant, userID).Scan(&admins); err != nil {
		return err
	}
	if err := tx.QueryRow(ctx, otherPlatformAdmins, userID).Scan(&platformAdmins); err != nil {
		return err
	}
	if role == auth.PlatformAdmin && platformAdmins == 0 || (role == auth.Admin || role == auth.PlatformAdmin) && admins == 0 {
		return fault.New(fault.Conflict, "user %s is the last admin; make somebody else one first", userID)
	}
	return nil
}

func notThere(err error, userID string) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return fault.New(fault.NotFound, "there is no user %q", userID)
	}
	return err
}

func (db *DB) userState(ctx context.Context, tenant, userID string) (state string, err error) {
	err = db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
		var role string
		return notThere(tx.QueryRow(ctx, readUserRole, tenant, userID).Scan(&role, &state), userID)
	})
	return state, err
}

// Erasure implements privacy.Records.
func (db *DB) Erasure(ctx context.Context, tenant, userID string) (e privacy.Erasure, err error) {
	err = db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
		e, err = scanErasure(tx.QueryRow(ctx, readErasure, tenant, userID))
		if errors.Is(err, pgx.ErrNoRows) {
			return fault.New(fault.NotFound, "nobody asked for the erasure of user %q", userID)
		}
		return err
	})
	return e, err
}

const (
	claimErasure = `UPDATE erasures SET state = 'running', updated_at = now() WHERE id = (
		SELECT id FROM erasures WHERE state = 'waiting' AND (error IS NULL AND updated_at = requested_at OR updated_at < now() - interval '5 seconds')
			OR state = 'running' AND updated_at < now() - $1::interval
		ORDER BY requested_at LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING ` + erasureColumns
	noteErasure = `UPDATE erasures SET state = $2, erased_tasks = $3, error = nullif($4, ''), updated_at = now(),
		finished_at = CASE WHEN $2 = 'done' THEN now() END WHERE id = $1`
	forgetSessions = `DELETE FROM sessions s USING erasures e WHERE e.id = $1 AND e.state = 'done' AND s.tenant = e.tenant AND s.user_id = e.user_id`
)

// ClaimErasure implements privacy.Backlog. One that was looked at in the last seconds is left alone.
func (db *DB) ClaimErasure(ctx context.Context, abandoned time.Duration) (e privacy.Erasure, ok bool, err error) {
	err = db.asPlatform(ctx, func(ctx context.Context, tx pgx.Tx) error {
		e, err = scanErasure(tx.QueryRow(ctx, claimErasure, abandoned))
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		ok = err == nil
		return err
	})
	return e, ok, err
}

// NoteErasure implements privacy.Backlog.
func (db *DB) NoteErasure(ctx context.Context, e privacy.Erasure) error {
	return db.asPlatform(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, noteErasure, e.ID, e.State, e.ErasedTasks, e.Error); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, forgetSessions, e.ID)
		return err
	})
}

// CaughtUp implements privacy.Backlog.
func (db *DB) CaughtUp(ctx context.Context) (bool, error) {
	last, _, known := db.head.last(ctx)
	seq, _, err := db.Position(ctx)
	return err == nil && known && seq >= last, err
}

const (
	finishedStates = `'completed', 'failed', 'cancelled'`
	tasksOfUser    = `SELECT id, state NOT IN (` + finishedStates + `) FROM tasks WHERE tenant = $1 AND user_id = $2 LIMIT $3`
	// A dead letter on which nobody has decided is not finished, however old it is.
	tasksBefore    = `SELECT id, false FROM tasks WHERE tenant = $1 AND created_at < $2 AND state IN (` + finishedStates + `) AND NOT dead_letter ORDER BY created_at LIMIT $3`
	deleteTasks    = `DELETE FROM tasks WHERE tenant = $1 AND id = ANY ($2)`
	deleteResults  = `DELETE FROM results WHERE tenant = $1 AND task = ANY ($2)`
	deleteEvents   = `DELETE FROM task_events WHERE tenant = $1 AND task = ANY ($2)`
	deleteCalls    = `DELETE FROM callback_deliveries WHERE tenant = $1 AND task = ANY ($2)`
	deleteShares   = `DELETE FROM shares WHERE tenant = $1 AND task = ANY ($2)`
	readRetentions = `SELECT id, coalesce((settings->'retention_days'->>'tasks')::int, 0), coalesce((settings->'retention_days'->>'audit')::int, 0),
		coalesce((settings->'retention_days'->>'access')::int, 0) FROM tenants WHERE settings ? 'retention_days' ORDER BY id`
	deleteTurns  = `DELETE FROM chat_messages WHERE (tenant, id) IN (SELECT tenant, id FROM chat_messages WHERE tenant = $1 AND created_at < $2 AND state <> 'open' LIMIT $3)`
	deleteAccess = `DELETE FROM access_log WHERE (tenant, id) IN (SELECT tenant, id FROM access_log WHERE tenant = $1 AND at < $2 ORDER BY at LIMIT $3)`
)

// TasksOf implements privacy.Backlog.
func (db *DB) TasksOf(ctx context.Context, tenant, userID string, limit int) ([]privacy.Kept, error) {
	return db.kept(ctx, tasksOfUser, tenant, userID, limit)
}

// TasksBefore implements privacy.Backlog.
func (db *DB) TasksBefore(ctx context.Context, tenant string, before time.Time, limit int) ([]privacy.Kept, error) {
	return db.kept(ctx, tasksBefore, tenant, before, limit)
}

func (db *DB) kept(ctx context.Context, sql, tenant string, args ...any) (out []privacy.Kept, err error) {
	err = db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, sql, append([]any{tenant}, args...)...)
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (k privacy.Kept, err error) {
			err = row.Scan(&k.ID, &k.Open)
			return k, err
		})
		return err
	})
	return out, err
}

// DeleteTasks implements privacy.Backlog.
func (db *DB) DeleteTasks(ctx context.Context, tenant string, ids []string) error {
	err := db.asPlatform(ctx, func(ctx context.Context, tx pgx.Tx) error {
		for _, sql := range []string{deleteCalls, deleteShares, deleteEvents, deleteResults, deleteTasks} {
			if _, err := tx.Exec(ctx, sql, tenant, ids); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("delete %d tasks: %w", len(ids), err)
	}
	return nil
}

// Retentions implements privacy.Backlog.
func (db *DB) Retentions(ctx context.Context) (out []privacy.Retention, err error) {
	err = db.asPlatform(ctx, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, readRetentions)
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (r privacy.Retention, err error) {
			err = row.Scan(&r.Tenant, &r.Tasks, &r.Audit, &r.Access)
			return r, err
		})
		return err
	})
	return out, err
}

// DeleteTurns implements privacy.Backlog.
func (db *DB) DeleteTurns(ctx context.Context, tenant string, before time.Time, limit int) (n int, err error) {
	err = db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, deleteTurns, tenant, before, limit)
		n = int(tag.RowsAffected())
		return err
	})
	return n, err
}

// DeleteAccess implements privacy.Backlog.
func (db *DB) DeleteAccess(ctx context.Context, tenant string, before time.Time, limit int) (n int, err error) {
	err = db.asPlatform(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, allowPurge, tenant); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, deleteAccess, tenant, before, limit)
		n = int(tag.RowsAffected())
		return err
	})
	return n, err
}
