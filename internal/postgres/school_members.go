package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/school"
)

const (
	memberFields = `SELECT u.id, u.name, u.role, m.added_at FROM class_members m JOIN users u ON u.tenant = m.tenant AND u.id = m.user_id
		WHERE m.tenant = $1 AND m.class = $2`
	listMembers = memberFields + ` ORDER BY u.name, u.id`
	getMember   = memberFields + ` AND m.user_id = $3`

	hasClass  = `SELECT EXISTS (SELECT FROM classes WHERE tenant = $1 AND id = $2)`
	hasReader = `SELECT EXISTS (SELECT FROM class_members m JOIN classes c ON c.tenant = m.tenant AND c.id = m.class
		WHERE m.tenant = ? AND m.class = ? AND c.archived_at IS NULL AND m.user_id IN (` + readers + `))`

	// A user whose role changes at the same time leaves their classes: one of the two waits.
	eligible     = `SELECT u.id FROM users u WHERE u.tenant = $1 AND u.id = $2 AND u.state = 'active' AND u.role = ANY ($3) FOR SHARE`
	countMembers = `SELECT count(*) FROM class_members WHERE tenant = $1 AND class = $2`
	insertMember = `INSERT INTO class_members (tenant, class, user_id, added_by, added_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`
	deleteMember = `DELETE FROM class_members WHERE tenant = $1 AND class = $2 AND user_id = $3`
)

func scanMember(row pgx.CollectableRow) (m school.Member, err error) {
	err = row.Scan(&m.UserID, &m.Name, &m.Role, &m.AddedAt)
	m.AddedAt = m.AddedAt.UTC()
	return m, err
}

// Members implements school.ClassStore.
func (s *School) Members(ctx context.Context, tenant, class string) (members []school.Member, err error) {
	var there bool
	var q pgx.Batch
	q.Queue(hasClass, tenant, class).QueryRow(func(row pgx.Row) error { return row.Scan(&there) })
	q.Queue(listMembers, tenant, class).Query(func(rows pgx.Rows) (err error) {
		members, err = pgx.CollectRows(rows, scanMember)
		return err
	})
	if err := s.db.of(tenant)(ctx, &q); err != nil {
		return nil, fmt.Errorf("list the members of class %s: %w", class, err)
	}
	if !there {
		return nil, missing("class", class, pgx.ErrNoRows)
	}
	return members, nil
}

// AddMember implements school.ClassStore.
func (s *School) AddMember(
	ctx context.Context, tenant, class, userID string, roles []auth.Role, by string, at time.Time,
) (m school.Member, added bool, err error) {
	err = s.db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := openClass(ctx, tx, tenant, class); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, eligible, tenant, userID, texts(roles)).Scan(new(string)); err != nil {
			return missing("active "+names(roles), userID, err)
		}
		done, err := tx.Exec(ctx, insertMember, tenant, class, userID, by, at)
		if err != nil {
			return err
		}
		if added = done.RowsAffected() == 1; added {
			if err := within(ctx, tx, school.MaxMembers, "the class has %d members already", countMembers, tenant, class); err != nil {
				return err
			}
		}
		rows, err := tx.Query(ctx, getMember, tenant, class, userID)
		if err != nil {
			return err
		}
		m, err = pgx.CollectExactlyOneRow(rows, scanMember)
		return err
	})
	return m, added && err == nil, err
}

// within returns a Conflict when what was just added, and is counted by sql, is one too many.
func within(ctx context.Context, tx pgx.Tx, limit int, message, sql string, args ...any) error {
	var n int
	if err := tx.QueryRow(ctx, sql, args...).Scan(&n); err != nil {
		return err
	}
	if n > limit {
		return fault.New(fault.Conflict, message, limit)
	}
	return nil
}

func names(roles []auth.Role) string {
	text := ""
	for i, r := range roles {
		if i > 0 {
			text += " or "
		}
		text += string(r)
	}
	return text
}

// RemoveMember implements school.ClassStore.
func (s *School) RemoveMember(ctx context.Context, tenant, class, userID string) error {
	return s.db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := openClass(ctx, tx, tenant, class); err != nil {
			return err
		}
		done, err := tx.Exec(ctx, deleteMember, tenant, class, userID)
		if err == nil && done.RowsAffected() == 0 {
			return missing("member", userID, pgx.ErrNoRows)
		}
		return err
	})
}

// Attends implements school.ClassStore.
func (s *School) Attends(ctx context.Context, tenant, class string, r school.Reader) (in bool, err error) {
	q := numbered(hasReader, tenant, class, r.UserID, r.Children, tenant, r.UserID)
	err = askRow(ctx, s.db.of(tenant), q.where[0], q.args, func(row pgx.Row) error { return row.Scan(&in) })
	return in, err
}
