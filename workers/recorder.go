package workers

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/toolboxai/orchestrator/events"
)

// Feed delivers the log in order.
type Feed interface {
	// Consume calls handle with batch after batch, one at a time, each again until handle returned nil for it. It returns
	// when ctx ends.
	Consume(ctx context.Context, handle func(ctx context.Context, batch []events.Event) error) error
}

// Archive keeps what the log tells.
type Archive interface {
	// Record stores a batch of events in log order. The same events may come again.
	Record(ctx context.Context, batch []events.Event) error
}

// Recorder copies the log into the archive. While the archive is away it waits: nothing else depends on it.
type Recorder struct {
	Feed    Feed
	Archive Archive
	Logger  *slog.Logger
}

// Run records until ctx ends.
func (r *Recorder) Run(ctx context.Context) error {
	failing := false
	return r.Feed.Consume(ctx, func(ctx context.Context, batch []events.Event) error {
		err := r.Archive.Record(ctx, batch)
		if err != nil && !failing {
			failing = true
			r.Logger.WarnContext(ctx, "the archive does not take events, the recorder waits", "error", err)
		}
		if err == nil && failing {
			failing = false
			r.Logger.InfoContext(ctx, "the archive takes events again")
		}
		if err != nil {
			return fmt.Errorf("record %d events: %w", len(batch), err)
		}
		return nil
	})
}
