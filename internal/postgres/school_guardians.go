package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/school"
)

const (
	guardianFields = `SELECT g.parent, p.name, g.child, k.name, g.added_at FROM guardians g
		JOIN users p ON p.tenant = g.tenant AND p.id = g.parent JOIN users k ON k.tenant = g.tenant AND k.id = g.child WHERE g.tenant = $1`
	listGuardians = guardianFields + ` AND (g.parent = $2 OR $2 = '') AND (g.child = $3 OR $3 = '') ORDER BY g.added_at, g.parent, g.child`

	// lockPair locks in one order, whoever asks for whom.
	lockPair = `SELECT id, role FROM users WHERE tenant = $1 AND id IN ($2, $3) AND state = 'active' ORDER BY id FOR NO KEY UPDATE`

	insertGuardian = `INSERT INTO guardians (tenant, parent, child, added_by, added_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`
	countGuardians = `SELECT count(*) FROM guardians WHERE tenant = $1 AND child = $2`
	countChildren  = `SELECT count(*) FROM guardians WHERE tenant = $1 AND parent = $2`
	deleteGuardian = `DELETE FROM guardians WHERE tenant = $1 AND parent = $2 AND child = $3`
)

func scanGuardian(row pgx.CollectableRow) (g school.Guardian, err error) {
	err = row.Scan(&g.Parent, &g.ParentName, &g.Child, &g.ChildName, &g.AddedAt)
	g.AddedAt = g.AddedAt.UTC()
	return g, err
}

// Guardians implements school.GuardianStore.
func (s *School) Guardians(ctx context.Context, tenant, parent, child string) ([]school.Guardian, error) {
	found, err := askRows(ctx, s.db.of(tenant), listGuardians, []any{tenant, parent, child}, scanGuardian)
	if err != nil {
		return nil, fmt.Errorf("list guardians: %w", err)
	}
	return found, nil
}

// AddGuardian implements school.GuardianStore.
func (s *School) AddGuardian(ctx context.Context, tenant, parent, child, by string, at time.Time) (g school.Guardian, added bool, err error) {
	err = s.db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
		if err := lockFamily(ctx, tx, tenant, parent, child); err != nil {
			return err
		}
		done, err := tx.Exec(ctx, insertGuardian, tenant, parent, child, by, at)
		if err != nil {
			return err
		}
		if added = done.RowsAffected() == 1; added {
			err = within(ctx, tx, school.MaxGuardians, "the child has %d guardians already", countGuardians, tenant, child)
			if err == nil {
				err = within(ctx, tx, school.MaxChildren, "the parent has %d children already", countChildren, tenant, parent)
			}
			if err != nil {
				return err
			}
		}
		rows, err := tx.Query(ctx, listGuardians, tenant, parent, child)
		if err != nil {
			return err
		}
		g, err = pgx.CollectExactlyOneRow(rows, scanGuardian)
		return err
	})
	return g, added && err == nil, err
}

// lockFamily returns NotFound unless these are a parent and a student.
func lockFamily(ctx context.Context, tx pgx.Tx, tenant, parent, child string) error {
	rows, err := tx.Query(ctx, lockPair, tenant, parent, child)
	if err != nil {
		return err
	}
	var id string
	var role auth.Role
	found := map[string]auth.Role{}
	if _, err := pgx.ForEachRow(rows, []any{&id, &role}, func() error { found[id] = role; return nil }); err != nil {
		return err
	}
	switch {
	case found[parent] != auth.Parent:
		return missing("active parent", parent, pgx.ErrNoRows)
	case found[child] != auth.Student:
		return missing("active student", child, pgx.ErrNoRows)
	}
	return nil
}

// RemoveGuardian implements school.GuardianStore.
func (s *School) RemoveGuardian(ctx context.Context, tenant, parent, child string) error {
	return s.db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
		done, err := tx.Exec(ctx, deleteGuardian, tenant, parent, child)
		if err == nil && done.RowsAffected() == 0 {
			return missing("guardian", parent, pgx.ErrNoRows)
		}
		return err
	})
}
