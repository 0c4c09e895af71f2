package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/school"
)

// School keeps tenants, their people, classes, guardians and shares. Whatever is of one tenant is asked and changed behind the second
// lock. Bounds are held under a lock on what they bound: the row of the class, the child or the tenant.
type School struct{ db *DB }

var _ school.Store = (*School)(nil)

// NewSchool returns the schools in db.
func NewSchool(db *DB) *School { return &School{db} }

// endless comes behind every place of a list: the first page begins there.
func endless() (time.Time, string) { return time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), "" }

// placeOf returns where a page begins in a list by time. list tells lists apart.
func placeOf(text string, list any) (at time.Time, id string, err error) {
	if text == "" {
		at, id = endless()
		return at, id, nil
	}
	c, err := decodeCursor(text, list)
	return c.time(), c.id, err
}

// cut takes off what was read to know whether there is a next page, and returns that page's cursor.
func cut[T any](found []T, limit int, list any, place func(T) (time.Time, string)) ([]T, string) {
	if len(found) <= limit {
		return found, ""
	}
	found = found[:limit]
	return found, timeCursor(place(found[limit-1])).encode(list)
}

// missing says what it is that there is not.
func missing(what, id string, err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return fault.New(fault.NotFound, "there is no %s %.64q", what, id)
	}
	return err
}

// numbered is a statement whose arguments stand for a ? each.
func numbered(sql string, args ...any) *query {
	q := &query{}
	q.and(sql, args...)
	return q
}

// behindTenant is asTenant while nobody else does the same for the tenant: for bounds of the whole tenant.
func (s *School) behindTenant(ctx context.Context, tenant string, fn func(ctx context.Context, tx pgx.Tx) error) error {
	var first pgx.Batch
	first.Queue(holdTenant, tenant)
	return s.db.asTenantBehind(ctx, tenant, &first, fn)
}

// holdTenant keeps nobody from adding what refers to the tenant.
const holdTenant = `SELECT FROM tenants WHERE id = $1 FOR NO KEY UPDATE`
