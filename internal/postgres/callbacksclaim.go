package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/callback"
)

const (
	// lockTargets takes targets with something to claim, and passes over those that another process looks at. It takes them in turns:
	// one of each tenant, beginning with tenants that have the fewest deliveries under way.
	lockTargets = `WITH busy AS (SELECT tenant, count(*) AS n FROM callback_deliveries WHERE leased_until > $1 GROUP BY tenant),
waiting AS (
	SELECT t.tenant, t.target, t.served_at, coalesce(busy.n, 0) AS busy, row_number() OVER (PARTITION BY t.tenant ORDER BY t.served_at, t.target) AS turn
	FROM callback_targets t LEFT JOIN busy ON busy.tenant = t.tenant WHERE t.due_at <= $1 AND coalesce(busy.n, 0) < $2
)
SELECT t.tenant, t.target, t.failures, waiting.busy, waiting.turn
FROM waiting JOIN callback_targets t ON t.tenant = waiting.tenant AND t.target = waiting.target
WHERE t.due_at <= $1 ORDER BY waiting.busy + waiting.turn, waiting.served_at, t.target LIMIT $3 FOR UPDATE OF t SKIP LOCKED`

	// takeDeliveries leases what is due for the targets that are locked: of each as many as it has room for, of all tenants in turns.
	takeDeliveries = `WITH locked AS (
	SELECT * FROM unnest($2::text[], $3::text[], $4::integer[], $5::bigint[], $6::bigint[]) AS l (tenant, target, room, busy, turn)
), due AS (
	SELECT l.tenant, d.id, l.busy + row_number() OVER (PARTITION BY l.tenant ORDER BY d.n, l.turn) AS nth
	FROM locked l CROSS JOIN LATERAL (
		SELECT p.id, row_number() OVER (ORDER BY p.next_at, p.id) AS n FROM (
			SELECT id, next_at FROM callback_deliveries WHERE tenant = l.tenant AND target = l.target AND state = 'pending' AND next_at <= $1
			ORDER BY next_at, id LIMIT greatest(0, l.room - (
				SELECT count(*) FROM callback_deliveries u WHERE u.tenant = l.tenant AND u.target = l.target AND u.leased_until > $1))
		) p
	) d
), chosen AS (
	SELECT tenant, id FROM due WHERE nth <= $7 ORDER BY nth, id LIMIT $8
), taken AS (
	UPDATE callback_deliveries d SET attempt = attempt + 1, leased_until = $9, next_at = $9
	FROM chosen WHERE d.tenant = chosen.tenant AND d.id = chosen.id AND d.state = 'pending' AND d.next_at <= $1 RETURNING d.*
)
SELECT t.tenant, t.id, t.target, coalesce(t.endpoint, ''), t.task, t.type, t.seq, t.body, t.attempt, t.expires_at, t.created_at, coalesce(e.url, t.url, ''),
	coalesce(e.state, 'active'), coalesce(e.secret, s.secret), CASE WHEN e.id IS NULL THEN s.previous ELSE e.previous END,
	CASE WHEN e.id IS NULL THEN s.previous_until ELSE e.previous_until END
FROM taken t LEFT JOIN callback_endpoints e ON e.tenant = t.tenant AND e.id = t.endpoint
	LEFT JOIN callback_secrets s ON s.tenant = t.tenant AND t.endpoint IS NULL
ORDER BY t.created_at, t.id`

	// settleTargets notes when there is something to claim next: the end of a lease where no more may be under way, or else when the
	// next delivery is due.
	settleTargets = `UPDATE callback_targets t SET served_at = CASE WHEN $6 THEN $1 ELSE served_at END,
	due_at = CASE WHEN (SELECT count(*) FROM callback_deliveries u WHERE u.tenant = t.tenant AND u.target = t.target AND u.leased_until > $1)
			>= CASE WHEN t.failures >= $4 THEN 1 ELSE $5::integer END
		THEN (SELECT min(u.leased_until) FROM callback_deliveries u WHERE u.tenant = t.tenant AND u.target = t.target AND u.leased_until > $1)
		ELSE coalesce((SELECT d.next_at FROM callback_deliveries d WHERE d.tenant = t.tenant AND d.target = t.target AND d.state = 'pending'
			ORDER BY d.next_at LIMIT 1), 'infinity') END
FROM unnest($2::text[], $3::text[]) AS l (tenant, target) WHERE t.tenant = l.tenant AND t.target = l.target`
)

// spareTargets are looked at beyond what is asked for: some may turn out to have no room.
const spareTargets = 16

// Claim implements callback.Queue.
func (c *Callbacks) Claim(ctx context.Context, cl callback.Claim) (jobs []callback.Job, err error) {
	err = c.db.asPlatform(ctx, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, lockTargets, cl.Now, cl.PerTenant, cl.Limit+spareTargets)
		if err != nil {
			return err
		}
		var tenants, targets []string
		var room []int32
		var busy, turns []int64
		var tenant, target string
		var failures int32
		var under, turn int64
		_, err = pgx.ForEachRow(rows, []any{&tenant, &target, &failures, &under, &turn}, func() error {
			places := int32(cl.PerTarget)
			if int(failures) >= cl.Broken {
				places = 1
			}
			tenants, targets, room, busy, turns = append(tenants, tenant), append(targets, target), append(room, places), append(busy, under), append(turns, turn)
			return nil
		})
		if err != nil || len(tenants) == 0 {
			return err
		}
		if rows, err = tx.Query(ctx, takeDeliveries, cl.Now, tenants, targets, room, busy, turns, cl.PerTenant, cl.Limit, cl.Now.Add(cl.Lease)); err != nil {
			return err
		}
		if jobs, err = pgx.CollectRows(rows, scanJob); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, settleTargets, cl.Now, tenants, targets, cl.Broken, cl.PerTarget, true)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("claim callbacks: %w", err)
	}
	return jobs, nil
}

func scanJob(row pgx.CollectableRow) (j callback.Job, err error) {
	err = row.Scan(&j.Tenant, &j.ID, &j.Target, &j.EndpointID, &j.TaskID, &j.EventType, &j.Seq, &j.Body, &j.Attempt, &j.ExpiresAt, &j.CreatedAt, &j.To,
		&j.State, &j.Secrets.Current, &j.Secrets.Previous, &j.Secrets.PreviousUntil)
	j.Delivery.State = callback.Pending
	return j, err
}
