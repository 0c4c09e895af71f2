package events

// Type names what happened. It is the ce-type of an event and never changes its meaning once released.
type Type string

// The events of a task's history, in the log.
const (
	TypeQueued    Type = "task.queued"    // submitted, or sent again by an admin
	TypeStarted   Type = "task.started"   // a worker claimed an attempt
	TypeStep      Type = "task.step"      // a step of the attempt finished; its output is kept
	TypeRetrying  Type = "task.retrying"  // the attempt failed or was handed back; another follows
	TypeWaiting   Type = "task.waiting"   // the attempt gave its slot back until a time, a signal or money comes
	TypeSignalled Type = "task.signalled" // something that the task waits for, or will wait for, happened
	TypeCompleted Type = "task.completed" // the result is there
	TypeFailed    Type = "task.failed"    // no attempt is left: a dead letter
	TypeCancelled Type = "task.cancelled" // withdrawn by a user
	TypeDiscarded Type = "task.discarded" // an admin closed the dead letter
)

// Volatile events are coalesced, may be lost, and are no part of a history.
const (
	TypeProgress Type = "task.progress" // how far the attempt has come
	TypeText     Type = "task.text"     // what a model writes
)

// Terminal reports whether no attempt of the same dispatch follows an event of this type.
func (t Type) Terminal() bool {
	switch t {
	case TypeCompleted, TypeFailed, TypeCancelled, TypeDiscarded:
		return true
	}
	return false
}

// Lane is the queue that a dispatch waits in. Workers serve high before normal before low, and low never starves.
type Lane string

const (
	High   Lane = "high"
	Normal Lane = "normal"
	Low    Lane = "low"
)

// Lanes returns all lanes, most urgent first.
func Lanes() []Lane { return []Lane{High, Normal, Low} }

// Valid reports whether l is one of Lanes.
func (l Lane) Valid() bool { return l == High || l == Normal || l == Low }

// Cause says why an attempt or a task failed. Retry budgets are counted by cause.
type Cause string

const (
	CauseProvider      Cause = "provider"       // a model provider answered 429 or 5xx, or the connection broke
	CauseTimeout       Cause = "timeout"        // the attempt ran longer than it may
	CauseInvalidOutput Cause = "invalid_output" // the model's answer broke the rules, also after repair
	CauseCrash         Cause = "crash"          // the worker vanished while it held the task
	CauseBroker        Cause = "broker"         // the worker could not write to the log in time; never counted against a task
	CauseDrain         Cause = "drain"          // the worker was asked to stop; never counted against a task
	CauseBug           Cause = "bug"            // the agent panicked or returned an unclassified error
	CauseInput         Cause = "input"          // the input cannot be served; no retry helps
	CausePolicy        Cause = "policy"         // a rule forbids the work; no retry helps
	CauseDeadline      Cause = "deadline"       // the task's own deadline passed
	CauseExpired       Cause = "expired"        // no worker began it before its time in the queue was over
	CauseUndecodable   Cause = "undecodable"    // the dispatch could not be read; its raw bytes are kept
)

// Wait says what a task in state waiting waits for.
type Wait string

const (
	WaitTime     Wait = "time"     // Until
	WaitSignal   Wait = "signal"   // a task.signalled of that Name, at most until Until
	WaitBudget   Wait = "budget"   // the budget of that Name: a top-up, or its next period at Until
	WaitProvider Wait = "provider" // the model of that Name, which takes no calls until Until
)
