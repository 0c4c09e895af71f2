package task

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/toolboxai/orchestrator/events"
)

// StaleError says that the history moved on: the event that was to be followed is not the last one.
type StaleError struct {
	Last events.Event // the last event of the history; the zero Event when the history is empty
}

func (e *StaleError) Error() string {
	if e.Last.ID == "" {
		return "the history moved on: it is empty"
	}
	return "the history moved on: its last event is " + string(e.Last.Type) + " by " + e.Last.Source
}

// Stale returns the StaleError in err's chain, or nil.
func Stale(err error) *StaleError {
	var s *StaleError
	if errors.As(err, &s) {
		return s
	}
	return nil
}

// Log holds every task's history and is the only truth. Its methods are safe for concurrent use and return Unavailable
// faults when the broker cannot be reached; those calls may be repeated with the same arguments.
type Log interface {
	// Append adds e to the history of e.Task, provided that the event with sequence after is its last one (0: that the
	// history is empty), and returns e's sequence. Otherwise it changes nothing and returns a *StaleError. It is
	// idempotent by e.ID: when the last event is e itself, its sequence is returned. TooLarge above events.MaxData.
	Append(ctx context.Context, e events.Event, after uint64) (seq uint64, err error)

	// Last returns the last event of a task's history, or NotFound. It sees every append that was acknowledged before
	// the call.
	Last(ctx context.Context, tenant, id string) (events.Event, error)

	// History returns a task's events after the given sequence, oldest first, at most limit of them (0: all). It sees every
	// append that was acknowledged before the call. NotFound when the task has no history at all.
	History(ctx context.Context, tenant, id string, after uint64, limit int) ([]events.Event, error)

	// Follow delivers a task's events after the given sequence, first those on record, then live ones, each once, in
	// order. Progress reports (Seq 0) come in between as they happen and may be lost. The channel is closed when ctx
	// ends. A task without history is followed all the same. A slow reader delays only itself.
	Follow(ctx context.Context, tenant, id string, after uint64) (<-chan events.Event, error)
}

// Blobs keeps what is too large for an event. Its methods are safe for concurrent use.
type Blobs interface {
	// Put stores data under a key made from the task and the data itself, so that repeating it changes nothing. TooLarge above
	// MaxBlob; Unavailable while the store is away.
	Put(ctx context.Context, tenant, id string, data []byte) (events.Reference, error)
	// Get returns the data of a reference, checked against its hash. NotFound when it has aged out.
	Get(ctx context.Context, ref events.Reference) ([]byte, error)
}

// MaxBlob is the largest object of a task, in bytes.
const MaxBlob = 16 << 20

// Gate knows what the dispatcher holds back. Its methods are safe for concurrent use and do not wait.
type Gate interface {
	// Direct reports whether a task goes straight to the queue. Where it says no, the dispatcher queues it when it is its turn.
	Direct(tenant, kind string, labels map[string]string) bool
}

// Namer finds people in inputs. It is safe for concurrent use, and does not fail: whom it cannot know of it does not find.
type Namer interface {
	// NamesIn returns the names of the tenant's people that stand in input, as they are written there.
	NamesIn(ctx context.Context, tenant string, input json.RawMessage) []string
}

// Queue says who should run what next. It holds nothing that the log does not know.
type Queue interface {
	// Admit reports whether the queue takes more work: nil, or Unavailable with a RetryAfter when it is full. It may be
	// up to a second old.
	Admit(ctx context.Context) error

	// Dispatch queues d, which e asks for: the task.queued event of that dispatch, with its Seq. One that waits already is left
	// alone, and that is a success. ErrMalformed for an event of another type or task; Unavailable when the queue is full
	// or cannot be reached.
	Dispatch(ctx context.Context, d events.Dispatch, e events.Event) error

	// Has reports whether a dispatch is in the queue or held by a worker. It sees every Dispatch that returned nil before the call.
	Has(ctx context.Context, d events.Dispatch) (bool, error)

	// Waiting returns the dispatches that are in the queue or held by a worker.
	Waiting(ctx context.Context) ([]events.Dispatch, error)
}

// ProgressBoard shows how far running tasks have come, and what their models write. It may forget.
type ProgressBoard interface {
	// Report publishes a task.progress or task.text event. It waits for no reader, and not for the event to be stored.
	Report(ctx context.Context, e events.Event) error
	// Latest returns a task's last task.progress event, or NotFound.
	Latest(ctx context.Context, tenant, id string) (events.Event, error)
	// Text delivers a task's task.text events: what was written so far, then what is written, until ctx ends, which closes the
	// channel. Each has only what is new to this reader. Where an Offset lies behind what came before, the text in between is lost.
	Text(ctx context.Context, tenant, id string) (<-chan events.Event, error)
}

// Archive answers what the log cannot: lists, and what is older than the log. It lags behind the log.
type Archive interface {
	// List returns a page of tasks, newest first, without their inputs, results and refused answers, and without Failure.Raw.
	List(ctx context.Context, f Filter) (Page, error)
	// Get returns a task with input and result, or NotFound.
	Get(ctx context.Context, tenant, id string) (Task, error)
	// History returns a task's events after the given sequence, at most limit of them (0: all), or NotFound.
	History(ctx context.Context, tenant, id string, after uint64, limit int) ([]events.Event, error)
}

// Filter chooses tasks for a list. Zero fields choose all; Tenant is required.
type Filter struct {
	Tenant        string
	UserID        string
	Kinds         []string
	IDs           []string  // at most MaxPage
	Readable      *Readable `json:",omitempty"` // only what somebody may read; nil: everything
	States        []State
	Causes        []events.Cause    // of the last failure
	Fingerprint   string            // of the last failure's error
	Search        string            // words that the last failure's error holds, without regard to case
	Schedule      string            // that made it
	Workflow      string            // that it is a step of
	Labels        map[string]string // all of them must be on the task
	CreatedAfter  *time.Time
	CreatedBefore *time.Time
	DeadLetters   bool   // only failed tasks on which nobody has decided
	Cursor        string // Page.Next of the page before
	Limit         int    // 1 to MaxPage; 0 takes DefaultPage
}

// Readable is what somebody may read who may not read all of the tenant.
type Readable struct {
	UserID string   // their own
	IDs    []string // what is shared with them, at most MaxReadable
}

// MaxReadable is how many shared tasks a filter may name.
const MaxReadable = 1000

// Sizes of a page of tasks.
const (
	DefaultPage = 50
	MaxPage     = 200
)

// Page is one page of a list.
type Page struct {
	Tasks []Task
	Next  string    // cursor of the next page; empty on the last one
	AsOf  time.Time // when the archive last caught up with the log, as far as it knows
	Stale bool      // events newer than AsOf are on the log and not in the list yet
}
