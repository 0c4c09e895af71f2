package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/auth"
)

const (
	enlistTenant = `INSERT INTO tenants (id, name, created_at, updated_at) VALUES ($1, $1, now(), now()) ON CONFLICT DO NOTHING`
	enlistUser   = `INSERT INTO users (id, tenant, username, username_key, name, role, created_at, updated_at) VALUES ($1, $2, $1, $1, $3, $4, now(), now())
		ON CONFLICT DO NOTHING`
)

// Enlist makes p a user of its tenant, and makes that, where they are not there. It is for principals that come from no sign-in.
func (db *DB) Enlist(ctx context.Context, p auth.Principal) error {
	err := db.asPlatform(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, enlistTenant, p.Tenant); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, enlistUser, p.UserID, p.Tenant, p.Name, p.Role)
		return err
	})
	if err != nil {
		return fmt.Errorf("make %s a user: %w", p.UserID, err)
	}
	return nil
}
