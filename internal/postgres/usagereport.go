package postgres

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// UsageReport returns what was used, told apart as f.By says, ordered by tenant, user, workflow, kind, provider, model and day.
// The money of all rows together is what Spent says, whatever they are told apart by. There are no rows when nothing was used.
//
// Errors: Invalid (fields "from", "by"), TooLarge above task.MaxUsageRows, Unavailable, Timeout.
func (db *DB) UsageReport(ctx context.Context, f task.UsageFilter) ([]task.UsageRow, error) {
	sql, args, err := usageQuery(f)
	if err != nil {
		return nil, err
	}
	ask := db.of(f.Tenant)
	if f.Tenant == "" {
		ask = db.ofAll
	}
	report, err := askRows(ctx, ask, sql, args, scanUsage)
	if err != nil {
		return nil, fmt.Errorf("report usage: %w", err)
	}
	if len(report) > task.MaxUsageRows {
		return nil, fault.New(fault.TooLarge, "the report has more than %d rows: choose a shorter period, or fewer things to tell apart", task.MaxUsageRows)
	}
	return report, nil
}

func scanUsage(row pgx.CollectableRow) (u task.UsageRow, err error) {
	err = row.Scan(&u.Tenant, &u.UserID, &u.Workflow, &u.Kind, &u.Provider, &u.Model, &u.Day, &u.Calls,
		&u.InputTokens, &u.OutputTokens, &u.MicroUSD, &u.CostKnown)
	if u.Day != nil {
		day := u.Day.UTC()
		u.Day = &day
	}
	return u, err
}

// usageColumn is something that a report can tell apart.
type usageColumn struct {
	expr    string
	without string // what stands for it in a report that does not
	by      []task.UsageUnit
}

// usageColumns are in the order of scanUsage.
func usageColumns() []usageColumn {
	return []usageColumn{
		{"tenant", "''", []task.UsageUnit{task.UsageByTenant, task.UsageByUser}},
		{"user_id", "''", []task.UsageUnit{task.UsageByUser}},
		{"workflow", "''", []task.UsageUnit{task.UsageByWorkflow}},
		{"kind", "''", []task.UsageUnit{task.UsageByKind}},
		{"provider", "''", []task.UsageUnit{task.UsageByModel}},
		{"model", "''", []task.UsageUnit{task.UsageByModel}},
		{"date_trunc('day', at, 'UTC')", "NULL::timestamptz", []task.UsageUnit{task.UsageByDay}},
	}
}

func usageQuery(f task.UsageFilter) (string, []any, error) {
	if !f.From.Before(f.To) {
		return "", nil, fault.InvalidField("from", "must be before to")
	}
	selected, group, err := usageGroup(f.By)
	if err != nil {
		return "", nil, err
	}
	q := &query{}
	q.and("at >= ? AND at < ?", microsecond(f.From), microsecond(f.To))
	if f.Tenant != "" {
		q.and("tenant = ?", indexed(f.Tenant))
	}
	if f.UserID != "" {
		q.and("user_id = ?", indexed(f.UserID))
	}
	if f.Workflow != "" {
		q.and("workflow <> '' AND workflow = ?", indexed(f.Workflow))
	}
	oneOf(q, "kind", f.Kinds)
	oneOf(q, "model", f.Models)
	sql := "SELECT " + strings.Join(selected, ", ") + ", " + total("calls") + ", " + total("input_tokens") + ", " +
		total("output_tokens") + ", " + total("cost") + ", bool_and(priced) FROM ledger WHERE " + strings.Join(q.where, " AND ")
	if len(group) > 0 {
		sql += " GROUP BY " + strings.Join(group, ", ")
	} else {
		sql += " HAVING count(*) > 0"
	}
	// Without the wall between them the planner sorts the entries, rather than the rows of the report.
	return "WITH report AS MATERIALIZED (" + sql + ") SELECT * FROM report ORDER BY 1, 2, 3, 4, 5, 6, 7 LIMIT " +
		strconv.Itoa(task.MaxUsageRows+1), q.args, nil
}

// usageGroup returns what a report selects to say what a row is of, and what it is grouped by.
func usageGroup(by []task.UsageUnit) (selected, group []string, err error) {
	known := map[task.UsageUnit]bool{}
	for _, c := range usageColumns() {
		expr := c.without
		for _, unit := range c.by {
			known[unit] = true
			if slices.Contains(by, unit) {
				expr = c.expr
			}
		}
		if expr == c.expr {
			group = append(group, expr)
		}
		selected = append(selected, expr)
	}
	for _, unit := range by {
		if !known[unit] {
			return nil, nil, fault.InvalidField("by", "%.64q is none of tenant, user, workflow, kind, model, day", unit)
		}
	}
	return selected, group, nil
}
