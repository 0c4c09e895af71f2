package campaign

import (
	"context"
	"encoding/json"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task"
)

// Documents keeps campaigns under "<tenant>.<id>". Its methods are safe for concurrent use and return Unavailable or Timeout
// faults while the store is away.
type Documents interface {
	// Get returns a document and its revision as the last acknowledged write left it, or NotFound.
	Get(ctx context.Context, key string) (Campaign, uint64, error)
	// Put writes a document whose revision is still rev, 0 for one that is not there, and returns the new revision. Conflict when
	// it has another revision or is gone.
	Put(ctx context.Context, key string, doc Campaign, rev uint64) (uint64, error)
	// Delete removes a document whose revision is still rev, 0 for whichever. One that is not there is no error. Conflict.
	Delete(ctx context.Context, key string, rev uint64) error
	// List returns the documents whose keys match pattern, in which * stands for one part between dots, at most limit of them.
	List(ctx context.Context, pattern string, limit int) ([]Campaign, error)
	// Watch calls fn with every document and then with each change, gone when it was deleted, until ctx ends; then it returns nil.
	// fn is called by one goroutine.
	Watch(ctx context.Context, fn func(key string, doc Campaign, rev uint64, gone bool)) error
}

// Tasks is what campaigns act on. *task.Service is one.
type Tasks interface {
	List(ctx context.Context, f task.Filter) (task.Page, error)
	Get(ctx context.Context, tenant, id string) (task.Task, error)
	History(ctx context.Context, tenant, id string, after uint64, limit int) ([]events.Event, error)
	Replay(ctx context.Context, tenant, id string, req task.ReplayRequest) (task.Task, error)
	Discard(ctx context.Context, tenant, id, by, reason string) (task.Task, error)
	Cancel(ctx context.Context, tenant, id, by, reason string) (task.Task, error)
	CheckInput(kind string, input json.RawMessage) error
}

func documentKey(tenant, id string) string { return tenant + "." + id }

func (c Campaign) documentKey() string { return documentKey(c.Tenant, c.ID) }
