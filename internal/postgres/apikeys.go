package postgres

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/apikey"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// APIKeys keeps API keys. Every method is behind the second lock but Find, which is asked before the tenant is known.
type APIKeys struct{ db *DB }

var (
	_ apikey.Store  = (*APIKeys)(nil)
	_ apikey.Finder = (*APIKeys)(nil)
)

// NewAPIKeys returns the API keys in db.
func NewAPIKeys(db *DB) *APIKeys { return &APIKeys{db} }

const readKeyOwner = `SELECT u.name, u.role, u.state = 'active' AND t.state = 'active'
FROM users u JOIN tenants t ON t.id = u.tenant WHERE u.tenant = $1 AND u.id = $2 AND u.state <> 'erased'`

// Owner implements apikey.Store.
func (s *APIKeys) Owner(ctx context.Context, tenant, userID string) (apikey.Owner, error) {
	o := apikey.Owner{UserID: userID, Tenant: tenant}
	err := askRow(ctx, s.db.of(tenant), readKeyOwner, []any{tenant, indexed(userID)}, func(row pgx.Row) error {
		return row.Scan(&o.Name, &o.Role, &o.Active)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return apikey.Owner{}, fault.New(fault.NotFound, "there is no user %.64q", userID)
	}
	return o, err
}

// lockKeyOwner makes who gives a user keys wait for each other. The keys are counted after it: a statement that waited for a lock
// goes on with its old view of other tables.
const (
	lockKeyOwner = `SELECT 1 FROM users WHERE tenant = $1 AND id = $2 FOR NO KEY UPDATE`
	countKeys    = `SELECT count(*) FROM api_keys WHERE tenant = $1 AND user_id = $2 AND revoked_at IS NULL`
	insertKey    = `INSERT INTO api_keys (id, tenant, user_id, name, hash, scopes, ips, origins, per_minute, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`
)

// Create implements apikey.Store.
func (s *APIKeys) Create(ctx context.Context, k apikey.Key, hash []byte, atMost int) error {
	return s.db.asTenant(ctx, k.Tenant, func(ctx context.Context, tx pgx.Tx) error {
		var one, live int
		err := tx.QueryRow(ctx, lockKeyOwner, k.Tenant, k.UserID).Scan(&one)
		if errors.Is(err, pgx.ErrNoRows) {
			return fault.New(fault.NotFound, "there is no user %.64q", k.UserID)
		}
		if err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, countKeys, k.Tenant, k.UserID).Scan(&live); err != nil {
			return err
		}
		if live >= atMost {
			return fault.New(fault.Conflict, "the user has %d API keys already: revoke one first", live)
		}
		_, err = tx.Exec(ctx, insertKey, k.ID, k.Tenant, k.UserID, k.Name, hash, texts(k.Scopes), texts(k.IPs), texts(k.Origins), k.PerMinute, k.CreatedAt, k.ExpiresAt)
		return err
	})
}

// texts returns what is stored of a list: an empty one where there is none.
func texts[T ~string](values []T) []string {
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = string(v)
	}
	return all
}

const keyColumns = `k.id, k.tenant, k.user_id, k.name, k.scopes, k.ips, k.origins, k.per_minute, k.created_at, k.rotated_at, k.expires_at,
	k.last_used_at, k.revoked_at, k.previous_until`

func keyFields(k *apikey.Key) []any {
	return []any{
		&k.ID, &k.Tenant, &k.UserID, &k.Name, &k.Scopes, &k.IPs, &k.Origins, &k.PerMinute, &k.CreatedAt, &k.RotatedAt, &k.ExpiresAt,
		&k.LastUsedAt, &k.RevokedAt, &k.PreviousUntil,
	}
}

func scanKey(row pgx.CollectableRow) (k apikey.Key, err error) {
	err = row.Scan(keyFields(&k)...)
	return inUTC(k), err
}

func inUTC(k apikey.Key) apikey.Key {
	k.CreatedAt = k.CreatedAt.UTC()
	for _, at := range []*time.Time{k.RotatedAt, k.ExpiresAt, k.LastUsedAt, k.RevokedAt, k.PreviousUntil} {
		if at != nil {
			*at = at.UTC()
		}
	}
	return k
}

const listKeys = `SELECT ` + keyColumns + ` FROM api_keys k
WHERE k.tenant = $1 AND ($2 = '' OR k.user_id = $2) AND (k.created_at, k.id) < ($3, $4)
ORDER BY k.created_at DESC, k.id DESC LIMIT $5`

// keyList is the list that a cursor belongs to.
type keyList struct{ List, Tenant, UserID string }

// List implements apikey.Store.
func (s *APIKeys) List(ctx context.Context, tenant, userID, after string, limit int) (keys []apikey.Key, next string, err error) {
	which := keyList{"api keys", tenant, userID}
	at, id := time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), "" // behind every key
	if after != "" {
		c, err := decodeCursor(after, which)
		if err != nil {
			return nil, "", err
		}
		raw, err := hex.DecodeString(c.id)
		if err != nil {
			return nil, "", badCursor("is none that a list gave out")
		}
		at, id = c.time(), string(raw)
	}
	keys, err = askRows(ctx, s.db.of(tenant), listKeys, []any{tenant, indexed(userID), at, indexed(id), limit + 1}, scanKey)
	if err != nil {
		return nil, "", fmt.Errorf("list API keys: %w", err)
	}
	if len(keys) > limit {
		keys = keys[:limit]
		last := keys[limit-1]
		next = timeCursor(last.CreatedAt, hex.EncodeToString([]byte(last.ID))).encode(which) // a cursor takes no capital letters
	}
	return keys, next, nil
}

const (
	selectRecord = `SELECT ` + keyColumns + `, k.hash, k.previous_hash, u.name, u.role, u.state = 'active' AND t.state = 'active'
FROM api_keys k JOIN users u ON u.id = k.user_id AND u.tenant = k.tenant JOIN tenants t ON t.id = k.tenant WHERE `
	getKey  = selectRecord + `k.tenant = $1 AND k.id = $2`
	findKey = selectRecord + `k.id = $1`
)

// Get implements apikey.Store.
func (s *APIKeys) Get(ctx context.Context, tenant, id string) (apikey.Record, error) {
	return readRecord(ctx, s.db.of(tenant), getKey, id, tenant, indexed(id))
}

// Find implements apikey.Store.
func (s *APIKeys) Find(ctx context.Context, id string) (apikey.Record, error) {
	return readRecord(ctx, s.db.ofAll, findKey, id, indexed(id))
}

func readRecord(ctx context.Context, ask asker, sql, id string, args ...any) (r apikey.Record, err error) {
	err = askRow(ctx, ask, sql, args, func(row pgx.Row) error {
		return row.Scan(append(keyFields(&r.Key), &r.Hash, &r.Previous, &r.Owner.Name, &r.Owner.Role, &r.Owner.Active)...)
	})
	if err != nil {
		return apikey.Record{}, noKey(id, err)
	}
	r.Key = inUTC(r.Key)
	r.Owner.UserID, r.Owner.Tenant = r.Key.UserID, r.Key.Tenant
	return r, nil
}

func noKey(id string, err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return fault.New(fault.NotFound, "there is no API key %.64q", id)
	}
	return err
}

const rotateKey = `UPDATE api_keys k SET hash = $4, rotated_at = $5, previous_until = $6, previous_hash = CASE WHEN $6::timestamptz IS NULL THEN NULL ELSE k.hash END
WHERE k.tenant = $1 AND k.id = $2 AND k.hash = $3 AND k.revoked_at IS NULL RETURNING ` + keyColumns

// Rotate implements apikey.Store.
func (s *APIKeys) Rotate(ctx context.Context, tenant, id string, r apikey.Rotation) (k apikey.Key, err error) {
	err = askRow(ctx, s.db.of(tenant), rotateKey, []any{tenant, indexed(id), r.Replaces, r.Hash, r.At, r.Until}, func(row pgx.Row) error {
		return row.Scan(keyFields(&k)...)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		if _, err := s.Get(ctx, tenant, id); err != nil {
			return apikey.Key{}, err
		}
		return apikey.Key{}, fault.New(fault.Conflict, "the API key was rotated or revoked meanwhile")
	}
	return inUTC(k), err
}

// revokeKey answers for a key that was revoked before as well.
const revokeKey = `WITH was AS (SELECT id, revoked_at FROM api_keys WHERE tenant = $1 AND id = $2 FOR UPDATE)
UPDATE api_keys k SET revoked_at = coalesce(was.revoked_at, $3) FROM was
WHERE k.tenant = $1 AND k.id = was.id RETURNING was.revoked_at IS NULL`

// Revoke implements apikey.Store.
func (s *APIKeys) Revoke(ctx context.Context, tenant, id string, at time.Time) (changed bool, err error) {
	err = askRow(ctx, s.db.of(tenant), revokeKey, []any{tenant, indexed(id), at}, func(row pgx.Row) error { return row.Scan(&changed) })
	return changed, noKey(id, err)
}

const useKey = `UPDATE api_keys SET last_used_at = $3
WHERE tenant = $1 AND id = $2 AND (last_used_at IS NULL OR last_used_at <= $3::timestamptz - interval '1 minute')`

// Used implements apikey.Store.
func (s *APIKeys) Used(ctx context.Context, tenant, id string, at time.Time) error {
	var q pgx.Batch
	q.Queue(useKey, tenant, indexed(id), microsecond(at))
	return s.db.of(tenant)(ctx, &q)
}
