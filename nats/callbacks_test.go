package nats_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/callback"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/internal/secret"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

func workCallbacks(t *testing.T, callbacks *natstest.Broker, q events.Event) {
	t.Helper()
	log := newLog(callbacks)
	feed, err := nats.NewFeed(callbacks.JS, nats.Callbacks, nats.FeedConfig{Wait: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second goes on where the first stopped
		r := startFeed(t, feed, nil)
		until(t, "the planner has caught up", func() bool {
			lag, err := feed.Lag(t.Context())
			return err == nil && lag.Events == 0 && lag.Settled > q.Seq
		})
		r.stop()
	}
	if _, err := log.History(t.Context(), "school", q.Task, 0, 1); err != nil {
		t.Error(err)
	}
}

// here resolves every name to this machine.
type here struct{}

func (here) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// From the log to a receiver: two processes plan and deliver, one of them stops, and each message has one id.
func TestCallbacks_GoFromTheLogToAReceiver(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	got := map[string]int{}
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got[r.Header.Get(callback.HeaderID)]++
		w.WriteHeader(http.StatusNoContent)
	}))
	defer receiver.Close()
	broker := natstest.Start(t)
	db, err := postgres.Open(t.Context(), postgres.Config{URL: pgtest.New(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	box, err := secret.New("a passphrase of more than thirty-two characters")
	if err != nil {
		t.Fatal(err)
	}
	port := receiver.URL[strings.LastIndex(receiver.URL, ":"):]
	allow, err := callback.ParseAllow("hooks.school.example" + port)
	if err != nil {
		t.Fatal(err)
	}
	store, log := postgres.NewCallbacks(db), newLog(broker)
	service, err := callback.NewService(callback.ServiceConfig{Endpoints: store, Log: store, Sealer: box, Allow: allow})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := service.Create(t.Context(), "school", callback.Spec{URL: "http://hooks.school.example" + port + "/all"}); err != nil {
		t.Fatal(err)
	}
	run := func() (stop func()) {
		feed, err := nats.NewFeed(broker.JS, nats.Callbacks, nats.FeedConfig{Wait: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		planner, err := callback.NewPlanner(callback.PlannerConfig{Feed: feed, Lookup: log, Queue: store, Allow: allow, Tasks: 4})
		if err != nil {
			t.Fatal(err)
		}
		runner, err := callback.NewRunner(callback.RunnerConfig{
			Planner: planner, Queue: store, Secrets: store, Sealer: box, Allow: allow, Resolver: here{}, Poll: 10 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- runner.Run(ctx) }()
		return sync.OnceFunc(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	first, second := run(), run()
	defer first()
	defer second()
	live := func(n int) {
		for range n {
			q := tasktest.Event(t, "school", tasktest.QueuedEvent(t, "school").Task, events.Queued{
				Kind: "quiz", Input: []byte(`{}`), Priority: events.Normal, Dispatch: 1, CallbackURL: "http://hooks.school.example" + port + "/task",
			})
			q = tasktest.MustAppend(t, log, q, 0)
			s := tasktest.MustAppend(t, log, tasktest.Event(t, "school", q.Task, events.Started{Attempt: 1, Dispatch: 1, Worker: "w"}), q.Seq)
			tasktest.MustAppend(t, log, tasktest.Event(t, "school", q.Task, events.Completed{Attempt: 1}), s.Seq)
		}
	}
	const each = 20 // tasks, with four messages each
	arrived := func(n int) func() bool {
		return func() bool { mu.Lock(); defer mu.Unlock(); return len(got) == n }
	}
	live(each)
	until(t, "the first messages arrive", arrived(4*each))
	first()
	live(each)
	until(t, "the rest arrives", arrived(8*each))
	mu.Lock()
	defer mu.Unlock()
	for id, n := range got {
		if n != 1 {
			t.Errorf("%s came %d times", id, n)
		}
	}
}
