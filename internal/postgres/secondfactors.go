package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// SecondFactors keeps what users prove who they are with beside their password. Each method is one transaction behind the second lock,
// but PasskeyOwner, which is asked before the tenant is known. Changes that depend on what else a user has lock the user's row first.
type SecondFactors struct{ db *DB }

var _ account.SecondFactorStore = (*SecondFactors)(nil)

// NewSecondFactors returns the second factors in db.
func NewSecondFactors(db *DB) *SecondFactors { return &SecondFactors{db} }

const readFactors = `SELECT u.username, u.name, coalesce(u.password_hash, ''), u.totp_secret, u.totp_confirmed_at IS NOT NULL, u.totp_last_step, u.locked_until,
	(SELECT count(*) FROM backup_codes b WHERE b.tenant = u.tenant AND b.user_id = u.id AND b.used_at IS NULL),
	(SELECT count(*) FROM passkeys p WHERE p.tenant = u.tenant AND p.user_id = u.id)
FROM users u WHERE u.tenant = $1 AND u.id = $2 AND u.state = 'active'`

// Factors implements account.SecondFactorStore.
func (s *SecondFactors) Factors(ctx context.Context, tenant, userID string) (account.Factors, error) {
	f := account.Factors{UserID: userID, Tenant: tenant}
	err := s.db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, readFactors, tenant, userID).Scan(
			&f.Username, &f.Name, &f.PasswordHash, &f.TOTPSecret, &f.TOTPConfirmed, &f.TOTPLastStep, &f.LockedUntil, &f.BackupCodes, &f.Passkeys)
	})
	return f, noUser(err)
}

// lockFactors makes who changes a user's factors wait for each other. What depends on other tables is asked after it: a statement
// that waited for a lock goes on with its old view of those.
const lockFactors = `SELECT totp_confirmed_at IS NOT NULL FROM users WHERE tenant = $1 AND id = $2 AND state = 'active' FOR UPDATE`

const countPasskeys = `SELECT count(*) FROM passkeys WHERE tenant = $1 AND user_id = $2`

// factorsChanged is for what a client sees of it.
const factorsChanged = `UPDATE users SET version = version + 1, updated_at = greatest(updated_at, now()) WHERE tenant = $1 AND id = $2`

// change runs fn while nobody else changes the user's factors. totp is whether a TOTP secret is in force.
func (s *SecondFactors) change(ctx context.Context, tenant, userID string, fn func(ctx context.Context, tx pgx.Tx, totp bool, passkeys int) error) error {
	return s.db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
		var totp bool
		if err := tx.QueryRow(ctx, lockFactors, tenant, userID).Scan(&totp); err != nil {
			return noUser(classify(err))
		}
		var passkeys int
		if err := tx.QueryRow(ctx, countPasskeys, tenant, userID).Scan(&passkeys); err != nil {
			return err
		}
		return fn(ctx, tx, totp, passkeys)
	})
}

const putTOTP = `UPDATE users SET totp_secret = $3, totp_confirmed_at = NULL, totp_last_step = 0 WHERE tenant = $1 AND id = $2`

// PutTOTP implements account.SecondFactorStore.
func (s *SecondFactors) PutTOTP(ctx context.Context, tenant, userID string, sealed []byte) error {
	return s.change(ctx, tenant, userID, func(ctx context.Context, tx pgx.Tx, totp bool, _ int) error {
		if totp {
			return fault.New(fault.Conflict, "an authenticator app is set up already: remove it first")
		}
		_, err := tx.Exec(ctx, putTOTP, tenant, userID, sealed)
		return err
	})
}

const confirmTOTP = `UPDATE users SET totp_confirmed_at = $5, totp_last_step = $4
WHERE tenant = $1 AND id = $2 AND totp_secret = $3 AND totp_confirmed_at IS NULL`

// ConfirmTOTP implements account.SecondFactorStore.
func (s *SecondFactors) ConfirmTOTP(ctx context.Context, tenant, userID string, sealed []byte, step int64, codes [][]byte, at time.Time) error {
	return s.change(ctx, tenant, userID, func(ctx context.Context, tx pgx.Tx, _ bool, _ int) error {
		done, err := tx.Exec(ctx, confirmTOTP, tenant, userID, sealed, step, at)
		if err != nil {
			return err
		}
		if done.RowsAffected() == 0 {
			return fault.New(fault.Conflict, "this set-up of an authenticator app is not open any more: begin again")
		}
		if err := replaceCodes(ctx, tx, tenant, userID, codes); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, factorsChanged, tenant, userID)
		return err
	})
}

// useTOTP is why no code works twice: of those who come with one time step, one finds it above the last.
const useTOTP = `UPDATE users SET totp_last_step = $4
WHERE tenant = $1 AND id = $2 AND state = 'active' AND totp_secret = $3 AND totp_confirmed_at IS NOT NULL AND totp_last_step < $4`

// UseTOTP implements account.SecondFactorStore.
func (s *SecondFactors) UseTOTP(ctx context.Context, tenant, userID string, sealed []byte, step int64) (bool, error) {
	return s.once(ctx, tenant, useTOTP, tenant, userID, sealed, step)
}

const dropTOTP = `UPDATE users SET totp_secret = NULL, totp_confirmed_at = NULL, totp_last_step = 0 WHERE tenant = $1 AND id = $2`

const dropBackupCodes = `DELETE FROM backup_codes WHERE tenant = $1 AND user_id = $2`

// DropTOTP implements account.SecondFactorStore.
func (s *SecondFactors) DropTOTP(ctx context.Context, tenant, userID string) (bool, error) {
	var had bool
	err := s.change(ctx, tenant, userID, func(ctx context.Context, tx pgx.Tx, totp bool, passkeys int) error {
		had = totp
		if _, err := tx.Exec(ctx, dropTOTP, tenant, userID); err != nil || !totp {
			return err
		}
		return settle(ctx, tx, tenant, userID, passkeys > 0)
	})
	return had && err == nil, err
}

// settle ends the removal of a factor: backup codes stand in for a second factor and go with the last.
func settle(ctx context.Context, tx pgx.Tx, tenant, userID string, left bool) error {
	if !left {
		if _, err := tx.Exec(ctx, dropBackupCodes, tenant, userID); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, factorsChanged, tenant, userID)
	return err
}

const insertBackupCodes = `INSERT INTO backup_codes (tenant, user_id, hash) SELECT $1, $2, unnest($3::bytea[])`

func replaceCodes(ctx context.Context, tx pgx.Tx, tenant, userID string, codes [][]byte) error {
	if _, err := tx.Exec(ctx, dropBackupCodes, tenant, userID); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, insertBackupCodes, tenant, userID, codes)
	return err
}

// ReplaceBackupCodes implements account.SecondFactorStore.
func (s *SecondFactors) ReplaceBackupCodes(ctx context.Context, tenant, userID string, codes [][]byte) error {
	return s.change(ctx, tenant, userID, func(ctx context.Context, tx pgx.Tx, totp bool, passkeys int) error {
		if !totp && passkeys == 0 {
			return fault.New(fault.Conflict, "there is no second factor for which backup codes could stand in")
		}
		return replaceCodes(ctx, tx, tenant, userID, codes)
	})
}

const listBackupCodes = `SELECT hash FROM backup_codes WHERE tenant = $1 AND user_id = $2 AND used_at IS NULL LIMIT 100`

// BackupCodes implements account.SecondFactorStore.
func (s *SecondFactors) BackupCodes(ctx context.Context, tenant, userID string) ([][]byte, error) {
	var codes [][]byte
	err := s.db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, listBackupCodes, tenant, userID)
		if err != nil {
			return err
		}
		codes, err = pgx.CollectRows(rows, pgx.RowTo[[]byte])
		return err
	})
	return codes, err
}

const useBackupCode = `UPDATE backup_codes SET used_at = $4 WHERE tenant = $1 AND user_id = $2 AND hash = $3 AND used_at IS NULL`

// UseBackupCode implements account.SecondFactorStore.
func (s *SecondFactors) UseBackupCode(ctx context.Context, tenant, userID string, code []byte, at time.Time) (bool, error) {
	return s.once(ctx, tenant, useBackupCode, tenant, userID, code, at)
}

// once runs an UPDATE that takes something for one caller, and reports whether this was the one.
func (s *SecondFactors) once(ctx context.Context, tenant, sql string, args ...any) (bool, error) {
	var took bool
	err := s.db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
		done, err := tx.Exec(ctx, sql, args...)
		took = done.RowsAffected() == 1
		return err
	})
	return took && err == nil, err
}

const proveSession = `UPDATE sessions s SET auth_at = $4, second_factor = $5 FROM users u
WHERE s.tenant = $1 AND s.user_id = $2 AND s.id = $3 AND s.revoked_at IS NULL AND s.expires_at > $4
	AND u.tenant = s.tenant AND u.id = s.user_id AND u.state = 'active' AND (u.locked_until IS NULL OR u.locked_until <= $4)`

// ProveSession implements account.SecondFactorStore.
func (s *SecondFactors) ProveSession(ctx context.Context, tenant, userID, sessionID string, at time.Time, secondFactor bool) (bool, error) {
	return s.once(ctx, tenant, proveSession, tenant, userID, sessionID, at, secondFactor)
}

// noUser says what is missing in the words of who asked for a user.
func noUser(err error) error {
	if fault.Is(err, fault.NotFound) {
		return fault.New(fault.NotFound, "there is no such user: %w", err)
	}
	return err
}
