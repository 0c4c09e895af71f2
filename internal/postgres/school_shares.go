package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/school"
)

const (
	shareFields = `SELECT class, task, shared_by, shared_at FROM shares WHERE tenant = $1 AND class = $2`
	listShares  = shareFields + ` AND (shared_at, task) < ($3, $4) ORDER BY shared_at DESC, task DESC LIMIT $5`
	getShare    = shareFields + ` AND task = $3`

	hasTask     = `SELECT id FROM tasks WHERE tenant = $1 AND id = $2`
	countShares = `SELECT count(*) FROM shares WHERE tenant = $1 AND class = $2`
	insertShare = `INSERT INTO shares (tenant, class, task, shared_by, shared_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`
	deleteShare = `DELETE FROM shares WHERE tenant = $1 AND class = $2 AND task = $3`

	readShared = `WITH readers (id) AS (` + readers + `)
		SELECT ?::text IN (SELECT id FROM readers) OR EXISTS (
			SELECT FROM shares s JOIN classes c ON c.tenant = s.tenant AND c.id = s.class JOIN class_members m ON m.tenant = s.tenant AND m.class = s.class
			WHERE s.tenant = ? AND s.task = ? AND c.archived_at IS NULL AND m.user_id IN (SELECT id FROM readers))`

	listShared = `WITH readers (id) AS (` + readers + `)
		SELECT task FROM (
			SELECT s.task, s.shared_at AS at
			FROM shares s JOIN classes c ON c.tenant = s.tenant AND c.id = s.class JOIN class_members m ON m.tenant = s.tenant AND m.class = s.class
			WHERE s.tenant = ? AND c.archived_at IS NULL AND m.user_id IN (SELECT id FROM readers)
			UNION ALL
			(SELECT t.id, t.created_at FROM tasks t WHERE t.tenant = ? AND t.user_id IN (SELECT id FROM readers WHERE id <> ?)
			ORDER BY t.created_at DESC, t.id DESC LIMIT ?)
		) readable GROUP BY task ORDER BY max(at) DESC, task DESC LIMIT ?`
)

func scanShare(row pgx.CollectableRow) (h school.Share, err error) {
	err = row.Scan(&h.Class, &h.Task, &h.SharedBy, &h.SharedAt)
	h.SharedAt = h.SharedAt.UTC()
	return h, err
}

// Shares implements school.ShareStore.
func (s *School) Shares(ctx context.Context, tenant string, f school.ShareFilter) (school.SharePage, error) {
	list := []any{"shares", tenant, f.Class}
	at, task, err := placeOf(f.Cursor, list)
	if err != nil {
		return school.SharePage{}, err
	}
	found, err := askRows(ctx, s.db.of(tenant), listShares, []any{tenant, f.Class, at, task, f.Limit + 1}, scanShare)
	if err != nil {
		return school.SharePage{}, fmt.Errorf("list the shares of class %s: %w", f.Class, err)
	}
	var page school.SharePage
	page.Shares, page.Next = cut(found, f.Limit, list, func(h school.Share) (time.Time, string) { return h.SharedAt, h.Task })
	return page, nil
}

// AddShare implements school.ShareStore.
func (s *School) AddShare(ctx context.Context, tenant string, share school.Share) (was school.Share, added bool, err error) {
	err = s.db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := openClass(ctx, tx, tenant, share.Class); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, hasTask, tenant, share.Task).Scan(new(string)); err != nil {
			return missing("task", share.Task, err)
		}
		done, err := tx.Exec(ctx, insertShare, tenant, share.Class, share.Task, share.SharedBy, share.SharedAt)
		if err != nil {
			return err
		}
		if added = done.RowsAffected() == 1; added {
			if err := within(ctx, tx, school.MaxShares, "%d tasks are shared with the class already", countShares, tenant, share.Class); err != nil {
				return err
			}
		}
		rows, err := tx.Query(ctx, getShare, tenant, share.Class, share.Task)
		if err != nil {
			return err
		}
		was, err = pgx.CollectExactlyOneRow(rows, scanShare)
		return err
	})
	return was, added && err == nil, err
}

// RemoveShare implements school.ShareStore.
func (s *School) RemoveShare(ctx context.Context, tenant, class, task string) error {
	return s.db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := openClass(ctx, tx, tenant, class); err != nil {
			return err
		}
		done, err := tx.Exec(ctx, deleteShare, tenant, class, task)
		if err == nil && done.RowsAffected() == 0 {
			return missing("share of task", task, pgx.ErrNoRows)
		}
		return err
	})
}

// Readable implements school.ShareStore.
func (s *School) Readable(ctx context.Context, tenant string, r school.Reader, taskOwner, taskID string) (yes bool, err error) {
	q := numbered(readShared, r.UserID, r.Children, tenant, r.UserID, taskOwner, tenant, taskID)
	err = askRow(ctx, s.db.of(tenant), q.where[0], q.args, func(row pgx.Row) error { return row.Scan(&yes) })
	return yes, err
}

// SharedTasks implements school.ShareStore.
func (s *School) SharedTasks(ctx context.Context, tenant string, r school.Reader, limit int) ([]string, error) {
	q := numbered(listShared, r.UserID, r.Children, tenant, r.UserID, tenant, tenant, r.UserID, limit, limit)
	found, err := askRows(ctx, s.db.of(tenant), q.where[0], q.args, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list what is shared: %w", err)
	}
	return found, nil
}
