package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/audit"
)

// AccessLog is the archive of the stream ACCESS: who looked at a student's data. It is safe for concurrent use.
type AccessLog struct{ db *DB }

var (
	_ audit.AccessReader       = (*AccessLog)(nil)
	_ audit.Sink[audit.Access] = (*AccessLog)(nil)
)

// NewAccessLog returns the access log in db.
func NewAccessLog(db *DB) *AccessLog { return &AccessLog{db} }

// Place implements audit.Sink.
func (l *AccessLog) Place(ctx context.Context) (audit.Place, error) {
	return l.db.place(ctx, streamAccess)
}

const accessColumns = `tenant, id, at, actor, student, resource, route, ip`

const insertAccess = `
	INSERT INTO access_log (` + accessColumns + `)
	SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
	ON CONFLICT (tenant, id) DO NOTHING`

// Keep implements audit.Sink.
func (l *AccessLog) Keep(ctx context.Context, items []audit.Access, from, to audit.Place) error {
	var columns [7][]string
	var at []time.Time
	for _, a := range items {
		for i, value := range []string{a.Tenant, a.ID, a.Actor, a.Student, a.Resource, a.Route, a.IP} {
			columns[i] = append(columns[i], indexed(value))
		}
		at = append(at, a.At)
	}
	err := l.db.keep(ctx, streamAccess, from, to, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, insertAccess, columns[0], columns[1], at, columns[2], columns[3], columns[4], columns[5], columns[6])
		return err
	})
	if err != nil {
		return fmt.Errorf("archive %d accesses: %w", len(items), err)
	}
	return nil
}

// ListAccesses implements audit.AccessReader: in the order of their ids, which is that of time for ids that the recorder made.
func (l *AccessLog) ListAccesses(ctx context.Context, f audit.AccessFilter) (audit.AccessPage, error) {
	if err := checkAuditPage(f.Tenant, &f.Limit); err != nil {
		return audit.AccessPage{}, err
	}
	sql, args, err := accessQuery(f)
	if err != nil {
		return audit.AccessPage{}, err
	}
	var page audit.AccessPage
	err = l.db.asTenant(ctx, f.Tenant, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		page.Accesses, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (a audit.Access, err error) {
			err = row.Scan(&a.Tenant, &a.ID, &a.At, &a.Actor, &a.Student, &a.Resource, &a.Route, &a.IP)
			a.At = a.At.UTC()
			return a, err
		})
		return err
	})
	if err != nil {
		return audit.AccessPage{}, fmt.Errorf("list accesses: %w", err)
	}
	if len(page.Accesses) > f.Limit {
		page.Accesses = page.Accesses[:f.Limit]
		page.Next = cursor{id: page.Accesses[f.Limit-1].ID}.encode(accessesOf(f))
	}
	return page, nil
}

// accessesOf returns the list that a page of f belongs to.
func accessesOf(f audit.AccessFilter) audit.AccessFilter {
	f.Cursor, f.Limit = "", 0
	return f
}

func accessQuery(f audit.AccessFilter) (string, []any, error) {
	q := &query{}
	q.and("tenant = ?", f.Tenant)
	if f.Student != "" {
		q.and("student = ?", indexed(f.Student))
	}
	if f.Actor != "" {
		q.and("actor = ?", indexed(f.Actor))
	}
	if f.From != nil {
		q.and("at >= ?", *f.From)
	}
	if f.To != nil {
		q.and("at < ?", *f.To)
	}
	if f.Cursor != "" {
		c, err := decodeCursor(f.Cursor, accessesOf(f))
		if err != nil {
			return "", nil, err
		}
		q.and("id < ?", c.id)
	}
	return "SELECT " + accessColumns + " FROM access_log WHERE " + strings.Join(q.where, " AND ") + " ORDER BY id DESC LIMIT " + strconv.Itoa(f.Limit+1), q.args, nil
}
