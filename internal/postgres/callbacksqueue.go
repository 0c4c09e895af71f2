package postgres

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/callback"
)

const listSubscribers = `SELECT tenant, id, url, events, state, created_at FROM callback_endpoints
WHERE tenant = ANY ($1) AND state = 'active' ORDER BY tenant, created_at, id`

// Subscribers implements callback.Queue.
func (c *Callbacks) Subscribers(ctx context.Context, tenants []string) ([]callback.Endpoint, error) {
	return askRows(ctx, c.db.ofAll, listSubscribers, []any{tenants}, func(row pgx.CollectableRow) (e callback.Endpoint, err error) {
		err = row.Scan(&e.Tenant, &e.ID, &e.URL, &e.Events, &e.State, &e.CreatedAt)
		return e, err
	})
}

// Targets come before deliveries in every transaction that locks both, and in one order.
const (
	wakeTargets = `INSERT INTO callback_targets (tenant, target, due_at)
SELECT tenant, target, min(due_at) FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS t (tenant, target, due_at) GROUP BY tenant, target ORDER BY tenant, target
ON CONFLICT (tenant, target) DO UPDATE SET due_at = least(callback_targets.due_at, excluded.due_at)`
	// planDeliveries passes over what goes to an endpoint that was deleted meanwhile.
	planDeliveries = `INSERT INTO callback_deliveries (tenant, id, target, endpoint, url, task, type, seq, body, state, next_at, expires_at, created_at)
SELECT tenant, id, target, nullif(endpoint, ''), nullif(url, ''), task, type, seq, body, 'pending', next_at, expires_at, created_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::bytea[], $10::timestamptz[],
	$11::timestamptz[], $12::timestamptz[]) AS d (tenant, id, target, endpoint, url, task, type, seq, body, next_at, expires_at, created_at)
WHERE endpoint = '' OR EXISTS (SELECT FROM callback_endpoints e WHERE e.tenant = d.tenant AND e.id = d.endpoint)
ON CONFLICT (tenant, id) DO NOTHING`
)

// Plan implements callback.Queue.
func (c *Callbacks) Plan(ctx context.Context, deliveries []callback.Delivery) (n int, err error) {
	err = c.db.transact(ctx, c.db.writeTimeout, func(ctx context.Context, tx pgx.Tx) error {
		n, err = plan(ctx, tx, deliveries)
		return err
	})
	return n, err
}

func plan(ctx context.Context, tx pgx.Tx, deliveries []callback.Delivery) (int, error) {
	var text [7][]string
	var seqs []int64
	var bodies [][]byte
	var next, expires, created []time.Time
	for _, d := range deliveries {
		for i, value := range [...]string{d.Tenant, d.ID, d.Target, d.EndpointID, storable(d.URL), indexed(d.TaskID), string(d.EventType)} {
			text[i] = append(text[i], value)
		}
		seqs, bodies = append(seqs, int64(d.Seq)), append(bodies, d.Body)
		next, expires, created = append(next, *d.NextAt), append(expires, d.ExpiresAt), append(created, d.CreatedAt)
	}
	if _, err := tx.Exec(ctx, wakeTargets, text[0], text[2], next); err != nil {
		return 0, err
	}
	tag, err := tx.Exec(ctx, planDeliveries, text[0], text[1], text[2], text[3], text[4], text[5], text[6], seqs, bodies, next, expires, created)
	return int(tag.RowsAffected()), err
}

const (
	// noteTry counts failures in a row, which is also what locks the target.
	noteTry = `UPDATE callback_targets SET failures = CASE $3 WHEN 'accepted' THEN 0 WHEN 'let_go' THEN failures ELSE least(failures, 1000000) + 1 END
WHERE tenant = $1 AND target = $2`
	// finishDelivery takes a success from whoever had it, and the rest only from the last who took the delivery.
	finishDelivery = `UPDATE callback_deliveries SET state = $4, last_status = $5, last_error = $6, next_at = $7, leased_until = NULL,
	finished_at = CASE WHEN $4 <> 'pending' THEN $8::timestamptz END
WHERE tenant = $1 AND id = $2 AND state = 'pending' AND (attempt = $3 OR $4 = 'delivered')`
	letGo           = `UPDATE callback_deliveries SET next_at = $4, leased_until = NULL WHERE tenant = $1 AND id = $2 AND attempt = $3 AND state = 'pending'`
	disableEndpoint = `UPDATE callback_endpoints SET state = 'disabled', reason = 'the receiver answered 410 Gone', updated_at = $3, version = version + 1
WHERE tenant = $1 AND id = $2 AND url = $4 AND state = 'active'`
)

// Finish implements callback.Queue.
func (c *Callbacks) Finish(ctx context.Context, o callback.Outcome) error {
	err := c.db.asPlatform(ctx, func(ctx context.Context, tx pgx.Tx) error {
		var q pgx.Batch
		q.Queue(noteTry, o.Tenant, o.Target, o.Verdict)
		state, next := callback.Dead, o.At
		switch o.Verdict {
		case callback.Accepted:
			state = callback.Delivered
		case callback.Failed:
			state, next = callback.Pending, o.NextAt
		}
		if o.Verdict == callback.LetGo {
			q.Queue(letGo, o.Tenant, o.ID, o.Attempt, o.At)
		} else {
			q.Queue(finishDelivery, o.Tenant, o.ID, o.Attempt, state, o.Status, storable(o.Error), next, o.At)
		}
		if o.Verdict == callback.Gone && o.EndpointID != "" {
			var gone bool
			q.Queue(disableEndpoint, o.Tenant, o.EndpointID, o.At, o.To)
			if err := disabled(ctx, tx, &q, &gone); err != nil {
				return err
			}
			q = pgx.Batch{}
			if gone {
				q.Queue(buryEndpoint, o.Tenant, o.EndpointID, o.At)
			}
		}
		q.Queue(settleTargets, o.At, []string{o.Tenant}, []string{o.Target}, o.Claim.Broken, o.Claim.PerTarget, false)
		return tx.SendBatch(ctx, &q).Close()
	})
	if err != nil {
		return fmt.Errorf("finish callback %s: %w", o.ID, err)
	}
	return nil
}

// disabled sends a batch and says whether its last statement changed an endpoint.
func disabled(ctx context.Context, tx pgx.Tx, q *pgx.Batch, gone *bool) error {
	results := tx.SendBatch(ctx, q)
	for range q.Len() {
		tag, err := results.Exec()
		if err != nil {
			return cmp.Or(err, results.Close())
		}
		*gone = tag.RowsAffected() > 0
	}
	return results.Close()
}

const (
	buryDeliveries = `UPDATE callback_deliveries SET state = 'dead', last_error = 'its time was over before it had its turn', leased_until = NULL, finished_at = $1
WHERE (tenant, id) IN (SELECT tenant, id FROM callback_deliveries WHERE state = 'pending' AND expires_at < $1 AND (leased_until IS NULL OR leased_until < $1)
	ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)`
	purgeDeliveries = `DELETE FROM callback_deliveries WHERE (tenant, id) IN (
	SELECT tenant, id FROM callback_deliveries WHERE created_at < $1 AND state <> 'pending' ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)`
	purgeTargets = `DELETE FROM callback_targets WHERE (tenant, target) IN (
	SELECT tenant, target FROM callback_targets WHERE due_at = 'infinity' AND served_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)`
	countBacklog = `SELECT count(*) FILTER (WHERE state = 'pending'), count(*) FILTER (WHERE state = 'dead'),
	min(next_at) FILTER (WHERE state = 'pending' AND leased_until IS NULL) FROM callback_deliveries WHERE state <> 'delivered'`
)

// Bury implements callback.Queue.
func (c *Callbacks) Bury(ctx context.Context, before time.Time, limit int) (n int, err error) {
	err = c.db.transact(ctx, c.db.writeTimeout, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, buryDeliveries, before, limit)
		n = int(tag.RowsAffected())
		return err
	})
	return n, err
}

// Purge implements callback.Queue. Targets that were not called since go as well.
func (c *Callbacks) Purge(ctx context.Context, before time.Time, limit int) (n int, err error) {
	err = c.db.transact(ctx, c.db.writeTimeout, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, purgeDeliveries, before, limit)
		if n = int(tag.RowsAffected()); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, purgeTargets, before, limit)
		return err
	})
	return n, err
}

// Backlog implements callback.Queue.
func (c *Callbacks) Backlog(ctx context.Context) (b callback.Backlog, err error) {
	var oldest *time.Time
	err = askRow(ctx, c.db.ofAll, countBacklog, nil, func(row pgx.Row) error { return row.Scan(&b.Pending, &b.Dead, &oldest) })
	if oldest != nil {
		b.Oldest = oldest.UTC()
	}
	return b, err
}
