package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	readPlace = `SELECT epoch, seq FROM audit_places WHERE stream = $1`
	movePlace = `
		INSERT INTO audit_places AS p (stream, epoch, seq, updated) VALUES ($1, $2, $3, now())
		ON CONFLICT (stream) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq, updated = now() WHERE p.epoch = $4 AND p.seq = $5`
)

// place returns how far a stream has been copied.
func (db *DB) place(ctx context.Context, stream string) (p audit.Place, err error) {
	ctx, cancel := context.WithTimeout(ctx, db.readTimeout)
	defer cancel()
	err = db.pool.QueryRow(ctx, readPlace, stream).Scan(&p.Epoch, &p.Seq)
	if errors.Is(err, pgx.ErrNoRows) {
		return audit.Place{}, nil
	}
	if err != nil {
		return audit.Place{}, fmt.Errorf("read how far %s is archived: %w", stream, classify(err))
	}
	p.Epoch = p.Epoch.UTC()
	return p, nil
}

// keep runs fn in a transaction that moves the place of a stream.
func (db *DB) keep(ctx context.Context, stream string, from, to audit.Place, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return db.transact(ctx, db.writeTimeout, func(ctx context.Context, tx pgx.Tx) error {
		moved, err := tx.Exec(ctx, movePlace, stream, to.Epoch, to.Seq, from.Epoch, from.Seq)
		if err != nil {
			return err
		}
		if moved.RowsAffected() == 0 {
			return fault.New(fault.Conflict, "another process has archived this part of %s", stream)
		}
		return fn(ctx, tx)
	})
}

// Place implements audit.Sink.
func (l *AuditLog) Place(ctx context.Context) (audit.Place, error) {
	return l.db.place(ctx, streamAudit)
}

const (
	insertAudit = `
		INSERT INTO audit_log (` + auditColumns + `)
		SELECT r.* FROM unnest($1::text[], $2::bigint[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bytea[], $9::bytea[], $10::bytea[])
			AS r (` + auditColumns + `)
		WHERE NOT EXISTS (SELECT FROM audit_anchors a WHERE a.tenant = r.tenant AND a.n >= r.n)
		ON CONFLICT (tenant, n) DO NOTHING`
	listForks = `
		SELECT a.tenant, a.n FROM unnest($1::text[], $2::bigint[], $3::bytea[]) AS r (tenant, n, hash)
		JOIN audit_log a ON a.tenant = r.tenant AND a.n = r.n WHERE a.hash <> r.hash ORDER BY 1, 2`
)

// Keep implements audit.Sink. Where the archive has another entry of the same number, as after the stream lost what it had acknowledged,
// that one stays, and the log says so: from then on Verify says it, too.
func (l *AuditLog) Keep(ctx context.Context, rows []audit.Row, from, to audit.Place) error {
	var tenants, actors, actions, targets, outcomes []string
	var ns []int64
	var at []time.Time
	var data, prevs, hashes [][]byte
	for _, r := range rows {
		e, err := r.Entry()
		if err != nil {
			return err
		}
		tenants, ns, at = append(tenants, r.Tenant), append(ns, int64(r.N)), append(at, e.At)
		actors, actions = append(actors, indexed(e.Actor)), append(actions, indexed(e.Action))
		targets, outcomes = append(targets, indexed(e.Target)), append(outcomes, indexed(e.Outcome))
		data, prevs, hashes = append(data, r.Data), append(prevs, r.Prev[:]), append(hashes, r.Hash[:])
	}
	type place struct {
		Tenant string
		N      uint64
	}
	var forks []place
	err := l.db.keep(ctx, streamAudit, from, to, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, insertAudit, tenants, ns, at, actors, actions, targets, outcomes, data, prevs, hashes)
		if err != nil || tag.RowsAffected() == int64(len(rows)) {
			return err
		}
		found, err := tx.Query(ctx, listForks, tenants, ns, hashes)
		if err != nil {
			return err
		}
		forks, err = pgx.CollectRows(found, pgx.RowToStructByPos[place])
		return err
	})
	if err != nil {
		return fmt.Errorf("archive %d audit entries: %w", len(rows), err)
	}
	for _, f := range forks {
		l.db.logger.ErrorContext(ctx, "the archive and the stream have different audit entries", "tenant", f.Tenant, "n", f.N)
	}
	return nil
}

const (
	allowPurge = `SELECT set_config('toolboxai.purge', $1, true)`
	moveAnchor = `
		INSERT INTO audit_anchors AS a (tenant, n, hash, purged_at) SELECT tenant, n, hash, now() FROM audit_log WHERE tenant = $1 AND n = $2 AND hash = $3
		ON CONFLICT (tenant) DO UPDATE SET n = excluded.n, hash = excluded.hash, purged_at = now() WHERE a.n < excluded.n`
	purgeAudit = `
		DELETE FROM audit_log WHERE tenant = $1 AND n IN (SELECT l.n FROM audit_log l JOIN audit_anchors a ON a.tenant = l.tenant AND l.n <= a.n
			WHERE l.tenant = $1 ORDER BY l.n LIMIT $2)`
	// purgeBatch is how many entries are deleted in one transaction.
	purgeBatch = 2000
)

// PurgeTo implements audit.Expiry. Only here entries are deleted: a trigger refuses it to everybody else.
func (l *AuditLog) PurgeTo(ctx context.Context, tenant string, to audit.Anchor) error {
	for deleted := int64(purgeBatch); deleted == purgeBatch; {
		err := l.db.transact(ctx, l.db.writeTimeout, func(ctx context.Context, tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, allowPurge, tenant); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, moveAnchor, tenant, to.N, to.Hash[:]); err != nil {
				return err
			}
			tag, err := tx.Exec(ctx, purgeAudit, tenant, purgeBatch)
			deleted = tag.RowsAffected()
			return err
		})
		if err != nil {
			return fmt.Errorf("purge the audit of %s: %w", tenant, err)
		}
	}
	return nil
}
