package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	insertToken = `INSERT INTO one_time_tokens (hash, purpose, tenant, user_id, data, created_at, expires_at) VALUES ($1, $2, $3, nullif($4, ''), $5::text::jsonb, $6, $7)`
	voidTokens  = `UPDATE one_time_tokens SET used_at = $3 WHERE user_id = $1 AND purpose = $2 AND used_at IS NULL`
	tokenFields = `hash, purpose, tenant, coalesce(user_id, ''), data::text, tries, created_at, expires_at`
	voidSignIns = `UPDATE one_time_tokens SET used_at = $4 WHERE tenant = $1 AND user_id = $2 AND purpose = ANY($3) AND used_at IS NULL`
	spendToken  = `UPDATE one_time_tokens SET used_at = $3, data = '{}' WHERE hash = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > $3`
	useToken    = `UPDATE one_time_tokens SET used_at = $3 WHERE hash = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > $3 RETURNING ` + tokenFields
	tryToken    = `UPDATE one_time_tokens SET tries = tries + 1 WHERE hash = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > $3 AND tries < $4 RETURNING ` + tokenFields
)

// PutToken implements account.TokenStore.
func (a *Accounts) PutToken(ctx context.Context, t account.OneTime, replace bool) error {
	return a.db.asPlatform(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if replace { // whoever else replaces waits for the user, and voids this one then
			if _, err := tx.Exec(ctx, lockUser, t.Tenant, t.UserID); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, voidTokens, t.UserID, t.Purpose, t.CreatedAt); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, insertToken, t.Hash, t.Purpose, t.Tenant, t.UserID, string(t.Data), t.CreatedAt, t.ExpiresAt)
		return err
	})
}

// UseToken implements account.TokenStore.
func (a *Accounts) UseToken(ctx context.Context, hash []byte, purpose string, at time.Time) (account.OneTime, error) {
	return a.token(ctx, useToken, hash, purpose, at)
}

// TryToken implements account.TokenStore.
func (a *Accounts) TryToken(ctx context.Context, hash []byte, purpose string, limit int, at time.Time) (account.OneTime, error) {
	return a.token(ctx, tryToken, hash, purpose, at, limit)
}

func (a *Accounts) token(ctx context.Context, sql string, args ...any) (t account.OneTime, err error) {
	err = a.db.asPlatform(ctx, func(ctx context.Context, tx pgx.Tx) error {
		var data string
		err := tx.QueryRow(ctx, sql, args...).Scan(&t.Hash, &t.Purpose, &t.Tenant, &t.UserID, &data, &t.Tries, &t.CreatedAt, &t.ExpiresAt)
		t.Data = []byte(data)
		return err
	})
	if fault.Is(err, fault.NotFound) {
		err = noToken()
	}
	return t, err
}

func noToken() error { return fault.New(fault.NotFound, "it has expired, or was used, or never was") }
