package workers_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/workers"
)

// feed hands one batch over until it is taken.
type feed struct{ batch []events.Event }

func (f feed) Consume(ctx context.Context, handle func(context.Context, []events.Event) error) error {
	for handle(ctx, f.batch) != nil {
	}
	return nil
}

// archive refuses the first calls.
type archive struct {
	refuse int
	got    []events.Event
}

func (a *archive) Record(_ context.Context, batch []events.Event) error {
	if a.refuse > 0 {
		a.refuse--
		return errors.New("connection refused")
	}
	a.got = append(a.got, batch...)
	return nil
}

func TestRecorder_WaitsForTheArchive(t *testing.T) {
	t.Parallel()
	e := tasktest.QueuedEvent(t, "school")
	a := &archive{refuse: 3}
	r := &workers.Recorder{Feed: feed{[]events.Event{e}}, Archive: a, Logger: slog.New(slog.DiscardHandler)}
	if err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]events.Event{e}, a.got); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
}
