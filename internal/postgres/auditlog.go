package postgres

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// AuditLog is the archive of the chains of the stream AUDIT. It only grows, but for purges. It is safe for concurrent use.
type AuditLog struct{ db *DB }

var (
	_ audit.Archive         = (*AuditLog)(nil)
	_ audit.Sink[audit.Row] = (*AuditLog)(nil)
	_ audit.Expiry          = (*AuditLog)(nil)
)

// NewAuditLog returns the audit log in db.
func NewAuditLog(db *DB) *AuditLog { return &AuditLog{db} }

// streamAudit and streamAccess name the places of the two streams.
const (
	streamAudit  = "AUDIT"
	streamAccess = "ACCESS"
)

// List implements audit.Reader: what Keep has brought; see audit.Trail for the rest. Entries are read from the bytes that are hashed.
func (l *AuditLog) List(ctx context.Context, f audit.Filter) (audit.Page, error) {
	if err := checkAuditPage(f.Tenant, &f.Limit); err != nil {
		return audit.Page{}, err
	}
	sql, args := auditQuery(f)
	var page audit.Page
	err := l.db.asTenant(ctx, f.Tenant, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		found, err := pgx.CollectRows(rows, scanAudit)
		for _, row := range found {
			e, unreadable := row.Entry()
			if unreadable != nil { // somebody changed it: it is shown as far as it can be, and Verify says the rest
				e = *row.Shown
			}
			page.Entries = append(page.Entries, e)
		}
		return err
	})
	if err != nil {
		return audit.Page{}, fmt.Errorf("list what is on record: %w", err)
	}
	if len(page.Entries) > f.Limit {
		page.Entries = page.Entries[:f.Limit]
		page.Next = page.Entries[f.Limit-1].N
	}
	return page, nil
}

func checkAuditPage(tenant string, limit *int) error {
	*limit = cmp.Or(*limit, audit.DefaultPage)
	if *limit < 1 || *limit > audit.MaxPage {
		return fault.InvalidField("limit", "is %d, must be 1 to %d", *limit, audit.MaxPage)
	}
	if err := events.CheckToken("tenant", tenant); err != nil {
		return fault.InvalidField("tenant", "%v", err)
	}
	return nil
}

const auditColumns = `tenant, n, at, actor, action, target, outcome, entry, prev, hash`

func auditQuery(f audit.Filter) (string, []any) {
	q := &query{}
	q.and("tenant = ?", f.Tenant)
	for column, value := range map[string]string{"actor": f.Actor, "target": f.Target} {
		if value != "" {
			q.and(column+" = ?", indexed(value))
		}
	}
	if f.Action != "" {
		q.and("starts_with(action, ?)", indexed(f.Action))
	}
	if f.From != nil {
		q.and("at >= ?", *f.From)
	}
	if f.To != nil {
		q.and("at < ?", *f.To)
	}
	if f.Before > 0 {
		q.and("n < ?", int64(min(f.Before, 1<<62)))
	}
	return "SELECT " + auditColumns + " FROM audit_log WHERE " + strings.Join(q.where, " AND ") + " ORDER BY n DESC LIMIT " + strconv.Itoa(f.Limit+1), q.args
}

func scanAudit(row pgx.CollectableRow) (r audit.Row, err error) {
	var prev, hash []byte
	var shown audit.Entry
	if err := row.Scan(&r.Tenant, &r.N, &shown.At, &shown.Actor, &shown.Action, &shown.Target, &shown.Outcome, &r.Data, &prev, &hash); err != nil {
		return r, err
	}
	copy(r.Prev[:], prev)
	copy(r.Hash[:], hash)
	shown.N, shown.Tenant, shown.At = r.N, r.Tenant, shown.At.UTC()
	shown.Prev, shown.Hash = r.Prev.String(), r.Hash.String()
	r.Shown = &shown
	return r, nil
}

// verifyPage is how many rows of a chain are in memory at a time.
const verifyPage = 256

const listAuditRows = `SELECT ` + auditColumns + ` FROM audit_log WHERE tenant = $1 AND n > $2 ORDER BY n LIMIT $3`

// Rows returns a tenant's chain behind what was purged, in order. It is read page by page: entries that come meanwhile are there.
func (l *AuditLog) Rows(ctx context.Context, tenant string) iter.Seq2[audit.Row, error] {
	return func(yield func(audit.Row, error) bool) {
		from, err := l.Purged(ctx, tenant)
		for after := from.N; ; {
			var page []audit.Row
			if err == nil {
				err = l.db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
					rows, err := tx.Query(ctx, listAuditRows, tenant, after, verifyPage)
					if err != nil {
						return err
					}
					page, err = pgx.CollectRows(rows, scanAudit)
					return err
				})
			}
			if err != nil {
				yield(audit.Row{}, fmt.Errorf("read the chain of %s: %w", tenant, err))
				return
			}
			for _, row := range page {
				if !yield(row, nil) {
					return
				}
				after = row.N
			}
			if len(page) < verifyPage {
				return
			}
		}
	}
}

const (
	readAuditHead = `
		SELECT n, hash FROM ((SELECT n, hash FROM audit_log WHERE tenant = $1 ORDER BY n DESC LIMIT 1)
			UNION ALL SELECT n, hash FROM audit_anchors WHERE tenant = $1) AS x ORDER BY n DESC LIMIT 1`
	readAuditAnchor  = `SELECT n, hash FROM audit_anchors WHERE tenant = $1`
	listAuditTenants = `SELECT DISTINCT tenant FROM audit_log ORDER BY tenant`
)

// Head returns the last entry of a tenant's chain in the archive, a zero Anchor when it has none.
func (l *AuditLog) Head(ctx context.Context, tenant string) (audit.Anchor, error) {
	return l.anchor(ctx, readAuditHead, tenant)
}

// Purged returns up to where a tenant's chain was purged, a zero Anchor for a whole one.
func (l *AuditLog) Purged(ctx context.Context, tenant string) (audit.Anchor, error) {
	return l.anchor(ctx, readAuditAnchor, tenant)
}

// anchor returns the one anchor that a query of a tenant's has, or a zero one.
func (l *AuditLog) anchor(ctx context.Context, sql, tenant string, args ...any) (a audit.Anchor, err error) {
	err = l.db.asTenant(ctx, tenant, func(ctx context.Context, tx pgx.Tx) error {
		var hash []byte
		rows, err := tx.Query(ctx, sql, append([]any{tenant}, args...)...)
		if err != nil {
			return err
		}
		_, err = pgx.ForEachRow(rows, []any{&a.N, &hash}, func() error {
			copy(a.Hash[:], hash)
			return nil
		})
		return err
	})
	if err != nil {
		return audit.Anchor{}, fmt.Errorf("read the chain of %s: %w", tenant, err)
	}
	return a, nil
}

// Tenants returns the tenants that have a chain in the archive, in order. It reads an index of the whole archive.
func (l *AuditLog) Tenants(ctx context.Context) (tenants []string, err error) {
	err = l.db.transact(ctx, l.db.writeTimeout, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, listAuditTenants)
		if err != nil {
			return err
		}
		tenants, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the tenants that have a chain: %w", err)
	}
	return tenants, nil
}

// expiredAudit finds the last entry of the part of a chain that is older than a time; clocks differ, so a younger entry may lie between.
// The newest one always stays.
const expiredAudit = `
	SELECT n, hash FROM audit_log WHERE tenant = $1
		AND n < coalesce((SELECT min(n) FROM audit_log WHERE tenant = $1 AND at >= $2), (SELECT max(n) FROM audit_log WHERE tenant = $1))
	ORDER BY n DESC LIMIT 1`

// Expired implements audit.Expiry.
func (l *AuditLog) Expired(ctx context.Context, tenant string, before time.Time) (audit.Anchor, error) {
	return l.anchor(ctx, expiredAudit, tenant, before)
}
