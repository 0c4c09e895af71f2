package postgres

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Bounds of one transaction of Record.
const (
	maxBatch      = 4096
	maxBatchBytes = 16 << 20 // of event bodies
)

// Record writes events of the log into the archive: the events themselves, and what becomes of their tasks by them. The
// batch is in log order, across tasks and tenants, and each event has its Seq. A repeated event changes nothing, so a batch
// that failed, or any earlier part of the log, is simply recorded again. Calls take turns, also across processes, but each
// caller goes through the log in order: an event is judged by what was recorded before it.
//
// No event blocks those behind it. One that cannot follow its task's state, or that Postgres cannot store, is set aside:
// kept in task_events with its raw body and the reason, logged, and counted in SetAside, once. Recorded again while the
// task has not moved beyond it, by a program or after events that make sense of it, it finds its place.
//
// What an event adds to the cost of its task goes into the ledger: see Spent.
//
// Each batch is one transaction (several above 4,096 events or 16 MiB), together with the recorder's position. It is synced
// to disk when Record returns, although the log is the truth: the caller acknowledges the batch then, and nobody would
// deliver again what a crash of Postgres took away. A batch of 1,000 hides that cost.
//
// Errors: Unavailable or Timeout, after which nothing or a part from the front is recorded; Invalid for an event without Seq.
func (db *DB) Record(ctx context.Context, batch []events.Event) error {
	batch, err := inOrder(batch)
	if err != nil {
		return err
	}
	for len(batch) > 0 {
		n := chunk(batch)
		if err := db.isolate(ctx, batch[:n]); err != nil {
			return fmt.Errorf("record events %d to %d: %w", batch[0].Seq, batch[n-1].Seq, classify(err))
		}
		batch = batch[n:]
	}
	return nil
}

// inOrder returns the batch sorted by Seq and without repetitions.
func inOrder(batch []events.Event) ([]events.Event, error) {
	for _, e := range batch {
		if e.Seq == 0 || e.Seq > math.MaxInt64 {
			return nil, fault.InvalidField("batch", "holds event %q with sequence %d", e.ID, e.Seq)
		}
	}
	bySeq := func(a, b events.Event) int { return cmp.Compare(a.Seq, b.Seq) }
	if !slices.IsSortedFunc(batch, bySeq) {
		batch = slices.Clone(batch)
		slices.SortStableFunc(batch, bySeq)
	}
	for i := 1; i < len(batch); i++ {
		if batch[i].Seq == batch[i-1].Seq {
			return slices.CompactFunc(slices.Clone(batch), func(a, b events.Event) bool { return a.Seq == b.Seq }), nil
		}
	}
	return batch, nil
}

// chunk returns how many events from the front go into one transaction, at least one.
func chunk(batch []events.Event) int {
	size := 0
	for i, e := range batch {
		if size += len(e.Data); i > 0 && (i >= maxBatch || size > maxBatchBytes) {
			return i
		}
	}
	return len(batch)
}

// isolate writes a batch, and halves it where Postgres refuses a value, until the event that holds the value stands alone.
func (db *DB) isolate(ctx context.Context, batch []events.Event) error {
	err := db.write(ctx, batch, treatment{})
	if isDuplicate(err) { // somebody moved the position back by hand
		err = db.write(ctx, batch, treatment{repeated: true})
	}
	if !refusesData(err) {
		return err
	}
	if half := len(batch) / 2; half > 0 {
		if err := db.isolate(ctx, batch[:half]); err != nil {
			return err
		}
		return db.isolate(ctx, batch[half:])
	}
	reason := "postgres: " + err.Error()
	err = db.write(ctx, batch, treatment{repeated: true, rawBody: reason})
	if !refusesData(err) {
		return err
	}
	e := batch[0]
	e.Tenant, e.Task = indexed(e.Tenant), indexed(e.Task)
	return db.write(ctx, []events.Event{e}, treatment{repeated: true, refused: reason})
}

// treatment says what is special about a batch; the last two hold for a batch of one event.
type treatment struct {
	repeated bool   // events and results may be there already, although the position does not say so
	rawBody  string // why its body cannot be stored as JSON; what it says of its task can
	refused  string // why nothing of it can
}

// write records a batch in one transaction.
func (db *DB) write(ctx context.Context, batch []events.Event, how treatment) error {
	ctx, cancel := context.WithTimeout(ctx, db.writeTimeout)
	defer cancel()
	var aside []entry
	err := pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		states, position, err := db.load(ctx, tx, batch)
		if err != nil {
			return err
		}
		repeated := how.repeated || batch[0].Seq <= position
		entries := fold(states, batch, how, !db.unguarded)
		if aside, err = storeEvents(ctx, tx, entries, repeated); err != nil {
			return err
		}
		return db.storeTasks(ctx, tx, states, repeated, batch[len(batch)-1])
	})
	if err != nil {
		return err
	}
	for _, e := range aside {
		db.setAside.Add(1)
		db.logger.WarnContext(ctx, "event set aside", "task_id", e.event.Task, "tenant", e.event.Tenant, "seq", e.event.Seq,
			"type", e.event.Type, "reason", e.reason)
	}
	return nil
}

// The transaction looks every task up in the primary key: left to its statistics, which lag behind while the table grows, the
// planner would read all of it. The position's row makes recorders take turns.
const (
	setUp = `
		SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
			set_config('enable_seqscan', 'off', true)`

	lockPosition = `SELECT seq FROM recorder_position FOR UPDATE`

	loadStates = `
		SELECT t.tenant, t.id, t.doc, t.raw
		FROM unnest($1::text[], $2::text[]) AS k (tenant, id)
		JOIN tasks t ON t.tenant = k.tenant AND t.id = k.id`

	movePosition = `
		UPDATE recorder_position SET seq = $1, event_time = $2, recorded_at = now(), own_seq = $1,
			backfill_to = CASE own_seq WHEN seq THEN backfill_to ELSE seq END
		WHERE seq <= $1`
)

// load takes the recorder's turn and returns the folded state of every task in the batch, and the position.
func (db *DB) load(ctx context.Context, tx pgx.Tx, batch []events.Event) (states, uint64, error) {
	all := states{byKey: map[key]*state{}}
	var tenants, ids []string
	for _, e := range batch {
		k := key{e.Tenant, e.Task}
		if all.byKey[k] == nil {
			s := &state{}
			all.byKey[k], all.order = s, append(all.order, s)
			tenants, ids = append(tenants, k.tenant), append(ids, k.id)
		}
	}
	var position int64
	var q pgx.Batch
	q.Queue(setUp)
	q.Queue(lockPosition).QueryRow(func(row pgx.Row) error { return row.Scan(&position) })
	q.Queue(loadStates, tenants, ids).Query(func(rows pgx.Rows) error {
		var k key
		var doc, raw []byte
		_, err := pgx.ForEachRow(rows, []any{&k.tenant, &k.id, &doc, &raw}, func() error {
			t, err := decodeTask(doc, raw)
			*all.byKey[k] = state{task: t, stored: true}
			return err
		})
		return err
	})
	if err := tx.SendBatch(ctx, &q).Close(); err != nil {
		return states{}, 0, err
	}
	if first := int64(batch[0].Seq); position > 0 && first > position+1 {
		db.logger.WarnContext(ctx, "the log has a gap", "recorded_to", position, "next_seq", first)
	}
	return all, uint64(position), nil
}
