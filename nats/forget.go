package nats

import (
	"context"
	"encoding/json"
	"errors"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Eraser deletes what the broker keeps of a task. It is the one thing that deletes from the log, and stands in the permissions of one
// user of the broker alone. It is safe for concurrent use and has nothing to close.
type Eraser struct{ nc *natsgo.Conn }

// NewEraser returns the eraser on the broker that js speaks to. It sends nothing yet.
func NewEraser(js jetstream.JetStream) *Eraser { return &Eraser{js.Conn()} }

// maxForgotten bounds how many events of a task are looked through for large results.
const maxForgotten = 100_000

// Forget deletes a task's large results, dispatches, progress, text and history, in this order: when it is cut off, the next call still finds
// everything. The task should be finished. A writer that comes late is refused, as its history does not end where it thinks. A repeated
// call succeeds. Invalid when tenant or id cannot stand in a subject.
func (e *Eraser) Forget(ctx context.Context, tenant, id string) error {
	for name, value := range map[string]string{"tenant_id": tenant, "task_id": id} {
		if err := events.CheckToken(name, value); err != nil {
			return fault.InvalidField(name, "%v", err)
		}
	}
	var refs []events.Reference
	err := readSubject(ctx, e.nc, events.StreamEvents, events.Subject(tenant, id), 0, maxForgotten, func(m stored) { refs = append(refs, references(m.Data)...) })
	if err != nil && !errors.Is(err, errNoMessage) {
		return broken(ctx, "forget task "+id, err)
	}
	for _, ref := range refs {
		if err := e.forgetBlob(ctx, ref); err != nil {
			return broken(ctx, "forget an object of task "+id, err)
		}
	}
	for _, part := range []struct{ stream, subject string }{
		{events.StreamTasks, "tasks.*.*." + tenant + "." + id + ".*"},
		{events.StreamProgress, events.ProgressSubject(tenant, id)},
		{events.StreamProgress, events.TaskText(tenant, id)},
		{events.StreamEvents, events.Subject(tenant, id)},
	} {
		if err := e.purge(ctx, part.stream, part.subject); err != nil {
			return broken(ctx, "forget task "+id, err)
		}
	}
	return nil
}

func (e *Eraser) forgetBlob(ctx context.Context, ref events.Reference) error {
	blobs := Blobs{e.nc}
	o, err := blobs.find(ctx, ref.Key)
	if errors.Is(err, errNoMessage) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := e.purge(ctx, blobStream, blobChunks(o.NUID)); err != nil {
		return err
	}
	return e.purge(ctx, blobStream, metaOf(ref.Key))
}

// references returns the large objects that an event names.
func references(data []byte) []events.Reference {
	var body struct {
		Output *events.Reference `json:"output_ref"`
		Result *events.Reference `json:"result_ref"`
	}
	if json.Unmarshal(data, &body) != nil {
		return nil
	}
	var out []events.Reference
	for _, ref := range []*events.Reference{body.Output, body.Result} {
		if ref != nil && ref.Key != "" {
			out = append(out, *ref)
		}
	}
	return out
}

func (e *Eraser) purge(ctx context.Context, stream, subject string) error {
	return ask(ctx, e.nc, "$JS.API.STREAM.PURGE."+stream, map[string]string{"filter": subject}, &answer{})
}
