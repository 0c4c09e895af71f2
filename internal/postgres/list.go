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

// List returns a page of the tenant's tasks, newest first, without their inputs, results and refused answers, and without the raw bytes of
// undecodable ones. Pages are cut by creation time and id: tasks that are submitted meanwhile do not move what is on later
// pages, and neither do tasks that leave the list or come back to it, so that a walk over the dead letters meets each at most
// once while it replays them. CreatedAfter and CreatedBefore are exclusive; times count in whole microseconds.
//
// A page is Stale when the log's last event is not recorded and what was recorded last happened more than 2 s ago; AsOf is
// then the time of that event. Otherwise AsOf is when the log's head was asked for, at most a second ago. While the head is
// not known a page is Stale when nothing was recorded for 60 s.
//
// Errors: Invalid (fields "cursor", "ids", "limit", "search", "tenant"), Unavailable, Timeout.
func (db *DB) List(ctx context.Context, f task.Filter) (task.Page, error) {
	if err := checkPage(f.Tenant, &f.Limit); err != nil {
		return task.Page{}, err
	}
	query, err := listQuery(f)
	if err != nil {
		return task.Page{}, err
	}
	headSeq, asked, known := db.head.last(ctx)

	page := task.Page{Tasks: []task.Task{}}
	var at, last cursor
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
		var createdAt time.Time
		_, err := pgx.ForEachRow(rows, []any{&at.id, &createdAt, &doc}, func() error {
			if len(page.Tasks) == f.Limit {
				more = true
				return nil
			}
			t, err := decodeTask(doc, nil)
			t.Refused = nil // up to 64 KiB that a list has no room for
			page.Tasks, last = append(page.Tasks, t), timeCursor(createdAt, at.id)
			return err
		})
		return err
	})
	if err := db.of(f.Tenant)(ctx, &q); err != nil {
		return task.Page{}, fmt.Errorf("list tasks: %w", err)
	}
	if more {
		page.Next = last.encode(listOf(f))
	}
	return page, nil
}

// checkPage holds a page's tenant and limit against their bounds, and sets the limit where it is 0.
func checkPage(tenant string, limit *int) error {
	if *limit == 0 {
		*limit = task.DefaultPage
	}
	if *limit < 1 || *limit > task.MaxPage {
		return fault.InvalidField("limit", "is %d, must be 1 to %d", *limit, task.MaxPage)
	}
	if err := events.CheckToken("tenant", tenant); err != nil {
		return fault.InvalidField("tenant", "%v", err)
	}
	return nil
}

// listOf returns the list that a page of f belongs to. What is shared with somebody may change from page to page.
func listOf(f task.Filter) task.Filter {
	f.Cursor, f.Limit = "", 0
	if f.Readable != nil {
		f.Readable = &task.Readable{UserID: f.Readable.UserID}
	}
	return f
}

// query is a list under construction: conditions in SQL, and their arguments.
type query struct {
	from  string
	where []string
	args  []any
	limit int
}

// listQuery turns a filter into SQL. Each combination of filters is a statement of its own, with a plan of its own.
func listQuery(f task.Filter) (*query, error) {
	q := &query{from: "tasks", limit: f.Limit + 1} // one more, to know whether there is a next page
	q.and("tenant = ?", f.Tenant)
	if f.UserID != "" {
		q.and("user_id = ?", indexed(f.UserID))
	}
	if len(f.IDs) > task.MaxPage {
		return nil, fault.InvalidField("ids", "has %d entries, at most %d are allowed", len(f.IDs), task.MaxPage)
	}
	oneOf(q, "id", f.IDs)
	if r := f.Readable; r != nil {
		if len(r.IDs) > task.MaxReadable {
			return nil, fault.InvalidField("ids", "has %d entries that are shared, at most %d are allowed", len(r.IDs), task.MaxReadable)
		}
		ids := make([]string, len(r.IDs))
		for i, id := range r.IDs {
			ids[i] = indexed(id)
		}
		q.and("(user_id = ? OR id = ANY (?))", indexed(r.UserID), ids)
	}
	oneOf(q, "kind", f.Kinds)
	oneOf(q, "state", f.States)
	oneOf(q, "cause", f.Causes)
	if f.Fingerprint != "" {
		q.and("fingerprint = ?", indexed(f.Fingerprint))
	}
	if err := q.search(f.Search); err != nil {
		return nil, err
	}
	if f.Schedule != "" {
		q.and("schedule = ?", indexed(f.Schedule))
	}
	if f.Workflow != "" {
		q.and("workflow = ?", indexed(f.Workflow))
	}
	if len(f.Labels) > 0 {
		doc, err := labelDocument(f.Tenant, f.Labels)
		if err != nil {
			return nil, err
		}
		q.from = "tasks_of_tenant" // row-level security on tasks would keep the index on labels from being used
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
		c, err := decodeCursor(f.Cursor, listOf(f))
		if err != nil {
			return nil, err
		}
		q.and("(created_at, id) < (?, ?)", c.time(), c.id)
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

// Bounds of a search.
const (
	maxSearch      = 256 // bytes
	maxSearchWords = 8
)

// search adds the condition that the last failure's error holds every word of text, each anywhere, also within a longer word.
// It reads the errors of the tenant's failures and nothing else. That is fast enough without pg_trgm, which the role of the
// migration may lack and many servers do not have: a schema that differs from server to server would cost more than it
// saves.
func (q *query) search(text string) error {
	words := strings.Fields(searched(text))
	if len(text) > maxSearch || len(words) > maxSearchWords {
		return fault.InvalidField("search", "has %d bytes and %d words, at most %d and %d are allowed", len(text), len(words), maxSearch, maxSearchWords)
	}
	for _, word := range words {
		q.and("error IS NOT NULL AND strpos(error, ?) > 0", word)
	}
	return nil
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
	return "SELECT id, created_at, doc FROM " + q.from + " WHERE " + strings.Join(q.where, " AND ") +
		" ORDER BY created_at DESC, id DESC LIMIT " + strconv.Itoa(q.limit)
}
