// Package schedule makes tasks of time: a schedule is a document with a cron expression or an interval, and each of its ticks
// submits one task.
//
// Service is what edges call: it creates, edits, pauses and triggers schedules. Ticker, which runs where the lease of the
// dispatcher is held, submits what is due. Both read and write the same documents, and whoever is late is refused by the
// document's revision and looks again.
//
// Exactly one run per tick needs no lock and no clock that is right. The run of a tick is submitted under the idempotency key
// "schedule:<id>:<tick>", so the log itself holds at most one, whoever submits it and how often: two tickers at once, one that
// died between submitting and saving, one whose clock went back. Which ticks are decided stands in the document (State.Through),
// so that none is forgotten: it is saved after each tick, never before its run is on record. Hence at most the first tick behind
// Through may have a run that the document does not know of.
//
//	                       ┌─ an earlier run is open ─► skipped, or pending ─► submitted
//	tick ─► in time, or ───┤
//	  │     backfilled     └─ none is ────────────────► submitted ─► failed (seen at a later tick)
//	  │                                                    └─────── error: the kind refuses the input
//	  └───► later than the ticker's grace and not among the newest Backfill ─► missed
//
// Calendar says what a tick is where clocks change.
package schedule
