package nats_test

import (
	"sync/atomic"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

func TestQueue_PauseHoldsAKindUntilItIsResumed(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	queue := newQueue(t, broker)
	var asked atomic.Int64
	pulls := "$JS.API.CONSUMER.MSG.NEXT." + events.StreamTasks + "." + nats.WorkConsumer("quiz", events.Normal)
	if _, err := broker.Conn.Subscribe(pulls, func(*natsgo.Msg) { asked.Add(1) }); err != nil {
		t.Fatal(err)
	}
	for range 2 { // it may be repeated
		if err := queue.PauseKind(t.Context(), "quiz"); err != nil {
			t.Fatal(err)
		}
	}
	sub := newSubscriber(t, broker, nats.SubscriberConfig{Slots: 4, ParkWait: 200 * time.Millisecond})
	quiz, content := subscribe(t, sub, "quiz"), subscribe(t, sub, "content")
	waiting := map[string]bool{}
	for _, lane := range events.Lanes() {
		waiting[dispatch(t, broker, "quiz", lane)] = true
	}
	for range 20 { // others go on, although asking the paused ones may take their slots for a moment
		dispatch(t, broker, "content", events.Normal)
		receive(t, content).Ack()
	}
	before := asked.Load()
	until(t, "a paused lane was asked many times in vain", func() bool {
		select {
		case msg := <-quiz:
			t.Fatalf("a paused kind delivered %s", taskOf(t, msg))
		default:
		}
		return asked.Load() > before+8
	})
	slack := busy(t, broker)
	if err := queue.ResumeKind(t.Context(), "quiz"); err != nil {
		t.Fatal(err)
	}
	resumed := time.Now()
	for len(waiting) > 0 {
		msg := receive(t, quiz)
		delete(waiting, taskOf(t, msg))
		msg.Ack()
	}
	if waited, late := time.Since(resumed), slack(); waited > time.Second+late {
		t.Errorf("all work of a resumed kind started after %s, and this machine is %s late", waited, late)
	}
	if err := queue.ResumeKind(t.Context(), "quiz"); err != nil {
		t.Errorf("resumed twice: %v", err)
	}
}

func TestQueue_PauseOutlivesTheBroker(t *testing.T) {
	t.Parallel()
	broker := startMortal(t)
	client := broker.connect(t)
	until(t, "the broker is provisioned", func() bool {
		_, err := nats.Provision(t.Context(), client.JS, nats.Topology{Kinds: natstest.Kinds()})
		return err == nil
	})
	queue := newQueue(t, client)
	if err := queue.PauseKind(t.Context(), "quiz"); err != nil {
		t.Fatal(err)
	}
	broker.kill(t)
	broker.start(t)
	until(t, "the broker is back", client.Conn.IsConnected)
	if _, err := nats.Provision(t.Context(), client.JS, nats.Topology{Kinds: natstest.Kinds(), AckWait: 20 * time.Second}); err != nil {
		t.Fatal(err)
	}
	if info := consumerInfo(t, client, "quiz", events.High); !info.Paused || info.Config.AckWait != 20*time.Second {
		t.Errorf("after a restart and a new provision: paused %v, AckWait %s", info.Paused, info.Config.AckWait)
	}
}

func TestQueue_PauseKnowsItsKinds(t *testing.T) {
	t.Parallel()
	queue := newQueue(t, natstest.Start(t))
	if err := queue.PauseKind(t.Context(), "poem"); !fault.Is(err, fault.NotFound) {
		t.Errorf("got %v, want NotFound", err)
	}
	if err := queue.ResumeKind(t.Context(), "a.b"); !fault.Is(err, fault.Invalid) {
		t.Errorf("got %v, want Invalid", err)
	}
}
