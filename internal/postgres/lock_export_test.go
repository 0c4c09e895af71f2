package postgres

import (
	"context"
	"regexp"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// tenantCondition is how queries name the tenant. What it is compared with stays, so that the arguments keep their places.
var tenantCondition = regexp.MustCompile(`\b(?:\w+\.)?tenant = \$(\d+)`)

// ForgetTenant makes every query for one tenant forget which one it is for.
func (db *DB) ForgetTenant() {
	forget := func(sql string) string { return tenantCondition.ReplaceAllString(sql, `$$$1::text IS NOT NULL`) }
	db.sabotage.rewrite = forget
	db.sabotage.tx = func(tx pgx.Tx) pgx.Tx { return rewritten{tx, forget} }
}

// Unlock takes the second lock away.
func (db *DB) Unlock() { db.sabotage.unlocked = true }

// InTenant runs one statement behind the second lock.
func (db *DB) InTenant(ctx context.Context, tenant, sql string, args ...any) error {
	return db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sql, args...)
		return err
	})
}

// Roles returns the role of each connection that is idle.
func (db *DB) Roles(ctx context.Context) (roles []string, err error) {
	for _, conn := range db.pool.AcquireAllIdle(ctx) {
		var role, tenant string
		if e := conn.QueryRow(ctx, "SELECT current_user, coalesce(current_setting('toolboxai.tenant', true), '')").Scan(&role, &tenant); e != nil {
			err = e
		}
		roles = append(roles, role+tenant)
		conn.Release()
	}
	return roles, err
}

// rewritten is a transaction whose statements are replaced.
type rewritten struct {
	pgx.Tx
	rewrite func(string) string
}

func (r rewritten) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return r.Tx.Exec(ctx, r.rewrite(sql), args...)
}

func (r rewritten) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return r.Tx.Query(ctx, r.rewrite(sql), args...)
}

func (r rewritten) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return r.Tx.QueryRow(ctx, r.rewrite(sql), args...)
}

func (r rewritten) SendBatch(ctx context.Context, q *pgx.Batch) pgx.BatchResults {
	for _, one := range q.QueuedQueries {
		one.SQL = r.rewrite(one.SQL)
	}
	return r.Tx.SendBatch(ctx, q)
}

// Explain returns how a query would be answered behind the second lock.
func (db *DB) Explain(ctx context.Context, tenant, sql string, args ...any) (plan []string, err error) {
	err = db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, "EXPLAIN "+sql, args...)
		if err != nil {
			return err
		}
		plan, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return plan, err
}
