package nats

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// forGood is when a pause ends by itself. The broker knows no pause without an end.
const forGood = 100 * 365 * 24 * time.Hour

// PauseKind keeps what is in the queue of a kind from being delivered, whoever asks for it and also when the broker restarts. What
// workers hold goes on. It may be repeated. Where it fails halfway, some lanes are paused: repeat it. NotFound when the kind has
// no consumers.
func (q *Queue) PauseKind(ctx context.Context, kind string) error {
	return q.pause(ctx, "pause kind "+kind, kind, time.Now().Add(forGood))
}

// ResumeKind undoes PauseKind. What waits in the queue is delivered when a worker asks again: within SubscriberConfig.ParkWait. It may be repeated.
func (q *Queue) ResumeKind(ctx context.Context, kind string) error {
	return q.pause(ctx, "resume kind "+kind, kind, time.Time{})
}

func (q *Queue) pause(ctx context.Context, op, kind string, until time.Time) error {
	if err := events.CheckToken("kind", kind); err != nil {
		return fault.InvalidField("kind", "%v", err)
	}
	in := map[string]any{}
	if !until.IsZero() {
		in["pause_until"] = until.UTC()
	}
	for _, ref := range WorkConsumers(kind) {
		var out answer
		err := ask(ctx, q.nc, "$JS.API.CONSUMER.PAUSE."+ref.Stream+"."+ref.Name, in, &out)
		if isNoConsumer(err) {
			return fault.New(fault.NotFound, "%s: it has no consumer %s", op, ref.Name)
		}
		if err != nil {
			return broken(ctx, op, err)
		}
	}
	return nil
}

// isNoConsumer reports whether the broker knows no such consumer.
func isNoConsumer(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeConsumerNotFound
}
