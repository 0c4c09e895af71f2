package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// bindTenant puts the rest of a transaction behind the second lock: in the role toolboxai_tenant each table shows and takes the rows
// of this one tenant alone, whatever a query forgets to say.
const bindTenant = `SELECT set_config('toolboxai.tenant', $1, true), set_config('role', 'toolboxai_tenant', true)`

// asker sends the queries of a batch and reads their answers, in one round trip. Errors of the database are faults; those of the
// batch's functions are passed on.
type asker func(ctx context.Context, q *pgx.Batch) error

// of returns who asks behind the second lock: a batch is a transaction.
func (db *DB) of(tenant string) asker {
	return func(ctx context.Context, q *pgx.Batch) error {
		if tenant == "" { // which is the tenant of what has none yet
			return fault.InvalidField("tenant", "is missing")
		}
		var locked pgx.Batch
		if !db.sabotage.unlocked {
			locked.Queue(bindTenant, indexed(tenant))
		}
		for _, one := range q.QueuedQueries {
			if db.sabotage.rewrite != nil {
				one.SQL = db.sabotage.rewrite(one.SQL)
			}
			locked.QueuedQueries = append(locked.QueuedQueries, one)
		}
		return db.ofAll(ctx, &locked)
	}
}

// ofAll is the asker whom no tenant bounds: for what is not asked in a tenant's name.
func (db *DB) ofAll(ctx context.Context, q *pgx.Batch) error {
	ctx, cancel := context.WithTimeout(ctx, db.readTimeout)
	defer cancel()
	return classify(db.pool.SendBatch(ctx, q).Close())
}

// askRow asks one query for its only row: scan gets pgx.ErrNoRows when there is none.
func askRow(ctx context.Context, ask asker, sql string, args []any, scan func(pgx.Row) error) error {
	var q pgx.Batch
	q.Queue(sql, args...).QueryRow(scan)
	return ask(ctx, &q)
}

// askRows asks one query for its rows.
func askRows[T any](ctx context.Context, ask asker, sql string, args []any, scan pgx.RowToFunc[T]) (found []T, err error) {
	var q pgx.Batch
	q.Queue(sql, args...).Query(func(rows pgx.Rows) (err error) {
		found, err = pgx.CollectRows(rows, scan)
		return err
	})
	err = ask(ctx, &q)
	return found, err
}

// asTenant runs fn in a transaction that sees and changes rows of one tenant only. It commits when fn returns nil. Errors of the
// database are faults; those of fn are passed on. For reads alone, of saves the round trips.
func (db *DB) asTenant(ctx context.Context, tenant string, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return db.asTenantBehind(ctx, tenant, nil, fn)
}

// asTenantBehind is asTenant behind statements that the role of the second lock has no rights for, such as locks on other tables.
func (db *DB) asTenantBehind(ctx context.Context, tenant string, first *pgx.Batch, fn func(ctx context.Context, tx pgx.Tx) error) error {
	if err := events.CheckToken("tenant", tenant); err != nil {
		return fault.InvalidField("tenant", "%v", err)
	}
	return db.transact(ctx, db.readTimeout, func(ctx context.Context, tx pgx.Tx) error {
		q := first
		if q == nil {
			q = &pgx.Batch{}
		}
		if !db.sabotage.unlocked {
			q.Queue(bindTenant, tenant)
		}
		if err := tx.SendBatch(ctx, q).Close(); err != nil {
			return err
		}
		if db.sabotage.tx != nil {
			tx = db.sabotage.tx(tx)
		}
		return fn(ctx, tx)
	})
}

// asPlatform runs fn in a transaction that no tenant bounds: for what is not asked in a tenant's name, such as finding who signs in.
func (db *DB) asPlatform(ctx context.Context, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return db.transact(ctx, db.readTimeout, fn)
}

func (db *DB) transact(ctx context.Context, limit time.Duration, fn func(ctx context.Context, tx pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return classify(pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error { return fn(ctx, tx) }))
}

// sabotage breaks one of two locks, so that a test sees the other one hold. Only negative controls set it.
type sabotage struct {
	unlocked bool                // no query is behind the second lock
	unheld   bool                // who takes somebody out of office waits for nobody
	rewrite  func(string) string // what each query of an asker is replaced by
	tx       func(pgx.Tx) pgx.Tx // what the transactions of asTenant are replaced by
}
