package chaos

import (
	"time"

	"github.com/toolboxai/orchestrator/events"
)

// Run is what was seen of a scenario. Its zero value is a run in which nothing happened.
type Run struct {
	Accepted []Acceptance
	Log      []events.Event // all events of the accepted tasks, in log order
	Calls    []Call
	Faults   []Fault
	Told     map[string]int    // by task: messages about its ending on the task's own channel
	Listed   map[string]string // by task: its state in the lists
	Followed []Following
	Plan     Plan
}

// Plan says which endings the scenario brings about.
type Plan struct {
	MayFail  []events.Cause          // any task may fail for these
	MustFail map[string]events.Cause // by task
}

// Acceptance is one answer that promised a task: 202, or 200 to a repeated request.
type Acceptance struct {
	Tenant, Key, Task string
	At                time.Time
}

// Call is one call of a model.
type Call struct {
	Task, Step string
	Worker     string // the process that made it
	At         time.Time
	Whole      bool // it was answered as a whole, and the answer is good
}

// Targets that a Fault may have beside the name of a process.
const (
	Broker = "broker" // a node of it, whichever
	Model  = "llm"    // the link to the model
)

// Fault is something that was done to a process or to a link.
type Fault struct {
	What     string // "kill", "stall", "down", …
	Target   string
	From, To time.Time // until the process ran again, or the link was whole
}

// Following is what a reader of a task's event stream saw, over all its connections.
type Following struct {
	Task string
	Seqs []uint64 // in the order in which they came
}
