package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/fault"
)

const insertPasskey = `INSERT INTO passkeys (id, tenant, user_id, credential_id, credential, name, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`

// AddPasskey implements account.SecondFactorStore.
func (s *SecondFactors) AddPasskey(ctx context.Context, key account.StoredPasskey, limit int) error {
	return s.change(ctx, key.Tenant, key.UserID, func(ctx context.Context, tx pgx.Tx, _ bool, passkeys int) error {
		if passkeys >= limit {
			return fault.New(fault.Conflict, "there are %d passkeys already: remove one first", passkeys)
		}
		_, err := tx.Exec(ctx, insertPasskey, key.ID, key.Tenant, key.UserID, key.CredentialID, key.Credential, key.Name, key.CreatedAt)
		if isDuplicate(err) {
			return fault.New(fault.Conflict, "this passkey is registered already")
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, factorsChanged, key.Tenant, key.UserID)
		return err
	})
}

const listPasskeys = `SELECT id, credential_id, credential, name, created_at, last_used_at FROM passkeys
WHERE tenant = $1 AND user_id = $2 ORDER BY created_at, id LIMIT 100`

// Passkeys implements account.SecondFactorStore.
func (s *SecondFactors) Passkeys(ctx context.Context, tenant, userID string) ([]account.StoredPasskey, error) {
	var keys []account.StoredPasskey
	err := s.db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, listPasskeys, tenant, userID)
		if err != nil {
			return err
		}
		keys, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (account.StoredPasskey, error) {
			k := account.StoredPasskey{UserID: userID, Tenant: tenant}
			err := row.Scan(&k.ID, &k.CredentialID, &k.Credential, &k.Name, &k.CreatedAt, &k.LastUsedAt)
			k.CreatedAt = k.CreatedAt.UTC()
			if k.LastUsedAt != nil {
				*k.LastUsedAt = k.LastUsedAt.UTC()
			}
			return k, err
		})
		return err
	})
	return keys, err
}

const passkeyOwner = `SELECT p.tenant, p.user_id FROM passkeys p JOIN users u ON u.id = p.user_id AND u.tenant = p.tenant
WHERE p.credential_id = $1 AND u.state = 'active'`

// PasskeyOwner implements account.SecondFactorStore.
func (s *SecondFactors) PasskeyOwner(ctx context.Context, credentialID []byte) (tenant, userID string, err error) {
	err = s.db.asPlatform(ctx, func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, passkeyOwner, credentialID).Scan(&tenant, &userID)
	})
	return tenant, userID, err
}

// usePasskey is why a copied authenticator is found out: the count that both report goes up once. Passkeys that wander between devices do not
// count and stay at 0.
const usePasskey = `UPDATE passkeys SET credential = $4, last_used_at = $6
WHERE tenant = $1 AND user_id = $2 AND id = $3 AND
	coalesce((credential -> 'authenticator' ->> 'signCount')::bigint, 0) <= greatest($5::bigint - 1, 0)`

// UsePasskey implements account.SecondFactorStore.
func (s *SecondFactors) UsePasskey(ctx context.Context, key account.StoredPasskey, signCount uint32, at time.Time) (bool, error) {
	return s.once(ctx, key.Tenant, usePasskey, key.Tenant, key.UserID, key.ID, key.Credential, int64(signCount), at)
}

const deletePasskey = `DELETE FROM passkeys WHERE tenant = $1 AND user_id = $2 AND id = $3`

// DeletePasskey implements account.SecondFactorStore.
func (s *SecondFactors) DeletePasskey(ctx context.Context, tenant, userID, id string) error {
	return s.change(ctx, tenant, userID, func(ctx context.Context, tx pgx.Tx, totp bool, passkeys int) error {
		done, err := tx.Exec(ctx, deletePasskey, tenant, userID, id)
		if err != nil {
			return err
		}
		if done.RowsAffected() == 0 {
			return fault.New(fault.NotFound, "there is no such passkey")
		}
		return settle(ctx, tx, tenant, userID, totp || passkeys > 1)
	})
}
