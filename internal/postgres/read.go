package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

const getTask = `
	SELECT t.doc, t.raw, t.input, r.result
	FROM tasks t LEFT JOIN results r ON r.tenant = t.tenant AND r.task = t.id
	WHERE t.tenant = $1 AND t.id = $2`

// Get returns a task with its input and result, as Fold makes it of the recorded history. NotFound when the tenant has no
// such task here, Unavailable or Timeout when that cannot be told.
func (db *DB) Get(ctx context.Context, tenant, id string) (task.Task, error) {
	if !tokens(tenant, id) {
		return task.Task{}, notFound(id)
	}
	var doc, raw, input, result []byte
	err := askRow(ctx, db.of(tenant), getTask, []any{tenant, id}, func(row pgx.Row) error { return row.Scan(&doc, &raw, &input, &result) })
	if err != nil {
		return task.Task{}, fmt.Errorf("get task %s: %w", id, err)
	}
	t, err := decodeTask(doc, raw)
	if err != nil {
		return task.Task{}, err
	}
	t.Input, t.Result = input, result
	return t, nil
}

const (
	listHistory = `
		SELECT seq, id, type, source, time, time_nanos, coalesce(traceparent, ''), data, raw
		FROM task_events
		WHERE tenant = $1 AND task = $2 AND seq > $3
		ORDER BY seq
		LIMIT nullif($4::bigint, 0)`

	hasHistory = `SELECT EXISTS (SELECT FROM task_events WHERE tenant = $1 AND task = $2)`
)

// History returns a task's events after the given sequence, oldest first, at most limit of them (0: all), those that were
// set aside among them. NotFound when the tenant has no such task here, Unavailable or Timeout when that cannot be told.
func (db *DB) History(ctx context.Context, tenant, id string, after uint64, limit int) ([]events.Event, error) {
	if !tokens(tenant, id) {
		return nil, notFound(id)
	}
	after = min(after, 1<<63-1)
	var found []events.Event
	var exists bool
	var q pgx.Batch
	q.Queue(listHistory, tenant, id, int64(after), max(limit, 0)).Query(func(rows pgx.Rows) (err error) {
		found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (events.Event, error) { return scanEvent(row, tenant, id) })
		return err
	})
	q.Queue(hasHistory, tenant, id).QueryRow(func(row pgx.Row) error { return row.Scan(&exists) })
	if err := db.of(tenant)(ctx, &q); err != nil {
		return nil, fmt.Errorf("history of task %s: %w", id, err)
	}
	if !exists {
		return nil, notFound(id)
	}
	return found, nil
}

func scanEvent(row pgx.CollectableRow, tenant, id string) (events.Event, error) {
	e := events.Event{Tenant: tenant, Task: id}
	err := scanInto(row, &e)
	return e, err
}

// scanInto reads the columns of listHistory into e, and those behind them into more.
func scanInto(row pgx.CollectableRow, e *events.Event, more ...any) error {
	var seq int64
	var nanos int16
	var data, raw []byte
	err := row.Scan(append([]any{&seq, &e.ID, &e.Type, &e.Source, &e.Time, &nanos, &e.TraceParent, &data, &raw}, more...)...)
	e.Seq, e.Time = uint64(seq), e.Time.UTC().Add(time.Duration(nanos))
	if e.Data = data; data == nil {
		e.Data = raw
	}
	return err
}

func tokens(tenant, id string) bool {
	return events.CheckToken("tenant", tenant) == nil && events.CheckToken("task", id) == nil
}

func notFound(id string) error {
	return fault.New(fault.NotFound, "there is no task %.64q in the archive", id)
}
