package nats_test

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	natsgo "github.com/nats-io/nats.go"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

func TestQueue_RefusesWhenItIsFull(t *testing.T) {
	t.Parallel()
	for name, topology := range map[string]nats.Topology{
		"Messages": {TasksMaxMsgs: 3},
		"Bytes":    {TasksMaxBytes: 2500},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			topology.InMemory = true
			broker := natstest.StartWith(t, nats.EmbeddedConfig{Port: -1, MonitorPort: -1}, topology)
			log, queue := newLog(broker), newQueue(t, broker)
			var taken []events.Event
			var full error
			for full == nil && len(taken) < 50 {
				q := history(t, log, 1)[0]
				if full = queue.Dispatch(t.Context(), tasktest.EntryOf(t, q), q); full == nil {
					taken = append(taken, q)
				}
			}
			if !fault.Is(full, fault.Unavailable) || fault.RetryAfter(full) == 0 || len(taken) < 2 {
				t.Fatalf("after %d dispatches: got %v, want Unavailable with a RetryAfter", len(taken), full)
			}
			if err := queue.Dispatch(t.Context(), tasktest.EntryOf(t, taken[0]), taken[0]); err != nil {
				t.Errorf("a dispatch that waits already: got %v", err)
			}
			if name == "Bytes" {
				return // the limit itself is never reached
			}
			if err := newQueue(t, broker).Admit(t.Context()); !fault.Is(err, fault.Unavailable) || fault.RetryAfter(err) == 0 {
				t.Errorf("Admit: got %v, want Unavailable with a RetryAfter", err)
			}
		})
	}
}

func TestQueue_AdmitRefusesAtTheShareThatIsSet(t *testing.T) {
	t.Parallel()
	broker := natstest.StartWith(t, nats.EmbeddedConfig{Port: -1, MonitorPort: -1}, nats.Topology{InMemory: true, TasksMaxMsgs: 10})
	for range 5 {
		dispatch(t, broker, "quiz", events.Normal)
	}
	for share, full := range map[float64]bool{0.5: true, 0.6: false} {
		queue, err := nats.NewQueue(broker.JS, nats.QueueConfig{FullAt: share})
		if err != nil {
			t.Fatal(err)
		}
		if err := queue.Admit(t.Context()); fault.Is(err, fault.Unavailable) != full {
			t.Errorf("half full, refusing at %v: got %v", share, err)
		}
	}
	if _, err := nats.NewQueue(broker.JS, nats.QueueConfig{FullAt: 2}); err == nil {
		t.Error("accepted to refuse at twice the limit")
	}
}

func TestQueue_AdmitAsksOnceForAll(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	var asked atomic.Int64
	if _, err := broker.Conn.Subscribe("$JS.API.STREAM.INFO."+events.StreamTasks, func(*natsgo.Msg) { asked.Add(1) }); err != nil {
		t.Fatal(err)
	}
	if err := broker.Conn.Flush(); err != nil {
		t.Fatal(err)
	}
	queue := newQueue(t, broker)
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() {
			if err := queue.Admit(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if err := broker.Conn.Flush(); err != nil {
		t.Fatal(err)
	}
	if n := asked.Load(); n > 1 {
		t.Errorf("asked the broker %d times", n)
	}
}

func TestQueue_HoldsAReplayBesideTheDispatchBefore(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	queue := newQueue(t, broker)
	e := tasktest.QueuedEvent(t, "school")
	for n := range 2 {
		replay := tasktest.Event(t, "school", e.Task, events.Queued{Kind: "quiz", Input: []byte(`{}`), Priority: events.Normal, Dispatch: n + 1})
		if err := queue.Dispatch(t.Context(), tasktest.EntryOf(t, replay), replay); err != nil {
			t.Fatal(err)
		}
	}
	waiting, err := queue.Waiting(t.Context())
	if err != nil || len(waiting) != 2 {
		t.Errorf("got %v (%v), want two dispatches", waiting, err)
	}
}

// The broker lists 100,000 subjects at once.
func TestQueue_WaitingReadsAllPages(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	const n = 100_500
	for i := range n {
		d := events.Dispatch{Kind: "quiz", Lane: events.Low, Tenant: "school", Task: "t" + strconv.Itoa(i), N: 1}
		if err := broker.Conn.Publish(d.Subject(), nil); err != nil {
			t.Fatal(err)
		}
	}
	queue := newQueue(t, broker)
	var waiting []events.Dispatch
	until(t, "all are stored", func() bool {
		info, err := broker.JS.Stream(t.Context(), events.StreamTasks)
		return err == nil && info.CachedInfo().State.Msgs == n
	})
	waiting, err := queue.Waiting(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	distinct := map[string]bool{}
	for _, d := range waiting {
		distinct[d.Task] = true
	}
	if len(distinct) != n || len(waiting) != n {
		t.Errorf("got %d dispatches, %d distinct; want %d", len(waiting), len(distinct), n)
	}
}

func TestQueue_HasKnowsWhatWaitsOrIsHeld(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	queue := newQueue(t, broker)
	e := tasktest.QueuedEvent(t, "school")
	d := tasktest.EntryOf(t, e)
	has := func(d events.Dispatch) bool {
		t.Helper()
		is, err := queue.Has(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		return is
	}
	if has(d) {
		t.Error("has what was never dispatched")
	}
	e.Seq = 1
	if err := queue.Dispatch(t.Context(), d, e); err != nil {
		t.Fatal(err)
	}
	other := d
	other.N++
	if !has(d) || has(other) {
		t.Error("does not know what waits from what does not")
	}
	msg := receive(t, subscribe(t, newSubscriber(t, broker, nats.SubscriberConfig{}), d.Kind))
	if !has(d) {
		t.Error("does not have what a worker holds")
	}
	msg.Ack()
	until(t, "what was acknowledged is gone", func() bool { return !has(d) })
	broker.Embedded.Shutdown()
	if _, err := queue.Has(t.Context(), d); !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Timeout) {
		t.Errorf("without a broker: got %v", err)
	}
}
