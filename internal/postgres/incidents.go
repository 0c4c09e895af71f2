package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// Incidents returns a page of the tenant's incidents: its dead letters, grouped by fingerprint. Dead letters of a release
// before incidents are in it once Backfill has been there. The tasks of an incident are List's with DeadLetters and the
// Fingerprint.
//
// Errors: Invalid (fields "cursor", "limit", "order", "search", "tenant"), Unavailable, Timeout.
func (db *DB) Incidents(ctx context.Context, f task.IncidentFilter) (task.IncidentPage, error) {
	if err := checkPage(f.Tenant, &f.Limit); err != nil {
		return task.IncidentPage{}, err
	}
	sql, args, err := incidentQuery(f)
	if err != nil {
		return task.IncidentPage{}, err
	}
	found, err := askRows(ctx, db.of(f.Tenant), sql, args, scanIncident)
	if err != nil {
		return task.IncidentPage{}, fmt.Errorf("list incidents: %w", err)
	}
	page := task.IncidentPage{Incidents: found}
	if len(found) > f.Limit {
		page.Incidents = found[:f.Limit]
		page.Next = incidentCursor(f.Order, found[f.Limit-1]).encode(incidentsOf(f))
	}
	return page, nil
}

func scanIncident(row pgx.CollectableRow) (i task.Incident, err error) {
	var doc []byte
	if err := row.Scan(&i.Fingerprint, &i.Cause, &i.Kinds, &i.Count, &i.FirstSeen, &i.LastSeen, &i.Tasks, &doc); err != nil {
		return i, err
	}
	i.FirstSeen, i.LastSeen = i.FirstSeen.UTC(), i.LastSeen.UTC()
	last, err := decodeTask(doc, nil)
	if err == nil && last.Failure != nil {
		i.Sample, i.Pattern = sample(last.Failure.Error), sample(task.Pattern(last.Failure.Error))
	}
	return i, err
}

// sample clips a text to what an incident shows.
func sample(s string) string {
	if len(s) > task.MaxSample {
		s = strings.ToValidUTF8(s[:task.MaxSample], "")
	}
	return s
}

// incidentCursor is the place behind i.
func incidentCursor(order task.IncidentOrder, i task.Incident) cursor {
	if order == task.ByCount {
		return cursor{int64(i.Count), i.Fingerprint}
	}
	return timeCursor(i.LastSeen, i.Fingerprint)
}

// incidentsOf returns the list that a page of f belongs to.
func incidentsOf(f task.IncidentFilter) task.IncidentFilter {
	f.Cursor, f.Limit = "", 0
	return f
}

// incidentQuery groups what is in the index on incidents, and looks up only the last tasks of the groups on the page. A search
// reads the errors of the tenant's dead letters.
func incidentQuery(f task.IncidentFilter) (string, []any, error) {
	key := "max(failed_at)"
	switch f.Order {
	case "", task.ByLastSeen:
	case task.ByCount:
		key = "count(*)"
	default:
		return "", nil, fault.InvalidField("order", "%.64q is none of last_seen, count", f.Order)
	}
	q := &query{}
	q.and("tenant = ? AND dead_letter AND failed_at IS NOT NULL AND fingerprint IS NOT NULL", f.Tenant)
	if f.UserID != "" {
		q.and("user_id = ?", indexed(f.UserID))
	}
	oneOf(q, "kind", f.Kinds)
	oneOf(q, "cause", f.Causes)
	if f.Fingerprint != "" {
		q.and("fingerprint = ?", indexed(f.Fingerprint))
	}
	if f.FailedAfter != nil {
		q.and("failed_at > ?", microsecond(*f.FailedAfter))
	}
	if f.FailedBefore != nil {
		q.and("failed_at < ?", microsecond(*f.FailedBefore))
	}
	if err := q.search(f.Search); err != nil {
		return "", nil, err
	}
	where := strings.Join(q.where, " AND ")
	having, err := behind(q, f, key)
	if err != nil {
		return "", nil, err
	}
	return `
		SELECT g.fingerprint, g.cause, g.kinds, g.count, g.first_seen, g.last_seen, s.ids, s.doc
		FROM (
			SELECT fingerprint, coalesce(min(cause), '') AS cause, array_agg(DISTINCT kind) AS kinds, count(*) AS count,
				min(failed_at) AS first_seen, max(failed_at) AS last_seen, ` + key + ` AS key
			FROM tasks WHERE ` + where + `
			GROUP BY fingerprint` + having + `
			ORDER BY key DESC, fingerprint DESC LIMIT ` + strconv.Itoa(f.Limit+1) + `
		) AS g CROSS JOIN LATERAL (
			SELECT array_agg(id) AS ids, (array_agg(doc))[1] AS doc
			FROM (
				SELECT id, doc FROM tasks WHERE ` + where + ` AND fingerprint = g.fingerprint
				ORDER BY failed_at DESC, id DESC LIMIT ` + strconv.Itoa(task.MaxSampleTasks) + `
			) AS newest
		) AS s
		ORDER BY g.key DESC, g.fingerprint DESC`, q.args, nil
}

// behind returns the condition on a group that it comes behind f's cursor.
func behind(q *query, f task.IncidentFilter, key string) (string, error) {
	if f.Cursor == "" {
		return "", nil
	}
	c, err := decodeCursor(f.Cursor, incidentsOf(f))
	if err != nil {
		return "", err
	}
	place := any(c.time())
	if f.Order == task.ByCount {
		place = c.key
	}
	having := &query{args: q.args}
	having.and("("+key+", fingerprint) < (?, ?)", place, c.id)
	q.args = having.args
	return " HAVING " + having.where[0], nil
}
