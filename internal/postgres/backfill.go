package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/toolboxai/orchestrator/events"
)

// Backfilled says what Backfill did.
type Backfilled struct {
	Failures int // tasks whose last failure got its new fingerprint
	Entries  int // entries that the ledger got
}

// Backfill fills in what a release before incidents and the ledger did not write: the fingerprint of failures in today's form,
// when they happened, and the ledger's entries of all that is in the archive. It does nothing, with one query, when this
// release recorded everything. Otherwise it reads the whole archive, in pages, beside recording and reading; it may be given
// up and begun again at any time, and run by several at once. A recorder calls it at its start, and again now and then while
// older releases may be up.
//
// Errors: Unavailable, Timeout (of one page, by Config.WriteTimeout), Internal.
func (db *DB) Backfill(ctx context.Context) (done Backfilled, err error) {
	for {
		var to int64
		err := db.inTime(ctx, func(ctx context.Context) error { return db.pool.QueryRow(ctx, readBackfill).Scan(&to) })
		if err != nil {
			return done, fmt.Errorf("read how far to backfill: %w", classify(err))
		}
		if to == 0 {
			return done, nil
		}
		for at := (key{}); ; {
			page, err := db.backfillPage(ctx, at, &done)
			if err != nil {
				return done, fmt.Errorf("backfill behind task %s: %w", at.id, classify(err))
			}
			if len(page) < backfillTasks {
				break
			}
			at = page[len(page)-1].key
		}
		err = db.inTime(ctx, func(ctx context.Context) error { _, err := db.pool.Exec(ctx, endBackfill, to); return err })
		if err != nil {
			return done, fmt.Errorf("note that the backfill is done: %w", classify(err))
		}
	}
}

func (db *DB) inTime(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, db.writeTimeout)
	defer cancel()
	return do(ctx)
}

// backfillTasks is how many tasks Backfill reads at a time.
const backfillTasks = 200

const (
	readBackfill = `SELECT CASE own_seq WHEN seq THEN backfill_to ELSE seq END FROM recorder_position`

	// endBackfill does nothing when an older release recorded meanwhile: then there is more to do.
	endBackfill = `
		UPDATE recorder_position SET backfill_to = 0, own_seq = seq
		WHERE CASE own_seq WHEN seq THEN backfill_to ELSE seq END = $1`

	// listBackfill says of each task whether its failure is to be filled in, and whether it has cost anything.
	listBackfill = `
		SELECT tenant, id, seq, doc, fingerprint IS NOT NULL AND error IS NULL, strpos(doc::text, '"usage":') > 0
		FROM tasks WHERE (tenant, id) > ($1, $2)
		ORDER BY tenant, id LIMIT $3`

	listCosts = `
		SELECT seq, id, type, source, time, time_nanos, coalesce(traceparent, ''), data, raw, tenant, task
		FROM task_events
		WHERE (tenant, task) >= ($1, $2) AND (tenant, task) <= ($3, $4) AND task = ANY ($5)
		ORDER BY tenant, task, seq`

	// A task that moved on meanwhile was written by a recorder that knows better.
	fillFailures = `
		UPDATE tasks SET fingerprint = n.fingerprint, error = n.error, failed_at = n.failed_at
		FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::timestamptz[])
			AS n (tenant, id, seq, fingerprint, error, failed_at)
		WHERE tasks.tenant = n.tenant AND tasks.id = n.id AND tasks.seq = n.seq`
)

// oldTask is a task of the archive as Backfill sees it.
type oldTask struct {
	key
	seq          int64
	doc          []byte
	failed, cost bool
	failure      failureRow
}

// backfillPage fills in the tasks that come behind a place, and returns them.
func (db *DB) backfillPage(ctx context.Context, behind key, done *Backfilled) (page []oldTask, err error) {
	err = db.inTime(ctx, func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, setUp); err != nil {
				return err
			}
			rows, err := tx.Query(ctx, listBackfill, behind.tenant, behind.id, backfillTasks)
			if err != nil {
				return err
			}
			page, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (t oldTask, err error) {
				err = row.Scan(&t.tenant, &t.id, &t.seq, &t.doc, &t.failed, &t.cost)
				return t, err
			})
			if err != nil || len(page) == 0 {
				return err
			}
			bills, err := oldBills(ctx, tx, page)
			if err != nil {
				return err
			}
			return fill(ctx, tx, page, bills, done)
		})
	})
	return page, err
}

// oldBills folds the tasks of a page that cost something, an event at a time, and returns their bills.
func oldBills(ctx context.Context, tx pgx.Tx, page []oldTask) (bills []bill, err error) {
	var ids []string
	for _, t := range page {
		if t.cost {
			ids = append(ids, t.id)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	first, last := page[0], page[len(page)-1]
	rows, err := tx.Query(ctx, listCosts, first.tenant, first.id, last.tenant, last.id, ids)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var s state
	for rows.Next() {
		var e events.Event
		if err := scanInto(rows, &e, &e.Tenant, &e.Task); err != nil {
			return nil, err
		}
		if s.task.ID != e.Task || s.task.Tenant != e.Tenant {
			bills, s = append(bills, s.bills...), state{}
		}
		_ = s.apply(e) // what cannot follow was set aside when it was recorded
	}
	return append(bills, s.bills...), rows.Err()
}

// fill writes what a page lacks.
func fill(ctx context.Context, tx pgx.Tx, page []oldTask, bills []bill, done *Backfilled) error {
	var failed []oldTask
	for _, old := range page {
		if !old.failed {
			continue
		}
		t, err := decodeTask(old.doc, nil)
		if err != nil {
			return err
		}
		old.failure = newFailureRow(t)
		failed = append(failed, old)
	}
	var q pgx.Batch
	if len(bills) > 0 {
		queueBills(&q, bills).Exec(count(&done.Entries))
	}
	if len(failed) > 0 {
		q.Queue(lockPosition) // no recorder locks the same tasks in another order
		q.Queue(fillFailures,
			column(failed, func(t oldTask) string { return t.tenant }),
			column(failed, func(t oldTask) string { return t.id }),
			column(failed, func(t oldTask) int64 { return t.seq }),
			column(failed, func(t oldTask) *string { return t.failure.fingerprint }),
			column(failed, func(t oldTask) *string { return t.failure.error }),
			column(failed, func(t oldTask) *time.Time { return t.failure.failedAt }),
		).Exec(count(&done.Failures))
	}
	return tx.SendBatch(ctx, &q).Close()
}

// count adds the rows that a statement wrote to n.
func count(n *int) func(pgconn.CommandTag) error {
	return func(tag pgconn.CommandTag) error {
		*n += int(tag.RowsAffected())
		return nil
	}
}
