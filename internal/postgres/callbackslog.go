package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/callback"
	"github.com/toolboxai/orchestrator/internal/fault"
)

const deliveryColumns = `tenant, id, target, coalesce(endpoint, ''), coalesce(url, ''), task, type, seq, state, attempt, last_status, last_error,
	CASE WHEN state = 'pending' THEN next_at END, expires_at, created_at, finished_at`

func deliveryFields(d *callback.Delivery) []any {
	return []any{
		&d.Tenant, &d.ID, &d.Target, &d.EndpointID, &d.URL, &d.TaskID, &d.EventType, &d.Seq, &d.State, &d.Attempt, &d.LastStatus, &d.LastError,
		&d.NextAt, &d.ExpiresAt, &d.CreatedAt, &d.FinishedAt,
	}
}

func deliveryInUTC(d *callback.Delivery) {
	d.NextAt, d.FinishedAt, d.ExpiresAt, d.CreatedAt = utc(d.NextAt), utc(d.FinishedAt), d.ExpiresAt.UTC(), d.CreatedAt.UTC()
}

func scanDelivery(row pgx.CollectableRow) (d callback.Delivery, err error) {
	err = row.Scan(deliveryFields(&d)...)
	deliveryInUTC(&d)
	return d, err
}

const (
	listDeliveries = `SELECT ` + deliveryColumns + ` FROM callback_deliveries
WHERE tenant = $1 AND ($2 = '' OR endpoint = $2) AND ($3 = '' OR task = $3) AND ($4 = '' OR state = $4) AND (created_at, id) < ($5, $6)
ORDER BY created_at DESC, id DESC LIMIT $7`
	readDelivery = `SELECT ` + deliveryColumns + ` FROM callback_deliveries WHERE tenant = $1 AND id = $2`
)

// deliveryList is the list that a cursor belongs to.
type deliveryList struct{ List, Tenant, Endpoint, Task, State string }

// ListDeliveries implements callback.DeliveryLog.
func (c *Callbacks) ListDeliveries(ctx context.Context, f callback.DeliveryFilter) (page callback.DeliveryPage, err error) {
	which := deliveryList{"deliveries", f.Tenant, f.EndpointID, f.TaskID, string(f.State)}
	before := cursor{time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC).UnixMicro(), ""}
	if f.Cursor != "" {
		if before, err = decodeCursor(f.Cursor, which); err != nil {
			return page, err
		}
	}
	page.Deliveries, err = askRows(ctx, c.db.of(f.Tenant), listDeliveries,
		[]any{f.Tenant, indexed(f.EndpointID), indexed(f.TaskID), f.State, before.time(), before.id, f.Limit + 1}, scanDelivery)
	if err != nil {
		return page, fmt.Errorf("list deliveries: %w", err)
	}
	if len(page.Deliveries) > f.Limit {
		page.Deliveries = page.Deliveries[:f.Limit]
		last := page.Deliveries[f.Limit-1]
		page.Next = timeCursor(last.CreatedAt, last.ID).encode(which)
	}
	return page, nil
}

// Delivery implements callback.DeliveryLog.
func (c *Callbacks) Delivery(ctx context.Context, tenant, id string) (d callback.Delivery, err error) {
	err = askRow(ctx, c.db.of(tenant), readDelivery, []any{tenant, indexed(id)}, func(row pgx.Row) error { return row.Scan(deliveryFields(&d)...) })
	if errors.Is(err, pgx.ErrNoRows) {
		err = fault.New(fault.NotFound, "there is no delivery %.64q", id)
	}
	deliveryInUTC(&d)
	return d, err
}

// AddDelivery implements callback.DeliveryLog.
func (c *Callbacks) AddDelivery(ctx context.Context, d callback.Delivery) error {
	return c.db.asTenant(ctx, d.Tenant, func(ctx context.Context, tx pgx.Tx) error {
		_, err := plan(ctx, tx, []callback.Delivery{d})
		return err
	})
}

// replayDeliveries locks deliveries before their targets: nobody who holds a target's row waits for one that is dead.
const replayDeliveries = `WITH dead AS (
	SELECT tenant, id FROM callback_deliveries d WHERE tenant = $1 AND state = 'dead' AND ($2 = '' OR id = $2) AND ($3 = '' OR endpoint = $3)
		AND (endpoint IS NULL OR EXISTS (SELECT FROM callback_endpoints e WHERE e.tenant = d.tenant AND e.id = d.endpoint AND e.state = 'active'))
	ORDER BY created_at, id LIMIT $6 FOR UPDATE SKIP LOCKED
), again AS (
	UPDATE callback_deliveries d SET state = 'pending', attempt = 0, next_at = $4, expires_at = $5, leased_until = NULL, finished_at = NULL
	FROM dead WHERE d.tenant = dead.tenant AND d.id = dead.id RETURNING d.target
), woken AS (
	INSERT INTO callback_targets (tenant, target, due_at) SELECT DISTINCT $1, target, $4::timestamptz FROM again
	ON CONFLICT (tenant, target) DO UPDATE SET due_at = least(callback_targets.due_at, excluded.due_at), failures = 0
)
SELECT count(*) FROM again`

// Replay implements callback.DeliveryLog.
func (c *Callbacks) Replay(ctx context.Context, r callback.Replay) (n int, err error) {
	err = c.db.asTenant(ctx, r.Tenant, func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, replayDeliveries, r.Tenant, indexed(r.ID), indexed(r.EndpointID), r.At, r.ExpiresAt, r.Limit).Scan(&n)
	})
	return n, err
}
