package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	insertSession = `INSERT INTO sessions (id, tenant, user_id, created_at, last_seen_at, expires_at, auth_at, second_factor, ip, user_agent, refresh_hash, refresh_expires)
		SELECT $1, u.tenant, u.id, $4, $4, $5, $6, $7, $8, $9, $10, $11 FROM users u JOIN tenants t ON t.id = u.tenant AND t.state = 'active'
		WHERE u.tenant = $2 AND u.id = $3 AND u.state = 'active' AND u.version = $12`
	lockUser  = `SELECT FROM users WHERE tenant = $1 AND id = $2 FOR NO KEY UPDATE`
	endOldest = `UPDATE sessions SET revoked_at = $4, revoked_because = 'one session too many', successor = NULL WHERE id IN
		(SELECT id FROM sessions WHERE tenant = $1 AND user_id = $2 AND revoked_at IS NULL AND expires_at > $4 AND refresh_expires > $4 ORDER BY created_at DESC, id DESC OFFSET $3)
		RETURNING id`
	rotateSession = `UPDATE sessions SET refresh_hash = $3, refresh_expires = $6, previous_hash = refresh_hash, previous_client = $4, successor = $5, rotated_at = $7,
			last_seen_at = $7, ip = $8, user_agent = $9
		WHERE id = $1 AND refresh_hash = $2 AND revoked_at IS NULL AND refresh_expires > $7 AND expires_at > $7`
	readSession = `SELECT s.id, s.user_id, s.tenant, s.created_at, s.last_seen_at, s.expires_at, s.ip, s.user_agent, s.second_factor, s.auth_at, s.refresh_hash,
			s.refresh_expires, s.rotated_at, s.previous_hash, s.previous_client, s.successor, s.revoked_at, ` + userFields + `
		FROM sessions s JOIN users u ON u.id = s.user_id JOIN tenants t ON t.id = u.tenant AND t.state = 'active' WHERE s.id = $1`
	listSessions = `SELECT id, user_id, created_at, last_seen_at, expires_at, ip, user_agent, second_factor FROM sessions
		WHERE tenant = $1 AND user_id = $2 AND revoked_at IS NULL AND expires_at > $3 AND refresh_expires > $3 ORDER BY created_at DESC, id DESC LIMIT 100`
	endSession  = `UPDATE sessions SET revoked_at = $5, revoked_because = $4, successor = NULL WHERE tenant = $1 AND user_id = $2 AND id = $3 AND revoked_at IS NULL`
	endSessions = `UPDATE sessions SET revoked_at = $5, revoked_because = $4, successor = NULL WHERE tenant = $1 AND user_id = $2 AND id <> $3 AND revoked_at IS NULL
		RETURNING id`
	sweepSessions = `DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE coalesce(revoked_at, expires_at) < $1 LIMIT $2)`
	sweepTokens   = `DELETE FROM one_time_tokens WHERE hash IN (SELECT hash FROM one_time_tokens WHERE expires_at < $1 LIMIT $2)`
)

// StartSession implements account.SessionStore. Sessions of one user begin one after the other, so that the limit holds.
func (a *Accounts) StartSession(ctx context.Context, s account.StoredSession, version int64, limit int) (ended []string, err error) {
	err = a.db.asTenant(ctx, s.Tenant, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockUser, s.Tenant, s.UserID); err != nil {
			return err
		}
		done, err := tx.Exec(ctx, insertSession, s.ID, s.Tenant, s.UserID, s.CreatedAt, s.ExpiresAt, s.AuthAt, s.SecondFactor, s.IP, s.UserAgent, s.RefreshHash, s.RefreshExpires, version)
		if err != nil {
			return err
		}
		if done.RowsAffected() == 0 {
			return fault.New(fault.NotFound, "there is no active user %q of version %d", s.UserID, version)
		}
		ended, err = ids(tx.Query(ctx, endOldest, s.Tenant, s.UserID, limit, s.CreatedAt))
		return err
	})
	return ended, err
}

func ids(rows pgx.Rows, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// Rotate implements account.SessionStore.
func (a *Accounts) Rotate(ctx context.Context, r account.Rotation) (rotated bool, err error) {
	err = a.db.asPlatform(ctx, func(ctx context.Context, tx pgx.Tx) error {
		done, err := tx.Exec(ctx, rotateSession, r.SessionID, r.Old, r.New, r.Client, r.Successor, r.Expires, r.At, r.IP, r.UserAgent)
		rotated = done.RowsAffected() == 1
		return err
	})
	return rotated, err
}

// SessionOf implements account.SessionStore.
func (a *Accounts) SessionOf(ctx context.Context, id string) (s account.StoredSession, u account.User, err error) {
	err = a.db.asPlatform(ctx, func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, readSession, id).Scan(append([]any{
			&s.ID, &s.UserID, &s.Tenant, &s.CreatedAt, &s.LastSeenAt, &s.ExpiresAt, &s.IP, &s.UserAgent, &s.SecondFactor, &s.AuthAt, &s.RefreshHash,
			&s.RefreshExpires, &s.RotatedAt, &s.PreviousHash, &s.PreviousClient, &s.Successor, &s.RevokedAt,
		}, userTargets(&u)...)...)
	})
	if fault.Is(err, fault.NotFound) {
		err = fault.New(fault.NotFound, "there is no such session")
	}
	return s, u, err
}

// Sessions implements account.SessionStore.
func (a *Accounts) Sessions(ctx context.Context, tenant, userID string, now time.Time) (out []account.Session, err error) {
	err = a.db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, listSessions, tenant, userID, now)
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (s account.Session, err error) {
			err = row.Scan(&s.ID, &s.UserID, &s.CreatedAt, &s.LastSeenAt, &s.ExpiresAt, &s.IP, &s.UserAgent, &s.SecondFactor)
			return s, err
		})
		return err
	})
	return out, err
}

// EndSession implements account.SessionStore.
func (a *Accounts) EndSession(ctx context.Context, tenant, userID, id, why string, at time.Time) (ended bool, err error) {
	err = a.db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
		done, err := tx.Exec(ctx, endSession, tenant, userID, id, why, at)
		ended = done.RowsAffected() == 1
		return err
	})
	return ended, err
}

// EndSessions implements account.SessionStore.
func (a *Accounts) EndSessions(ctx context.Context, tenant, userID, but, why string, at time.Time) (ended []string, err error) {
	err = a.db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
		if but == "" {
			if _, err := tx.Exec(ctx, voidSignIns, tenant, userID, []string{"login"}, at); err != nil {
				return err
			}
		}
		ended, err = ids(tx.Query(ctx, endSessions, tenant, userID, but, why, at))
		return err
	})
	return ended, err
}

// Sweep implements account.SessionStore.
func (a *Accounts) Sweep(ctx context.Context, before time.Time, limit int) (n int, err error) {
	err = a.db.asPlatform(ctx, func(ctx context.Context, tx pgx.Tx) error {
		sessions, err := tx.Exec(ctx, sweepSessions, before, limit)
		if err != nil {
			return err
		}
		tokens, err := tx.Exec(ctx, sweepTokens, before, limit)
		n = int(max(sessions.RowsAffected(), tokens.RowsAffected()))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("sweep sessions: %w", err)
	}
	return n, nil
}
