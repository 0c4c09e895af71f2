// Package chaos judges runs of the whole platform under faults.
//
// A Run is what was seen from outside while faults were injected: what the API acknowledged, the log as it stands at the end, the
// calls that a model got, what Pusher was sent, what the lists say and what readers of event streams saw. Check holds it against
// five invariants and returns every violation:
//
//	I1  nothing acknowledged is lost: its task ends, and fails only where the plan of the run lets it
//	I2  a dispatch ends once on the log, and nothing of it happens afterwards
//	I3  a step is paid once: a further whole answer to it needs a fault that took the earlier one away
//	I4  endings are told: Pusher has each at least once, the lists agree with the log, a reader saw each event once and in order
//	I5  an Idempotency-Key stands for one task
//
// The bound of I3 is exact. An answer that is not the one on record is excused by a kill or a stall of the very worker that asked, or
// of the broker, after the first attempt at the task began and before the step was asked for again, or the task ended; each of them
// excuses one answer to a step. (A worker that is stalled before it asks may lose its task, wake up, ask, and learn only then.) Or it is
// excused by a broken link to the model while it was under way. So, but for broken links, repeats of a step <= kills and stalls of its
// workers and of the broker while the task ran. Nothing else may cost a second call: not a rolling restart, and not the loss of
// Postgres, Redis, Pusher, the API, the recorder or the dispatcher.
//
// The package is pure: it starts nothing and reads no clock. The suite that makes runs out of real processes is in its test files,
// behind the build tag "chaos" (make chaos); the negative controls on recorded runs are ordinary tests.
package chaos
