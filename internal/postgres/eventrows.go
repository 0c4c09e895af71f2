package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// storeEvents adds entries to task_events and returns those that were set aside for the first time. Entries that are not
// repeated cannot be there yet, and are copied in.
func storeEvents(ctx context.Context, tx pgx.Tx, entries []entry, repeated bool) (aside []entry, err error) {
	if repeated {
		return repeatEvents(ctx, tx, entries)
	}
	for _, e := range entries {
		if e.reason != "" {
			aside = append(aside, e)
		}
	}
	row := make([]any, len(eventColumns()))
	return aside, copyRows(ctx, tx, "task_events", eventColumns(), len(entries), func(i int) []any {
		entries[i].values(row)
		return row
	})
}

func eventColumns() []string {
	return []string{
		"tenant", "task", "seq", "id", "type", "source", "time", "time_nanos", "traceparent", "data", "raw", "set_aside",
	}
}

// values fills row with e in the order of eventColumns.
func (e entry) values(row []any) {
	row[0], row[1], row[2] = e.event.Tenant, e.event.Task, int64(e.event.Seq)
	row[3], row[4], row[5] = storable(e.event.ID), storable(string(e.event.Type)), storable(e.event.Source)
	row[6], row[7] = e.event.Time.Truncate(time.Microsecond), int16(e.event.Time.Nanosecond()%1000)
	row[8], row[9], row[10], row[11] = nil, nil, nil, nil
	if e.event.TraceParent != "" {
		row[8] = storable(e.event.TraceParent)
	}
	switch {
	case e.raw:
		row[10] = []byte(e.event.Data)
	case len(e.event.Data) > 0:
		row[9] = []byte(e.event.Data)
	}
	if e.reason != "" {
		row[11] = storable(e.reason)
	}
}

// Events that became part of their task's state replace what was set aside under the same sequence; others are added when
// they are not there.
const (
	insertEvent = `
		INSERT INTO task_events (tenant, task, seq, id, type, source, time, time_nanos, traceparent, data, raw, set_aside)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`

	repeatFolded = insertEvent + `
		ON CONFLICT (tenant, task, seq) DO UPDATE SET data = excluded.data, raw = NULL, set_aside = NULL
		WHERE task_events.set_aside IS NOT NULL`

	repeatOther = insertEvent + `
		ON CONFLICT (tenant, task, seq) DO NOTHING`
)

// repeatEvents adds entries that may be there already.
func repeatEvents(ctx context.Context, tx pgx.Tx, entries []entry) (aside []entry, err error) {
	var q pgx.Batch
	for _, e := range entries {
		row := make([]any, len(eventColumns()))
		e.values(row)
		if e.folded {
			q.Queue(repeatFolded, row...)
			continue
		}
		q.Queue(repeatOther, row...).Exec(func(done pgconn.CommandTag) error {
			if e.reason != "" && done.RowsAffected() > 0 {
				aside = append(aside, e)
			}
			return nil
		})
	}
	return aside, tx.SendBatch(ctx, &q).Close()
}
