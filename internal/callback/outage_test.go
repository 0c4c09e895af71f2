package callback_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/callback"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/postgres/local"
)

// Postgres is away while events come: planning waits and what was under way is delivered at least once.
func TestRunner_OutlivesAnOutage(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "callback-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755)) // the server may run as another user
	up := func() *local.Server {
		s, err := local.Start(context.Background(), local.Config{Dir: dir, Throwaway: true})
		must(t, err)
		return s
	}
	server := up()
	defer func() { _ = server.Stop(context.Background()) }()
	_, err = postgres.Migrate(t.Context(), server.URL())
	must(t, err)
	r := receive(t, nil)
	k := kitOn(t, server.URL(), r)
	k.endpoint(r.url("/"), events.TypeCompleted)

	feed := make(feed, 1)
	planner, err := callback.NewPlanner(callback.PlannerConfig{Feed: feed, Lookup: k.history, Queue: k.store, Allow: k.allow})
	must(t, err)
	runner := k.newRunner(callback.RunnerConfig{Planner: planner, Poll: 10 * time.Millisecond, Now: time.Now})
	down := make(chan struct{})
	var stopped atomic.Bool
	r.answerWith(func(w http.ResponseWriter, _ *http.Request) {
		if stopped.CompareAndSwap(false, true) { // the first is under way when the database goes
			_ = server.Stop(context.Background())
			close(down)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	start(t, runner)
	end := func(id string) events.Event {
		k.event(tenant, id, queued(""))
		e := k.event(tenant, id, events.Completed{Attempt: 1})
		e.Time = time.Now()
		return e
	}
	var batches [][]events.Event
	for i := range 5 {
		batches = append(batches, []events.Event{end(fmt.Sprint("task-", i))})
	}
	feed <- batches[0]
	<-down
	for _, b := range batches[1:2] {
		feed <- b
	}
	server = up()
	for _, b := range batches[2:] {
		feed <- b
	}
	until(t, "every message is delivered", func() bool {
		ids := map[string]bool{}
		for _, got := range r.requests() {
			ids[got.id] = true
		}
		return len(ids) == 5
	})
}

// feed repeats a batch until it is handled.
type feed chan []events.Event

func (f feed) Consume(ctx context.Context, handle func(context.Context, []events.Event) error) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case batch := <-f:
			for handle(ctx, batch) != nil && ctx.Err() == nil {
				select {
				case <-time.After(10 * time.Millisecond):
				case <-ctx.Done():
				}
			}
		}
	}
}

// A process that is asked to stop lets requests come to their end, and leaves what it cuts off to others at once.
func TestRunner_StopsWithGrace(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	arrived := make(chan struct{}, 10)
	r := receive(t, func(w http.ResponseWriter, req *http.Request) {
		arrived <- struct{}{}
		if req.URL.Path == "/never" {
			_, _ = io.Copy(io.Discard, req.Body)
			<-req.Context().Done()
			return
		}
		<-hold
		w.WriteHeader(http.StatusNoContent)
	})
	k := newKit(t, r)
	k.endpoint(r.url("/never"), events.TypeCompleted)
	k.endpoint(r.url("/soon"), events.TypeCompleted)
	k.finish("task-1", "")
	stop := start(t, k.newRunner(callback.RunnerConfig{Grace: 500 * time.Millisecond, Timeout: time.Minute}))
	<-arrived
	<-arrived
	close(hold)
	stop()
	states := map[callback.DeliveryState]int{}
	for _, d := range k.log(callback.DeliveryFilter{}) {
		states[d.State]++
	}
	if states[callback.Delivered] != 1 || states[callback.Pending] != 1 {
		t.Errorf("got %v", states)
	}
	if n := k.claim(time.Minute); n != 1 {
		t.Errorf("%d are due at once", n)
	}
}
