package task

import "time"

// Worker is a worker as it tells of itself.
type Worker struct {
	Name      string       `json:"name"`
	Build     string       `json:"build"` // of the program
	StartedAt time.Time    `json:"started_at"`
	Slots     int          `json:"slots"` // tasks at once, over all kinds
	Busy      int          `json:"busy"`
	Draining  bool         `json:"draining"` // takes nothing new
	Kinds     []WorkerKind `json:"kinds"`
}

// WorkerKind is what a worker has done for one kind since it started.
type WorkerKind struct {
	Kind      string    `json:"kind"`
	Versions  []string  `json:"versions"` // of the agent that it can run, the current one first
	Running   int       `json:"running"`
	Completed uint64    `json:"completed"`
	Failed    uint64    `json:"failed"`  // for good
	Retried   uint64    `json:"retried"` // attempts that were, or are to be, followed by another
	P50MS     float64   `json:"p50_ms"`  // of the attempts of the last minutes
	P95MS     float64   `json:"p95_ms"`
	LastError string    `json:"last_error,omitempty"`
	Failing   bool      `json:"failing,omitempty"` // the last attempt failed and none since succeeded
	LastAt    time.Time `json:"last_at,omitzero"`  // when the last attempt ended
}

// Explanation says in one answer why a task is where it is.
type Explanation struct {
	TaskID  string     `json:"task_id"`
	State   State      `json:"state"`
	Code    Reason     `json:"code"`
	Message string     `json:"message"` // one plain sentence
	Since   time.Time  `json:"since"`   // how long this has been so
	Until   *time.Time `json:"until,omitempty"`
	Ahead   int        `json:"ahead,omitempty"` // tasks that are likely to begin before it
	Limit   string     `json:"limit,omitempty"` // name of the limit or budget
	Worker  string     `json:"worker,omitempty"`
	AsOf    time.Time  `json:"as_of"`
}

// Reason is the kind of an Explanation.
type Reason string

const (
	ReasonEnded        Reason = "ended"         // it is completed, failed or cancelled
	ReasonRunning      Reason = "running"       // held by Worker since Since
	ReasonDispatched   Reason = "dispatched"    // in the queue, a worker takes it any moment
	ReasonBehind       Reason = "behind"        // Ahead others come first
	ReasonLimit        Reason = "limit"         // Limit is reached
	ReasonPaused       Reason = "paused"        // its kind is paused
	ReasonNoWorker     Reason = "no_worker"     // no worker serves its kind, or its version of the agent
	ReasonNotBefore    Reason = "not_before"    // it may not begin before Until
	ReasonRetry        Reason = "retry"         // its next attempt is at Until
	ReasonSleep        Reason = "sleep"         // it asked to be woken at Until
	ReasonSignal       Reason = "signal"        // it waits for a signal
	ReasonBudget       Reason = "budget"        // Limit is spent
	ReasonProvider     Reason = "provider"      // the model takes no calls until Until
	ReasonNoDispatcher Reason = "no_dispatcher" // nobody hands out work at the moment
)

// Backlog is what waits and runs of one kind.
type Backlog struct {
	Kind      string  `json:"kind"`
	Pending   int     `json:"pending"` // may begin and has not: with the dispatcher or in the queue
	Held      int     `json:"held"`    // of these, held back by a limit or a pause
	Later     int     `json:"later"`   // wait for a time, a signal, money or their next attempt
	Running   int     `json:"running"`
	OldestAge float64 `json:"oldest_age_seconds"` // of what is pending and not held; 0 when nothing is
	Slots     int     `json:"slots"`              // of the workers that serve the kind
	Workers   int     `json:"workers"`
	Load      float64 `json:"load"` // what to scale by: see dispatch.Load
}
