package schedule

import (
	"context"
	"time"

	"github.com/toolboxai/orchestrator/internal/task"
)

// Documents keeps schedules under "<tenant>.<id>". Its methods are safe for concurrent use and return Unavailable or Timeout
// faults while the store is away.
type Documents interface {
	// Get returns a document and its revision as the last acknowledged write left it, or NotFound.
	Get(ctx context.Context, key string) (Schedule, uint64, error)
	// Put writes a document whose revision is still rev, 0 for one that is not there, and returns the new revision. Conflict when
	// it has another revision or is gone.
	Put(ctx context.Context, key string, doc Schedule, rev uint64) (uint64, error)
	// Delete removes a document whose revision is still rev, 0 for whichever. One that is not there is no error. Conflict.
	Delete(ctx context.Context, key string, rev uint64) error
	// List returns the documents whose keys match pattern, in which * stands for one part between dots, at most limit of them.
	List(ctx context.Context, pattern string, limit int) ([]Schedule, error)
	// Watch calls fn with every document and then with each change, gone when it was deleted, until ctx ends; then it returns nil.
	// fn is called by one goroutine.
	Watch(ctx context.Context, fn func(key string, doc Schedule, rev uint64, gone bool)) error
}

// Tasks is where runs are submitted. *task.Service is one.
type Tasks interface {
	Submit(ctx context.Context, sub task.Submission) (task.Task, bool, error)
	Get(ctx context.Context, tenant, id string) (task.Task, error)
	Cancel(ctx context.Context, tenant, id, by, reason string) (task.Task, error)
}

// Runs knows which tasks of a schedule have not ended. It may lag behind the log.
type Runs interface {
	Open(ctx context.Context, schedule string) ([]string, error)
}

func documentKey(tenant, id string) string { return tenant + "." + id }

func (s Schedule) documentKey() string { return documentKey(s.Tenant, s.ID) }

// Key returns the idempotency key of a tick's run. Edges must refuse keys of callers that begin with KeyPrefix.
func Key(id string, tick time.Time) string {
	return KeyPrefix + id + ":" + tick.UTC().Format(time.RFC3339)
}

// KeyPrefix begins the idempotency keys of all runs.
const KeyPrefix = "schedule:"
