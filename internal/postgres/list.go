package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

const (
	// lagAllowed is how far the archive may be behind the log before a list says that it is stale.
	lagAllowed = "2 seconds"
	// silenceAllowed is the same for when the log's head is not known.
	silenceAllowed = "60 seconds"
)

// The position is read before the tasks, so that what is said about it holds for them.
const readPosition = `
	SELECT seq, event_time, event_time < now() - interval '` + lagAllowed + `', recorded_at < now() - interval '` + silenceAllowed + `'
	FROM recorder_position`

// List returns a page of the tenant's tasks, newest first, without their inputs and results, and without the raw bytes of
// undecodable ones. Pages are cut by creation time and id: tasks that are submitted meanwhile do not move what is on later
// pages. CreatedAfter and CreatedBefore are exclusive; times count in whole microseconds.
//
// A page is Stale when the log's last event is not recorded and what was recorded last happened more than 2 s ago; AsOf is
// then the time of that event. Otherwise AsOf is when the log's head was asked for, at most a second ago. While the head is
// not known a page is Stale when nothing was recorded for 60 s.
//
// Errors: Invalid (fields "cursor", "limit", "tenant"), Unavailable, Timeout.
func (db *DB) List(ctx context.Context, f task.Filter) (task.Page, error) {
	if f.Limit == 0 {
		f.Limit = task.DefaultPage
	}
	if f.Limit < 1 || f.Limit > task.MaxPage {
		return task.Page{}, fault.InvalidField("limit", "is %d, must be 1 to %d", f.Limit, task.MaxPage)
	}
	if err := events.CheckToken("tenant", f.Tenant); err != nil {
		return task.Page{}, fault.InvalidField("tenant", "%v", err)
	}
	query, err := listQuery(f)
	if err != nil {
		return task.Page{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, db.readTimeout)
	defer cancel()
	headSeq, asked, known := db.head.last(ctx)

	page := task.Page{Tasks: []task.Task{}}
	var last cursor
	var more bool
	var q pgx.Batch
	q.Queue(readPosition).QueryRow(func(row pgx.Row) error {
		var seq int64
		var lags, silent bool
		if err := row.Scan(&seq, &page.AsOf, &lags, &silent); err != nil {
			return err
		}
		page.AsOf = page.AsOf.UTC()
		switch {
		case !known:
			page.Stale = silent
		case headSeq > uint64(seq):
			page.Stale = lags
		default:
			page.AsOf = asked.UTC()
		}
		return nil
	})
	q.Queue(query.sql(), query.args...).Query(func(rows pgx.Rows) error {
		var doc []byte
		var at cursor
		_, err := pgx.ForEachRow(rows, []any{&at.id, &at.createdAt, &doc}, func() error {
			if len(page.Tasks) == f.Limit {
				more = true
				return nil
			}
			t, err := decodeTask(doc, nil)
			page.Tasks, last = append(page.Tasks, t), at
			return err
		})
		return err
	})
	if err := db.pool.SendBatch(ctx, &q).Close(); err != nil {
		return task.Page{}, fmt.Errorf("list tasks: %w", classify(err))
	}
	if more {
		page.Next = last.encode(f)
	}
	return page, nil
}

// query is a list under construction: conditions in SQL, and their arguments.
type query struct {
	where []string
	args  []any
	limit int
}

// listQuery turns a filter into SQL. Each combination of filters is a statement of its own, with a plan of its own.
func listQuery(f task.Filter) (*query, error) {
	q := &query{limit: f.Limit + 1} // one more, to know whether there is a next page
	q.and("tenant = ?", f.Tenant)
	if f.UserID != "" {
		q.and("user_id = ?", indexed(f.UserID))
	}
	oneOf(q, "kind", f.Kinds)
	oneOf(q, "state", f.States)
	oneOf(q, "cause", f.Causes)
	if f.Fingerprint != "" {
		q.and("fingerprint = ?", indexed(f.Fingerprint))
	}
	if len(f.Labels) > 0 {
		doc, err := labelDocument(f.Tenant, f.Labels)
		if err != nil {
			return nil, err
		}
		q.and("labels <> '{}' AND labels @> ?::text::jsonb", doc)
	}
	if f.CreatedAfter != nil {
		q.and("created_at > ?", f.CreatedAfter.Truncate(time.Microsecond))
	}
	if f.CreatedBefore != nil {
		q.and("created_at < ?", f.CreatedBefore.Truncate(time.Microsecond))
	}
	if f.DeadLetters {
		q.and("dead_letter")
	}
	if f.Cursor != "" {
		c, err := decodeCursor(f)
		if err != nil {
			return nil, err
		}
		q.and("(created_at, id) < (?, ?)", c.createdAt, c.id)
	}
	return q, nil
}

// and adds a condition; each ? in it stands for the next argument.
func (q *query) and(condition string, args ...any) {
	for _, a := range args {
		q.args = append(q.args, a)
		condition = strings.Replace(condition, "?", "$"+strconv.Itoa(len(q.args)), 1)
	}
	q.where = append(q.where, condition)
}

// oneOf adds a condition on a column. A single value is compared with =, which lets the index give the order too.
func oneOf[S ~string](q *query, column string, values []S) {
	switch len(values) {
	case 0:
	case 1:
		q.and(column+" = ?", indexed(string(values[0])))
	default:
		texts := make([]string, len(values))
		for i, v := range values {
			texts[i] = indexed(string(v))
		}
		q.and(column+" = ANY (?)", texts)
	}
}

func (q *query) sql() string {
	return "SELECT id, created_at, doc FROM tasks WHERE " + strings.Join(q.where, " AND ") +
		" ORDER BY created_at DESC, id DESC LIMIT " + strconv.Itoa(q.limit)
}
