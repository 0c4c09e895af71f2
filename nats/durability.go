package nats

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/events"
)

// Durability says in one sentence what an acknowledged append survives, and whether that includes a loss of power. A broker
// does not tell clients whether it writes through to disk: syncAlways is what the operator says about it (sync_interval:
// always), or Embedded.SyncAlways.
func Durability(ctx context.Context, js jetstream.JetStream, syncAlways bool) (sentence string, safe bool, err error) {
	stream, err := js.Stream(ctx, events.StreamEvents)
	if err != nil {
		return "", false, broken(ctx, "look up stream "+events.StreamEvents, err)
	}
	cfg := stream.CachedInfo().Config
	switch {
	case cfg.Storage == jetstream.MemoryStorage:
		return "the log is kept in memory: it is lost when the broker stops", false, nil
	case cfg.Replicas > 1:
		return fmt.Sprintf("the log has %d replicas: an acknowledged event is on most of them", cfg.Replicas), true, nil
	case syncAlways:
		return "the log has one replica that is written through to disk before it acknowledges", true, nil
	}
	return "the log has one replica that is written to disk every 2 minutes: a loss of power may take acknowledged events", false, nil
}
