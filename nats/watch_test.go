package nats_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

// watch runs Watch on a connection of its own until the test ends, and returns what it shows and what it returned.
func watch(t *testing.T, log *nats.Log) (seen chan events.Event, ended chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	seen, ended = make(chan events.Event, 10_000), make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ended <- log.Watch(ctx, func(e events.Event) { seen <- e })
	}()
	t.Cleanup(func() { cancel(); <-done })
	return seen, ended
}

func TestLog_WatchShowsTheLastOfEveryTaskAndThenAll(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	log := newLog(broker)
	var want []events.Event
	for range 20 {
		want = append(want, history(t, log, 3)[2])
	}
	seen, _ := watch(t, nats.NewLog(mustJetStream(t, connect(t, broker)), nats.LogConfig{}))
	for _, e := range want {
		if got := next(t, seen); got.Seq != e.Seq || string(got.Data) != string(e.Data) {
			t.Fatalf("saw %d %s, want %d %s", got.Seq, got.Data, e.Seq, e.Data)
		}
	}
	for _, e := range history(t, log, 3) {
		if got := next(t, seen); got.Seq != e.Seq || got.ID != e.ID {
			t.Errorf("saw %d, want %d", got.Seq, e.Seq)
		}
	}
}

func TestLog_WatchSyncedSaysWhenItHasCaughtUp(t *testing.T) {
	t.Parallel()
	for _, tasks := range []int{0, 1, 50} {
		broker := natstest.Start(t)
		log := newLog(broker)
		for range tasks {
			history(t, log, 2)
		}
		ctx, cancel := context.WithCancel(t.Context())
		shown, synced := 0, 0
		err := log.WatchSynced(ctx, func(events.Event) {
			if shown++; shown == tasks+1 {
				cancel()
			}
		}, func() {
			synced++
			if shown != tasks {
				t.Errorf("caught up after %d of %d tasks", shown, tasks)
			}
			tasktest.MustAppend(t, log, tasktest.QueuedEvent(t, "school"), 0)
		})
		if err != nil || synced != 1 {
			t.Errorf("%d tasks: caught up %d times, %v", tasks, synced, err)
		}
		cancel()
	}
}

// More than the window fits, and bodies that fill a pull's bytes before its count.
func TestLog_WatchReadsWhatIsLargerThanItsWindow(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	e := tasktest.QueuedEvent(t, "school")
	header := natsgo.Header{}
	for key, value := range e.Header() {
		header.Set(key, value)
	}
	large := fmt.Appendf(nil, `{"kind":"quiz","input":{"text":"%0700000d"}}`, 0)
	const n = 5000
	for i := range n {
		data := []byte(e.Data)
		if i%100 == 50 {
			data = large
		}
		if _, err := broker.JS.PublishMsgAsync(&natsgo.Msg{Subject: fmt.Sprintf("events.school.t%d", i), Header: header, Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	<-broker.JS.PublishAsyncComplete()
	seen, _ := watch(t, nats.NewLog(mustJetStream(t, connect(t, broker)), nats.LogConfig{}))
	for i := range uint64(n) {
		if got := next(t, seen); got.Seq != i+1 {
			t.Fatalf("saw %d, want %d", got.Seq, i+1)
		}
	}
}

func TestLog_WatchGoesOnWhereItWasWhenTheBrokerRestarts(t *testing.T) {
	t.Parallel()
	broker := startMortal(t)
	client := broker.connect(t)
	until(t, "the broker is provisioned", func() bool {
		_, err := nats.Provision(t.Context(), client.JS, nats.Topology{Kinds: natstest.Kinds()})
		return err == nil
	})
	log, queue := newLog(client), newQueue(t, client)
	first := history(t, log, 3)
	seen, _ := watch(t, newLog(broker.connect(t)))
	last := next(t, seen).Seq
	if last != first[2].Seq {
		t.Fatalf("saw %d first, want %d", last, first[2].Seq)
	}
	for range 2 {
		broker.kill(t)
		broker.start(t)
		for range 5 {
			submit(t, log, queue)
		}
		for range 5 {
			if got := next(t, seen).Seq; got != last+1 {
				t.Errorf("saw %d after %d: nothing may be missing or come twice", got, last)
			}
			last++
		}
	}
}

func TestLog_WatchEndsWhenItsLogIsReplaced(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	history(t, newLog(broker), 2)
	nc := connect(t, broker)
	seen, ended := watch(t, nats.NewLog(mustJetStream(t, nc), nats.LogConfig{}))
	next(t, seen)
	if err := broker.JS.DeleteStream(t.Context(), events.StreamEvents); err != nil {
		t.Fatal(err)
	}
	if _, err := nats.Provision(t.Context(), broker.JS, nats.Topology{Kinds: natstest.Kinds(), InMemory: true}); err != nil {
		t.Fatal(err)
	}
	if err := nc.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err == nil {
			t.Error("ended without an error")
		}
	case <-time.After(patience):
		t.Error("goes on with another log as if it were the same")
	}
}

// BenchmarkWatch reads small events of as many tasks, as the dispatcher does when it starts.
func BenchmarkWatch(b *testing.B) {
	broker := start(b)
	e := tasktest.QueuedEvent(b, "school")
	header := natsgo.Header{}
	for key, value := range e.Header() {
		header.Set(key, value)
	}
	for i := range b.N {
		if i%1000 == 999 {
			<-broker.JS.PublishAsyncComplete()
		}
		if _, err := broker.JS.PublishMsgAsync(&natsgo.Msg{Subject: fmt.Sprintf("events.school.t%d", i), Header: header, Data: e.Data}); err != nil {
			b.Fatal(err)
		}
	}
	<-broker.JS.PublishAsyncComplete()
	log := nats.NewLog(mustJetStream(b, connect(b, broker)), nats.LogConfig{})
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	var n atomic.Int64
	b.ResetTimer()
	if err := log.Watch(ctx, func(events.Event) {
		if n.Add(1) == int64(b.N) {
			cancel()
		}
	}); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
