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

// Callbacks keeps endpoints, deliveries, and how processes share them. What is asked for a tenant is behind the second lock; what a
// Runner does for all of them, callback.Queue, is not. It is safe for concurrent use.
type Callbacks struct{ db *DB }

var (
	_ callback.Endpoints   = (*Callbacks)(nil)
	_ callback.DeliveryLog = (*Callbacks)(nil)
	_ callback.Queue       = (*Callbacks)(nil)
)

// NewCallbacks returns the callbacks in db.
func NewCallbacks(db *DB) *Callbacks { return &Callbacks{db} }

const endpointColumns = `tenant, id, url, description, events, state, reason, secret, previous, previous_until, created_at, updated_at, version`

func scanEndpoint(row pgx.Row) (e callback.Endpoint, err error) {
	err = row.Scan(&e.Tenant, &e.ID, &e.URL, &e.Description, &e.Events, &e.State, &e.Reason, &e.Secrets.Current, &e.Secrets.Previous,
		&e.Secrets.PreviousUntil, &e.CreatedAt, &e.UpdatedAt, &e.Version)
	e.CreatedAt, e.UpdatedAt, e.Secrets.PreviousUntil = e.CreatedAt.UTC(), e.UpdatedAt.UTC(), utc(e.Secrets.PreviousUntil)
	return e, err
}

func utc(at *time.Time) *time.Time {
	if at != nil {
		t := at.UTC()
		at = &t
	}
	return at
}

// lockEndpoints makes who gives a tenant endpoints wait for each other.
const (
	lockEndpoints  = `SELECT pg_advisory_xact_lock(hashtextextended('callback_endpoints ' || $1, 0))`
	countEndpoints = `SELECT count(*) FROM callback_endpoints WHERE tenant = $1`
	insertEndpoint = `INSERT INTO callback_endpoints (` + endpointColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`
)

// CreateEndpoint implements callback.Endpoints.
func (c *Callbacks) CreateEndpoint(ctx context.Context, e callback.Endpoint, atMost int) error {
	return c.db.asTenant(ctx, e.Tenant, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockEndpoints, e.Tenant); err != nil {
			return err
		}
		var there int
		if err := tx.QueryRow(ctx, countEndpoints, e.Tenant).Scan(&there); err != nil {
			return err
		}
		if there >= atMost {
			return fault.New(fault.Conflict, "there are %d endpoints already: delete one first", there)
		}
		_, err := tx.Exec(ctx, insertEndpoint, e.Tenant, e.ID, storable(e.URL), storable(e.Description), texts(e.Events), e.State, storable(e.Reason),
			e.Secrets.Current, e.Secrets.Previous, e.Secrets.PreviousUntil, e.CreatedAt, e.UpdatedAt, e.Version)
		return err
	})
}

const (
	readEndpoint  = `SELECT ` + endpointColumns + ` FROM callback_endpoints WHERE tenant = $1 AND id = $2`
	listEndpoints = `SELECT ` + endpointColumns + ` FROM callback_endpoints WHERE tenant = $1 ORDER BY created_at, id`
)

// Endpoint implements callback.Endpoints.
func (c *Callbacks) Endpoint(ctx context.Context, tenant, id string) (e callback.Endpoint, err error) {
	err = askRow(ctx, c.db.of(tenant), readEndpoint, []any{tenant, indexed(id)}, func(row pgx.Row) (err error) {
		e, err = scanEndpoint(row)
		return err
	})
	return e, noEndpoint(id, err)
}

func noEndpoint(id string, err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return fault.New(fault.NotFound, "there is no endpoint %.64q", id)
	}
	return err
}

// ListEndpoints implements callback.Endpoints.
func (c *Callbacks) ListEndpoints(ctx context.Context, tenant string) ([]callback.Endpoint, error) {
	return askRows(ctx, c.db.of(tenant), listEndpoints, []any{tenant}, func(row pgx.CollectableRow) (callback.Endpoint, error) { return scanEndpoint(row) })
}

const (
	lockTarget     = `SELECT 1 FROM callback_targets WHERE tenant = $1 AND target = $2 FOR UPDATE`
	updateEndpoint = `UPDATE callback_endpoints SET url = $3, description = $4, events = $5, state = $6, reason = $7, secret = $8, previous = $9,
		previous_until = $10, updated_at = $11, version = version + 1 WHERE tenant = $1 AND id = $2 AND version = $12`
	// buryEndpoint leaves alone what is under way: that comes to its own end.
	buryEndpoint = `UPDATE callback_deliveries SET state = 'dead', last_error = 'the endpoint is disabled', leased_until = NULL, finished_at = $3
		WHERE tenant = $1 AND endpoint = $2 AND state = 'pending' AND (leased_until IS NULL OR leased_until <= $3)`
)

// UpdateEndpoint implements callback.Endpoints.
func (c *Callbacks) UpdateEndpoint(ctx context.Context, e callback.Endpoint) error {
	return c.db.asTenant(ctx, e.Tenant, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockTarget, e.Tenant, e.ID); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, updateEndpoint, e.Tenant, indexed(e.ID), storable(e.URL), storable(e.Description), texts(e.Events), e.State, storable(e.Reason),
			e.Secrets.Current, e.Secrets.Previous, e.Secrets.PreviousUntil, e.UpdatedAt, e.Version-1)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			if _, err := scanEndpoint(tx.QueryRow(ctx, readEndpoint, e.Tenant, indexed(e.ID))); err != nil {
				return noEndpoint(e.ID, err)
			}
			return fault.New(fault.Conflict, "somebody else changed the endpoint at the same time")
		}
		if e.State == callback.Disabled {
			_, err = tx.Exec(ctx, buryEndpoint, e.Tenant, e.ID, e.UpdatedAt)
		}
		return err
	})
}

// Deliveries of an endpoint that goes are removed in pages: there may be a month of them.
const (
	goPage          = 10_000
	closeEndpoint   = `UPDATE callback_endpoints SET state = 'disabled', reason = 'is being deleted' WHERE tenant = $1 AND id = $2`
	emptyEndpoint   = `DELETE FROM callback_deliveries WHERE tenant = $1 AND id IN (SELECT id FROM callback_deliveries WHERE tenant = $1 AND endpoint = $2 LIMIT $3)`
	forgetTarget    = `DELETE FROM callback_targets WHERE tenant = $1 AND target = $2`
	deleteEndpoint  = `DELETE FROM callback_endpoints WHERE tenant = $1 AND id = $2`
	maxDeletedPages = 10_000
)

// DeleteEndpoint implements callback.Endpoints.
func (c *Callbacks) DeleteEndpoint(ctx context.Context, tenant, id string) error {
	err := c.db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, closeEndpoint, tenant, indexed(id))
		if err == nil && tag.RowsAffected() == 0 {
			err = noEndpoint(id, pgx.ErrNoRows)
		}
		return err
	})
	for range maxDeletedPages {
		if err != nil {
			break
		}
		var left bool
		err = c.db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, forgetTarget, tenant, id); err != nil {
				return err
			}
			tag, err := tx.Exec(ctx, emptyEndpoint, tenant, id, goPage)
			if left = err == nil && tag.RowsAffected() == goPage; err != nil || left {
				return err
			}
			_, err = tx.Exec(ctx, deleteEndpoint, tenant, id)
			return err
		})
		if !left {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("delete endpoint %.64s: %w", id, err)
	}
	return nil
}

const (
	giveSecret = `INSERT INTO callback_secrets (tenant, secret, previous, previous_until) VALUES ($1, $2, $3, $4) ON CONFLICT (tenant) DO NOTHING`
	readSecret = `SELECT secret, previous, previous_until FROM callback_secrets WHERE tenant = $1`
	setSecret  = `UPDATE callback_secrets SET secret = $3, previous = $4, previous_until = $5 WHERE tenant = $1 AND secret = $2`
)

// TaskSecrets implements callback.Endpoints.
func (c *Callbacks) TaskSecrets(ctx context.Context, tenant string, first callback.Secrets) (s callback.Secrets, err error) {
	err = c.db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
		read := func() error {
			return tx.QueryRow(ctx, readSecret, tenant).Scan(&s.Current, &s.Previous, &s.PreviousUntil)
		}
		if err := read(); !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if _, err := tx.Exec(ctx, giveSecret, tenant, first.Current, first.Previous, first.PreviousUntil); err != nil {
			return err
		}
		return read()
	})
	s.PreviousUntil = utc(s.PreviousUntil)
	return s, err
}

// SetTaskSecrets implements callback.Endpoints.
func (c *Callbacks) SetTaskSecrets(ctx context.Context, tenant string, current []byte, next callback.Secrets) error {
	return c.db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, setSecret, tenant, current, next.Current, next.Previous, next.PreviousUntil)
		if err == nil && tag.RowsAffected() == 0 {
			err = fault.New(fault.Conflict, "somebody else changed the secret at the same time")
		}
		return err
	})
}
