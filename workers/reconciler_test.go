package workers_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/workerstest"
)

// latest shows the given events and then nothing.
type latest []events.Event

func (l latest) WatchLatest(ctx context.Context, fn func(events.Event)) error {
	for _, e := range l {
		fn(e)
	}
	<-ctx.Done()
	return nil
}

func TestReconciler_DispatchesWhatIsOnRecordAndNotInTheQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := tasktest.NewMemory()
		lost := workerstest.Queue(t, m, "quiz", []byte(`{}`))
		waits := workerstest.Queue(t, m, "quiz", []byte(`{}`))
		done := workerstest.Queue(t, m, "quiz", []byte(`{}`))
		gone := tasktest.QueuedEvent(t, "school") // aged out of the log
		if err := m.Dispatch(t.Context(), tasktest.EntryOf(t, waits), waits); err != nil {
			t.Fatal(err)
		}
		cancelled := tasktest.MustAppend(t, m, tasktest.Event(t, "school", done.Task, events.Cancelled{By: "u"}), done.Seq)
		ctx, stop := context.WithCancel(t.Context())
		r := &workers.Reconciler{Log: m, Queue: m, Latest: latest{lost, waits, done, cancelled, gone}, Logger: slog.New(slog.DiscardHandler)}
		ended := make(chan error)
		go func() { ended <- r.Run(ctx) }()

		<-time.After(9 * time.Second)
		if n := len(must(m.Waiting(ctx))); n != 1 {
			t.Errorf("%d dispatches wait within the grace, want 1", n)
		}
		<-time.After(20 * time.Second)
		got := map[string]bool{}
		for _, d := range must(m.Waiting(ctx)) {
			got[d.Task] = true
		}
		if diff := cmp.Diff(map[string]bool{lost.Task: true, waits.Task: true}, got); diff != "" {
			t.Errorf("in the queue (-want +got):\n%s", diff)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

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
