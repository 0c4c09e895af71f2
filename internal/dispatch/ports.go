package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/policy"
	"github.com/toolboxai/orchestrator/internal/task"
)

// Log is the part of task.Log that a Dispatcher needs.
type Log interface {
	History(ctx context.Context, tenant, id string, after uint64, limit int) ([]events.Event, error)
}

// Queue is the part of task.Queue that a Dispatcher needs.
type Queue interface {
	Dispatch(ctx context.Context, d events.Dispatch, e events.Event) error
	Has(ctx context.Context, d events.Dispatch) (bool, error)
	Waiting(ctx context.Context) ([]events.Dispatch, error)
}

// Tasks is the part of task.Service that a Dispatcher needs.
type Tasks interface {
	Resume(ctx context.Context, tenant, id string, waiting uint64, why string) (task.Task, error)
	Expire(ctx context.Context, tenant, id string) (task.Task, error)
}

// Watcher shows the log.
type Watcher interface {
	// Watch calls fn with the last event of every task, and then with every new event, in log order and with their Data. It may
	// repeat itself. It returns when ctx ends, and with an error when it cannot go on where it was: then all begins anew.
	Watch(ctx context.Context, fn func(events.Event)) error
}

// SyncedWatcher is a Watcher that knows when it has caught up. Of any other it is taken for granted as soon as it shows an event that
// is younger than the watch, or none for a while: see Config.Settle.
type SyncedWatcher interface {
	// WatchSynced is Watch, and calls synced once all that was on the log at its beginning has been shown.
	WatchSynced(ctx context.Context, fn func(events.Event), synced func()) error
}

// Fleet knows which workers are alive.
type Fleet interface {
	Workers(ctx context.Context) ([]task.Worker, error)
}

// Lease is the right to act, which one dispatcher has at a time.
type Lease interface {
	// Held reports whether this process has it. It does not wait.
	Held() bool
	// Run takes the lease and keeps it until ctx ends, and gives it up then. It returns an error when it never can.
	Run(ctx context.Context) error
}

// Policies knows the newest policy.
type Policies interface {
	Current() policy.Policy
	// Changed returns a channel that is closed when Current changes next.
	Changed() <-chan struct{}
}

// ReadyPolicies is Policies that may not know the policy yet. A Dispatcher does not act before Ready is closed.
type ReadyPolicies interface{ Ready() <-chan struct{} }

// GateWriter publishes what the dispatcher holds.
type GateWriter interface {
	PublishGate(ctx context.Context, g Gate) error
}

// Config is what a Dispatcher needs.
type Config struct {
	Log      Log
	Queue    Queue
	Tasks    Tasks
	Watcher  Watcher
	Fleet    Fleet
	Lease    Lease
	Policies Policies
	Gate     GateWriter // nil: nobody is told what is held

	Board      BoardConfig
	Releases   int           // dispatches that are under way at once; 64
	Chores     int           // reads, look-ups, resumes and expiries that are under way at once; 16
	FleetEvery time.Duration // between two looks at the workers; 1 s
	FleetAge   time.Duration // how long the workers that were last seen count while nobody answers; 15 s
	Settle     time.Duration // silence of the log after which it counts as read; 500 ms
	Patience   time.Duration // for one call of the broker; 10 s
	Logger     *slog.Logger
}

func (c *Config) check() error {
	missing := ""
	switch {
	case c.Log == nil:
		missing = "Log"
	case c.Queue == nil:
		missing = "Queue"
	case c.Tasks == nil:
		missing = "Tasks"
	case c.Watcher == nil:
		missing = "Watcher"
	case c.Fleet == nil:
		missing = "Fleet"
	case c.Lease == nil:
		missing = "Lease"
	case c.Policies == nil:
		missing = "Policies"
	}
	if missing != "" {
		return fmt.Errorf("dispatcher: Config.%s is missing", missing)
	}
	setDefault(&c.Releases, 64)
	setDefault(&c.Chores, 16)
	setDefault(&c.FleetEvery, time.Second)
	setDefault(&c.FleetAge, 15*time.Second)
	setDefault(&c.Settle, 500*time.Millisecond)
	setDefault(&c.Patience, 10*time.Second)
	if c.Releases < 1 || c.Releases > 1024 || c.Chores < 1 || c.Chores > 1024 {
		return errors.New("dispatcher: Releases and Chores must be 1 to 1024")
	}
	if c.FleetEvery < 0 || c.FleetAge < 0 || c.Settle < 0 || c.Patience < 0 {
		return errors.New("dispatcher: a time is negative")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Board.Logger == nil {
		c.Board.Logger = c.Logger
	}
	return nil
}
