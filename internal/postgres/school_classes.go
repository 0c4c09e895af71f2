package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/school"
)

const (
	classFields = `c.id, c.tenant, c.name, c.created_by, c.version,
		(SELECT count(*) FROM class_members n WHERE n.tenant = c.tenant AND n.class = c.id), c.created_at, c.updated_at, c.archived_at`

	getClass     = `SELECT ` + classFields + ` FROM classes c WHERE c.tenant = $1 AND c.id = $2`
	countClasses = `SELECT count(*) FROM classes WHERE tenant = $1`
	insertClass  = `INSERT INTO classes (id, tenant, name, created_by, created_at, updated_at) SELECT $2, t.id, $3, $4, $5, $5 FROM tenants t WHERE t.id = $1`
	lockClass    = getClass + ` FOR UPDATE OF c`
	changeClass  = `UPDATE classes SET name = $3, archived_at = $4, version = version + 1, updated_at = greatest(updated_at, $5) WHERE tenant = $1 AND id = $2`

	// readers are a user and, where that is asked for, the children of whom this user is a guardian.
	readers = `SELECT ?::text UNION ALL SELECT k.id FROM guardians g JOIN users k ON k.tenant = g.tenant AND k.id = g.child
		WHERE ? AND g.tenant = ? AND g.parent = ? AND k.role = 'student' AND k.state = 'active'`
)

func scanClass(row pgx.Row) (c school.Class, err error) {
	err = row.Scan(&c.ID, &c.Tenant, &c.Name, &c.CreatedBy, &c.Version, &c.Members, &c.CreatedAt, &c.UpdatedAt, &c.ArchivedAt)
	c.CreatedAt, c.UpdatedAt = c.CreatedAt.UTC(), c.UpdatedAt.UTC()
	if c.ArchivedAt != nil {
		*c.ArchivedAt = c.ArchivedAt.UTC()
	}
	return c, err
}

// Classes implements school.ClassStore.
func (s *School) Classes(ctx context.Context, tenant string, f school.ClassFilter) (school.ClassPage, error) {
	list := classList(tenant, f)
	sql, args, err := classQuery(tenant, f, list)
	if err != nil {
		return school.ClassPage{}, err
	}
	found, err := askRows(ctx, s.db.of(tenant), sql, args, func(row pgx.CollectableRow) (school.Class, error) { return scanClass(row) })
	if err != nil {
		return school.ClassPage{}, fmt.Errorf("list classes: %w", err)
	}
	var page school.ClassPage
	page.Classes, page.Next = cut(found, f.Limit, list, func(c school.Class) (time.Time, string) { return c.CreatedAt, c.ID })
	return page, nil
}

func classList(tenant string, f school.ClassFilter) any {
	f.Cursor, f.Limit = "", 0
	return []any{"classes", tenant, f}
}

func classQuery(tenant string, f school.ClassFilter, list any) (string, []any, error) {
	at, id, err := placeOf(f.Cursor, list)
	if err != nil {
		return "", nil, err
	}
	q := &query{}
	q.and("c.tenant = ?", tenant)
	q.and("(c.created_at, c.id) < (?, ?)", at, id)
	q.and("(c.archived_at IS NOT NULL) = ?", f.Archived)
	if f.CreatedBy != "" {
		q.and("c.created_by = ?", f.CreatedBy)
	}
	if r := f.Reader; r != nil {
		q.and("EXISTS (SELECT FROM class_members m WHERE m.tenant = ? AND m.class = c.id AND m.user_id IN ("+readers+"))",
			tenant, r.UserID, r.Children, tenant, r.UserID)
	}
	return "SELECT " + classFields + " FROM classes c WHERE " + strings.Join(q.where, " AND ") +
		" ORDER BY c.created_at DESC, c.id DESC LIMIT " + strconv.Itoa(f.Limit+1), q.args, nil
}

// Class implements school.ClassStore.
func (s *School) Class(ctx context.Context, tenant, id string) (c school.Class, err error) {
	err = askRow(ctx, s.db.of(tenant), getClass, []any{tenant, id}, func(row pgx.Row) error {
		c, err = scanClass(row)
		return err
	})
	return c, missing("class", id, err)
}

// AddClass implements school.ClassStore.
func (s *School) AddClass(ctx context.Context, c school.Class) error {
	return s.behindTenant(ctx, c.Tenant, func(ctx context.Context, tx pgx.Tx) error {
		var n int
		if err := tx.QueryRow(ctx, countClasses, c.Tenant).Scan(&n); err != nil {
			return err
		}
		if n >= school.MaxClasses {
			return fault.New(fault.Conflict, "the tenant has %d classes already", n)
		}
		done, err := tx.Exec(ctx, insertClass, c.Tenant, c.ID, c.Name, c.CreatedBy, c.CreatedAt)
		if err == nil && done.RowsAffected() == 0 {
			return fault.New(fault.NotFound, "there is no tenant %.64q", c.Tenant)
		}
		return err
	})
}

// ChangeClass implements school.ClassStore.
func (s *School) ChangeClass(ctx context.Context, tenant, id string, version int64, change school.ClassChange, at time.Time) (c school.Class, err error) {
	err = s.db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
		was, err := scanClass(tx.QueryRow(ctx, lockClass, tenant, id))
		if err != nil {
			return missing("class", id, err)
		}
		next := was
		if change.Name != nil {
			next.Name = *change.Name
		}
		if change.Archived != nil && *change.Archived != (was.ArchivedAt != nil) {
			if next.ArchivedAt = nil; *change.Archived {
				next.ArchivedAt = &at
			}
		}
		switch {
		case was.Version != version:
			return conflict("version", "the class has changed meanwhile")
		case next.Name != was.Name && next.ArchivedAt != nil:
			return archived(id)
		case next == was:
			c = was
			return nil
		}
		if _, err := tx.Exec(ctx, changeClass, tenant, id, next.Name, next.ArchivedAt, at); err != nil {
			return err
		}
		c, err = scanClass(tx.QueryRow(ctx, getClass, tenant, id))
		return err
	})
	return c, err
}

func archived(class string) error {
	return fault.New(fault.Conflict, "class %s is archived: open it first", class)
}

// openClass locks a class that is open until the end of the transaction.
func openClass(ctx context.Context, tx pgx.Tx, tenant, id string) (school.Class, error) {
	c, err := scanClass(tx.QueryRow(ctx, lockClass, tenant, id))
	if err == nil && c.ArchivedAt != nil {
		err = archived(id)
	}
	return c, missing("class", id, err)
}
