package postgres

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task"
)

// taskRow is a row of tasks.
type taskRow struct {
	task.Task
	doc, labels        string
	schedule, workflow *string
	failureRow
	raw []byte
}

// failureRow is what a row says of the last failure.
type failureRow struct {
	cause, fingerprint, error *string
	failedAt                  *time.Time
}

func newFailureRow(t task.Task) (row failureRow) {
	f := t.Failure
	if f == nil {
		return row
	}
	text := searched(f.Error)
	row.cause, row.fingerprint, row.error = optional(indexed(string(f.Cause))), optional(task.Fingerprint(f.Cause, f.Error)), &text
	if t.State == task.Failed {
		at := t.FinishedAt.Truncate(time.Microsecond)
		row.failedAt = &at
	}
	return row
}

func newTaskRow(t task.Task) (taskRow, error) {
	doc, err := encodeTask(t)
	if err != nil {
		return taskRow{}, err
	}
	row := taskRow{Task: t, doc: string(doc), failureRow: newFailureRow(t)}
	if row.labels, err = labelDocument(t.Tenant, t.Labels); err != nil {
		return taskRow{}, err
	}
	if o := t.Origin; o != nil {
		row.schedule, row.workflow = optional(indexed(o.Schedule)), optional(indexed(o.Workflow))
	}
	if t.Failure != nil {
		row.raw = t.Failure.Raw
	}
	return row, nil
}

// A task that is there already is updated. Its input, which is large, and what else only task.queued brings, stays untouched
// unless it was queued anew. onlyNewer is the guard that makes repetition harmless.
const (
	updateTasks = `
		UPDATE tasks SET seq = n.seq, state = n.state, cause = n.cause, fingerprint = n.fingerprint,
			dead_letter = n.dead_letter, doc = n.doc::json, raw = n.raw, error = n.error, failed_at = n.failed_at
		FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::boolean[], $8::text[],
				$9::bytea[], $10::text[], $11::timestamptz[])
			AS n (tenant, id, seq, state, cause, fingerprint, dead_letter, doc, raw, error, failed_at)
		WHERE tasks.tenant = n.tenant AND tasks.id = n.id`

	onlyNewer = ` AND n.seq > tasks.seq`

	requeueTask = `
		UPDATE tasks SET kind = $3, user_id = $4, labels = $5, input = $6, schedule = $7, workflow = $8
		WHERE tenant = $1 AND id = $2`

	insertResult = `
		INSERT INTO results (tenant, task, completed_at, result, calls, input_tokens, output_tokens, cost_usd, generated_by,
			provider, model, prompt_version, cache_hit, offline)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
		ON CONFLICT (tenant, task) DO NOTHING`
)

// storeTasks writes what became of the tasks, and moves the position to the batch's last event.
func (db *DB) storeTasks(ctx context.Context, tx pgx.Tx, all states, repeated bool, last events.Event) error {
	var created, advanced []taskRow
	var completed [][]any
	var bills []bill
	var q pgx.Batch
	for _, s := range all.order {
		if !s.changed {
			continue
		}
		row, err := newTaskRow(s.task)
		if err != nil {
			return err
		}
		if s.stored {
			advanced = append(advanced, row)
		} else {
			created = append(created, row)
		}
		if s.stored && s.requeued {
			q.Queue(requeueTask, row.Tenant, row.ID, indexed(row.Kind), indexed(row.UserID), row.labels, body(row.Input),
				row.schedule, row.workflow)
		}
		bills = append(bills, s.bills...)
		if s.completed {
			row, err := resultRow(s.task)
			if err != nil {
				return err
			}
			completed = append(completed, row)
		}
	}
	if len(advanced) > 0 {
		update := updateTasks + onlyNewer
		if db.unguarded {
			update = updateTasks
		}
		q.Queue(update, advancedArgs(advanced)...)
	}
	if repeated {
		for _, row := range completed {
			q.Queue(insertResult, row...)
		}
		completed = nil
	}
	if len(bills) > 0 {
		queueBills(&q, bills)
	}
	q.Queue(movePosition, int64(last.Seq), last.Time.Truncate(time.Microsecond))
	if err := tx.SendBatch(ctx, &q).Close(); err != nil {
		return err
	}
	// The position's row is locked: what was not there when the batch began is not there now.
	err := copyRows(ctx, tx, "tasks", taskColumns(), len(created), func(i int) []any { return created[i].values() })
	if err != nil {
		return err
	}
	return copyRows(ctx, tx, "results", resultColumns(), len(completed), func(i int) []any { return completed[i] })
}

func copyRows(ctx context.Context, tx pgx.Tx, table string, columns []string, n int, row func(int) []any) error {
	if n == 0 {
		return nil
	}
	_, err := tx.CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromSlice(n, func(i int) ([]any, error) { return row(i), nil }))
	return err
}

func taskColumns() []string {
	return []string{
		"tenant", "id", "seq", "kind", "user_id", "state", "cause", "fingerprint", "dead_letter", "labels", "created_at", "doc",
		"input", "raw", "schedule", "workflow", "error", "failed_at",
	}
}

// values returns r in the order of taskColumns.
func (r taskRow) values() []any {
	return []any{
		r.Tenant, r.ID, int64(r.Seq), indexed(r.Kind), indexed(r.UserID), string(r.State), r.cause, r.fingerprint, r.DeadLetter(),
		r.labels, r.CreatedAt.Truncate(time.Microsecond), r.doc, body(r.Input), r.raw, r.schedule, r.workflow, r.error,
		r.failedAt,
	}
}

// advancedArgs returns the arguments of updateTasks: an array for each column.
func advancedArgs(rows []taskRow) []any {
	return []any{
		column(rows, func(r taskRow) string { return r.Tenant }),
		column(rows, func(r taskRow) string { return r.ID }),
		column(rows, func(r taskRow) int64 { return int64(r.Seq) }),
		column(rows, func(r taskRow) string { return string(r.State) }),
		column(rows, func(r taskRow) *string { return r.cause }),
		column(rows, func(r taskRow) *string { return r.fingerprint }),
		column(rows, func(r taskRow) bool { return r.DeadLetter() }),
		column(rows, func(r taskRow) string { return r.doc }),
		column(rows, func(r taskRow) []byte { return r.raw }),
		column(rows, func(r taskRow) *string { return r.error }),
		column(rows, func(r taskRow) *time.Time { return r.failedAt }),
	}
}

func column[R, T any](rows []R, value func(R) T) []T {
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = value(r)
	}
	return out
}

func resultColumns() []string {
	return []string{
		"tenant", "task", "completed_at", "result", "calls", "input_tokens", "output_tokens", "cost_usd", "generated_by",
		"provider", "model", "prompt_version", "cache_hit", "offline",
	}
}

// resultRow returns the result of a completed task in the order of resultColumns.
func resultRow(t task.Task) ([]any, error) {
	spent, err := cost(*t.Usage)
	if err != nil {
		return nil, fmt.Errorf("%w: cost of task %s: %w", errUnstorable, t.ID, err)
	}
	return []any{
		t.Tenant, t.ID, t.FinishedAt.Truncate(time.Microsecond), body(t.Result),
		int64(t.Usage.Calls), int64(t.Usage.InputTokens), int64(t.Usage.OutputTokens), spent,
		storable(t.Provenance.GeneratedBy), storable(t.Provenance.Provider), storable(t.Provenance.Model),
		storable(t.Provenance.PromptVersion), t.Provenance.CacheHit, t.Provenance.Offline,
	}, nil
}

// cost is exact: the shortest decimal that is the same float64. NULL when the price of any call is not known.
func cost(u events.Usage) (n pgtype.Numeric, err error) {
	if u.CostKnown {
		err = n.Scan(strconv.FormatFloat(u.CostUSD, 'f', -1, 64))
	}
	return n, err
}

// optional is NULL for the zero value.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// body is NULL for nil: an empty body and no body are two things to Postgres and one to us.
func body(b []byte) *string { return optional(string(b)) }
