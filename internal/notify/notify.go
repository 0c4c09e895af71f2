package notify

import (
	"context"

	"github.com/toolboxai/orchestrator/events"
)

// Limits of the Pusher Channels protocol.
const (
	MaxBatch   = 10        // messages in one request
	MaxData    = 10 * 1024 // bytes of a message's data
	MaxChannel = 164       // bytes of a channel's name
)

// Message is one thing to tell the subscribers of one channel.
type Message struct {
	Channel string // a valid channel name
	Event   string // the event's name, such as "task.completed"
	Data    []byte // a JSON object of at most MaxData bytes

	// Fallback is what to send instead when Data is refused for good. It is set on the messages of events that end a
	// task, and only on them.
	Fallback []byte
}

// Sender passes messages on to subscribers. It is safe for concurrent use.
type Sender interface {
	// Send passes on 1 to MaxBatch messages, in order. A nil error means that all were accepted. After an error none or
	// all may have been, and the whole of them is sent again.
	//
	// An Invalid or TooLarge fault says that at least one of them will never be accepted as it is. Every other error is
	// worth another try, not before its RetryAfter. Send returns soon after ctx ends and within a bounded time otherwise.
	Send(ctx context.Context, msgs []Message) error
}

// Feed delivers the log.
type Feed interface {
	// Consume calls handle with the events of all tenants in log order, with Seq set, until ctx ends or the feed breaks.
	// There are never two calls at once, and the next batch comes only after nil was returned for the one before. A batch
	// whose handling failed is delivered again, also after a restart. The feed keeps an unfinished batch its own for as
	// long as handle runs, which may be hours, and bounds the number and bytes of its events.
	Consume(ctx context.Context, handle func(ctx context.Context, batch []events.Event) error) error
}

// Progress delivers volatile events.
type Progress interface {
	// Progress calls report with the task.progress and task.text events of all tenants as they come, until ctx ends or the subscription
	// breaks. report may be called from several goroutines and returns at once. The event is report's to keep.
	Progress(ctx context.Context, report func(events.Event)) error
}

// Lookup reads a task's history. Both calls see every event that the Feed has delivered and return a NotFound fault for a
// task without history.
type Lookup interface {
	// History returns the first limit events after the given sequence, oldest first.
	History(ctx context.Context, tenant, task string, after uint64, limit int) ([]events.Event, error)
	// Last returns the latest event.
	Last(ctx context.Context, tenant, task string) (events.Event, error)
}

// Snapshot is what a task's messages need to know of its task.queued event.
type Snapshot struct {
	Kind    string
	UserID  string
	Private bool // for its user alone
}
