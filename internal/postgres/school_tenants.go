package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/school"
)

const (
	tenantFields = `id, name, state, settings::text, created_at, updated_at`

	listTenants = `SELECT ` + tenantFields + ` FROM tenants WHERE ($1 = '' OR state = $1) AND (created_at, id) < ($2, $3)
		ORDER BY created_at DESC, id DESC LIMIT $4`
	getTenant    = `SELECT ` + tenantFields + ` FROM tenants WHERE id = $1`
	insertTenant = `INSERT INTO tenants (id, name, state, settings, created_at, updated_at) VALUES ($1, $2, $3, $4::text::jsonb, $5, $6)
		ON CONFLICT DO NOTHING`
	changeTenant = `UPDATE tenants SET name = coalesce($2, name), state = coalesce($3, state), settings = coalesce($4::text::jsonb, settings),
		updated_at = greatest(updated_at, $5) WHERE id = $1 RETURNING ` + tenantFields
)

func scanTenant(row pgx.Row) (t school.Tenant, err error) {
	var settings string
	if err := row.Scan(&t.ID, &t.Name, &t.State, &settings, &t.CreatedAt, &t.UpdatedAt); err != nil {
		return t, err
	}
	t.CreatedAt, t.UpdatedAt = t.CreatedAt.UTC(), t.UpdatedAt.UTC()
	return t, json.Unmarshal([]byte(settings), &t.Settings)
}

// Tenants implements school.TenantStore.
func (s *School) Tenants(ctx context.Context, f school.TenantFilter) (school.TenantPage, error) {
	list := []any{"tenants", f.State}
	at, id, err := placeOf(f.Cursor, list)
	if err != nil {
		return school.TenantPage{}, err
	}
	found, err := askRows(ctx, s.db.ofAll, listTenants, []any{f.State, at, id, f.Limit + 1}, func(row pgx.CollectableRow) (school.Tenant, error) {
		return scanTenant(row)
	})
	if err != nil {
		return school.TenantPage{}, fmt.Errorf("list tenants: %w", err)
	}
	var page school.TenantPage
	page.Tenants, page.Next = cut(found, f.Limit, list, func(t school.Tenant) (time.Time, string) { return t.CreatedAt, t.ID })
	return page, nil
}

// Tenant implements school.TenantStore.
func (s *School) Tenant(ctx context.Context, id string) (t school.Tenant, err error) {
	err = askRow(ctx, s.db.of(id), getTenant, []any{id}, func(row pgx.Row) error {
		t, err = scanTenant(row)
		return err
	})
	return t, missing("tenant", id, err)
}

// AddTenant implements school.TenantStore.
func (s *School) AddTenant(ctx context.Context, t school.Tenant) error {
	settings, err := json.Marshal(t.Settings)
	if err != nil {
		return err
	}
	return s.db.asPlatform(ctx, func(ctx context.Context, tx pgx.Tx) error {
		done, err := tx.Exec(ctx, insertTenant, t.ID, t.Name, t.State, string(settings), t.CreatedAt, t.UpdatedAt)
		if err == nil && done.RowsAffected() == 0 {
			return conflict("id", "there is a tenant of this id already")
		}
		return err
	})
}

// ChangeTenant implements school.TenantStore.
func (s *School) ChangeTenant(ctx context.Context, id string, change school.TenantChange, at time.Time) (t school.Tenant, err error) {
	var settings *string
	if change.Settings != nil {
		doc, err := json.Marshal(change.Settings)
		if err != nil {
			return t, err
		}
		text := string(doc)
		settings = &text
	}
	err = s.db.asPlatform(ctx, func(ctx context.Context, tx pgx.Tx) error {
		t, err = scanTenant(tx.QueryRow(ctx, changeTenant, id, change.Name, change.State, settings, at))
		return err
	})
	return t, missing("tenant", id, err)
}

// conflict returns a Conflict fault about one field.
func conflict(field, reason string) error {
	return &fault.Error{Kind: fault.Conflict, Message: reason, Details: []fault.Detail{{Field: field, Reason: reason}}}
}
