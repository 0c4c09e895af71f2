package postgres

import (
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task"
)

// bill is a row of the ledger: what one event added to the cost of its task.
type bill struct {
	seq                                int64
	at                                 time.Time
	calls, input, output, micros       int64 // tokens, micro-USD
	priced                             bool
	tenant, task, user, workflow, kind string
	by                                 events.Provenance
}

// newBill returns what e, by which t came to be, added to what had been spent on the task before. It returns false when that
// is nothing. own is what e says of its own part.
//
// The bill is the difference of two running sums. So what task.completed and task.failed repeat of earlier events is not
// counted again, and money, which is a float on the log, does not drift: the sums are rounded to micro-USD and the differences
// are exact. A sum that is less than what is on record, as a worker tells it that saw only what the log still holds of an old
// task, takes nothing back.
func newBill(e events.Event, own ownUsage, before *events.Usage, t task.Task) (bill, bool) {
	var was events.Usage
	if before != nil {
		was = *before
	}
	is := *t.Usage
	b := bill{
		seq: int64(e.Seq), at: e.Time.Truncate(time.Microsecond),
		calls: int64(max(is.Calls-was.Calls, 0)), input: int64(max(is.InputTokens-was.InputTokens, 0)),
		output: int64(max(is.OutputTokens-was.OutputTokens, 0)), micros: max(micros(is)-micros(was), 0), priced: is.CostKnown,
		tenant: t.Tenant, task: t.ID, user: t.UserID, kind: t.Kind,
	}
	if t.Origin != nil {
		b.workflow = t.Origin.Workflow
	}
	if b.calls == 0 && b.input == 0 && b.output == 0 && b.micros == 0 {
		return bill{}, false
	}
	if own.usage != nil {
		b.priced = own.usage.CostKnown || own.usage.Calls == 0
	}
	switch {
	case own.by != nil:
		b.by = *own.by
	case e.Type == events.TypeCompleted:
		b.by = *t.Provenance
	}
	return b, true
}

// maxMicros bounds what one task can cost: above it sums might overflow.
const maxMicros = 1e15

func micros(u events.Usage) int64 { return int64(math.Round(min(max(u.CostUSD*1e6, 0), maxMicros))) }

// A row that is there already stays: an event is counted once, however often it is folded.
const insertLedger = `
	INSERT INTO ledger (seq, at, cost, input_tokens, output_tokens, calls, priced, tenant, task, user_id, workflow, kind,
		provider, model)
	SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::boolean[],
		$8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[])
	ON CONFLICT DO NOTHING`

// queueBills adds the bills to a batch of statements.
func queueBills(q *pgx.Batch, bills []bill) *pgx.QueuedQuery {
	return q.Queue(insertLedger,
		column(bills, func(b bill) int64 { return b.seq }),
		column(bills, func(b bill) time.Time { return b.at }),
		column(bills, func(b bill) int64 { return b.micros }),
		column(bills, func(b bill) int64 { return b.input }),
		column(bills, func(b bill) int64 { return b.output }),
		column(bills, func(b bill) int64 { return b.calls }),
		column(bills, func(b bill) bool { return b.priced }),
		column(bills, func(b bill) string { return b.tenant }),
		column(bills, func(b bill) string { return b.task }),
		column(bills, func(b bill) string { return indexed(b.user) }),
		column(bills, func(b bill) string { return indexed(b.workflow) }),
		column(bills, func(b bill) string { return indexed(b.kind) }),
		column(bills, func(b bill) string { return indexed(b.by.Provider) }),
		column(bills, func(b bill) string { return indexed(b.by.Model) }),
	)
}
