package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/policy"
)

// total sums up columns of the ledger. A sum is numeric; it comes back as what fits.
func total(columns ...string) string {
	return "least(coalesce(sum(" + strings.Join(columns, ") + sum(") + "), 0), 9223372036854775807)::bigint"
}

// spent is what a row about spending selects.
func spent() string { return total("cost") + ", " + total("input_tokens", "output_tokens") }

// Spent returns what one tenant, user or workflow has spent from a moment on: micro-USD of the calls whose price is known, and
// tokens of all calls, in and out. tenant says whose the user or the workflow is, and is empty for any. What is on the log and
// not recorded yet is missing.
//
// Errors: Invalid (fields "scope", "id"), Unavailable, Timeout.
func (db *DB) Spent(ctx context.Context, scope policy.Scope, id, tenant string, from time.Time) (microUSD, tokens int64, err error) {
	q, err := spentQuery(scope, id, tenant, from)
	if err != nil {
		return 0, 0, err
	}
	if scope == policy.ScopeTenant {
		tenant = id
	}
	ask := db.of(tenant)
	if tenant == "" {
		ask = db.ofAll
	}
	err = askRow(ctx, ask, q.spent(), q.args, func(row pgx.Row) error { return row.Scan(&microUSD, &tokens) })
	if err != nil {
		return 0, 0, fmt.Errorf("sum up what %s %.64q spent: %w", scope, id, err)
	}
	return microUSD, tokens, nil
}

func spentQuery(scope policy.Scope, id, tenant string, from time.Time) (*query, error) {
	if id == "" {
		return nil, fault.InvalidField("id", "is missing")
	}
	q := &query{}
	q.and("at >= ?", microsecond(from))
	switch scope {
	case policy.ScopeTenant:
		tenant = id
	case policy.ScopeUser:
		q.and("user_id = ?", indexed(id))
	case policy.ScopeWorkflow:
		q.and("workflow <> '' AND workflow = ?", indexed(id))
	default:
		return nil, fault.InvalidField("scope", "%q is none of tenant, user, workflow", scope)
	}
	if tenant != "" {
		q.and("tenant = ?", indexed(tenant))
	}
	return q, nil
}

func (q *query) spent() string {
	return "SELECT " + spent() + " FROM ledger WHERE " + strings.Join(q.where, " AND ")
}

func spentAll() string {
	return "SELECT tenant, user_id, workflow, " + spent() + " FROM ledger WHERE at >= $1 AND at < $2 GROUP BY tenant, user_id, workflow"
}

// SpentAll calls each with what every user of every tenant spent from a moment on until, but without, another, apart for each
// workflow (empty: outside of any), as Spent counts it, in no order. Whoever spent nothing is left out. It is for jobs: Config.WriteTimeout bounds it.
//
// Errors: Unavailable, Timeout; each may have been called before.
func (db *DB) SpentAll(ctx context.Context, from, to time.Time, each func(tenant, user, workflow string, microUSD, tokens int64)) error {
	ctx, cancel := context.WithTimeout(ctx, db.writeTimeout)
	defer cancel()
	rows, err := db.pool.Query(ctx, spentAll(), microsecond(from), microsecond(to))
	if err == nil {
		var tenant, user, workflow string
		var cost, tokens int64
		_, err = pgx.ForEachRow(rows, []any{&tenant, &user, &workflow, &cost, &tokens}, func() error {
			each(tenant, user, workflow, cost, tokens)
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("sum up what everybody spent: %w", classify(err))
	}
	return nil
}

// microsecond returns t as the database holds times.
func microsecond(t time.Time) time.Time { return t.Truncate(time.Microsecond) }
