package workers

import (
	"context"
	"encoding/json"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// limit returns how large an output or a result may be, in bytes.
func (r *Run) limit() int {
	if r.blobs == nil {
		return MaxOutput
	}
	return task.MaxBlob
}

// store returns data as it goes on the log: itself, or a reference to where it is kept. what names it in errors.
func (r *Run) store(ctx context.Context, what string, data json.RawMessage) (json.RawMessage, *events.Reference, error) {
	if len(data) > r.limit() {
		return nil, nil, fault.New(fault.TooLarge, "the %s has %d bytes, at most %d are kept", what, len(data), r.limit())
	}
	if len(data) <= MaxOutput {
		return data, nil, nil
	}
	t := r.Task()
	var ref events.Reference
	err := task.Patiently(ctx, r.patience, func(ctx context.Context) (err error) {
		ref, err = r.blobs.Put(ctx, t.Tenant, t.ID, data)
		return err
	})
	switch {
	case err == nil:
		return nil, &ref, nil
	case fault.Is(err, fault.TooLarge):
		return nil, nil, err
	}
	return nil, nil, &brokerError{err}
}

// load returns what stands on the log as data or ref. It returns nil for what the object store has lost.
func (r *Run) load(ctx context.Context, data json.RawMessage, ref *events.Reference) (json.RawMessage, error) {
	if ref == nil {
		return data, nil
	}
	if r.blobs == nil {
		return nil, &brokerError{fault.After(0, "an output of %d bytes is in the object store, and this worker has none", ref.Bytes)}
	}
	var found []byte
	err := task.Patiently(ctx, r.patience, func(ctx context.Context) (err error) {
		found, err = r.blobs.Get(ctx, *ref)
		return err
	})
	switch {
	case err == nil:
		return found, nil
	case fault.Is(err, fault.NotFound):
		return nil, nil
	}
	return nil, &brokerError{err}
}
