package nats_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

// start runs a broker that keeps its streams in files, as production does, without syncing each write.
func start(b *testing.B) *natstest.Broker {
	b.Helper()
	return natstest.StartWith(b, nats.EmbeddedConfig{MonitorPort: -1}, nats.Topology{Kinds: natstest.Kinds()})
}

// BenchmarkSubmit compares what a submission costs on top of two bare publishes with the same bytes.
func BenchmarkSubmit(b *testing.B) {
	b.Run("raw", func(b *testing.B) {
		broker := start(b)
		e := tasktest.QueuedEvent(b, "school")
		header := natsgo.Header{}
		for key, value := range e.Header() {
			header.Set(key, value)
		}
		for b.Loop() {
			id := uuid.NewString()
			for _, subject := range []string{events.Subject("school", id), events.Dispatch{Kind: "quiz", Lane: events.Normal, Tenant: "school", Task: id, N: 1}.Subject()} {
				if _, err := broker.JS.PublishMsg(b.Context(), &natsgo.Msg{Subject: subject, Header: header, Data: e.Data}); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("log and queue", func(b *testing.B) {
		broker := start(b)
		log := nats.NewLog(broker.JS, nats.LogConfig{})
		queue := newQueue(b, broker)
		e := tasktest.QueuedEvent(b, "school")
		for b.Loop() {
			e.ID, e.Task = uuid.NewString(), uuid.NewString()
			e.Seq = 0
			e = tasktest.MustAppend(b, log, e, 0)
			if err := queue.Dispatch(b.Context(), tasktest.EntryOf(b, e), e); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	log := nats.NewLog(start(b).JS, nats.LogConfig{})
	e := tasktest.QueuedEvent(b, "school")
	b.ReportAllocs()
	for b.Loop() {
		e.ID, e.Task = uuid.NewString(), uuid.NewString()
		tasktest.MustAppend(b, log, e, 0)
	}
}

func BenchmarkDispatch(b *testing.B) {
	queue := newQueue(b, start(b))
	e := tasktest.QueuedEvent(b, "school")
	e.Seq = 1
	for b.Loop() {
		e.Task = uuid.NewString()
		if err := queue.Dispatch(b.Context(), tasktest.EntryOf(b, e), e); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHistory reads histories of six events, as a finished task has.
func BenchmarkHistory(b *testing.B) {
	log := nats.NewLog(start(b).JS, nats.LogConfig{})
	e := tasktest.MustAppend(b, log, tasktest.QueuedEvent(b, "school"), 0)
	for i := range 5 {
		e = tasktest.MustAppend(b, log, tasktest.Event(b, "school", e.Task, events.Started{Attempt: i + 1, Dispatch: 1, Worker: "w"}), e.Seq)
	}
	for b.Loop() {
		if h, err := log.History(b.Context(), "school", e.Task, 0, 0); err != nil || len(h) != 6 {
			b.Fatal(len(h), err)
		}
	}
}

// BenchmarkPullAck takes waiting dispatches and acknowledges them, 16 at once.
func BenchmarkPullAck(b *testing.B) {
	broker := start(b)
	queue := newQueue(b, broker)
	e := tasktest.QueuedEvent(b, "school")
	e.Seq = 1
	fill := func(n int) {
		for range n {
			e.Task = uuid.NewString()
			if err := queue.Dispatch(b.Context(), tasktest.EntryOf(b, e), e); err != nil {
				b.Fatal(err)
			}
		}
	}
	sub := newSubscriber(b, broker, nats.SubscriberConfig{Slots: 16})
	fill(b.N)
	b.ResetTimer()
	messages, err := sub.Subscribe(b.Context(), "quiz")
	if err != nil {
		b.Fatal(err)
	}
	for range b.N {
		(<-messages).Ack()
	}
}

// BenchmarkStart is the time from a dispatch to its message in the hands of an idle subscriber; raw is the same with one
// plain parked pull.
func BenchmarkStart(b *testing.B) {
	b.Run("raw", func(b *testing.B) {
		broker := start(b)
		queue := newQueue(b, broker)
		consumer, err := broker.JS.Consumer(b.Context(), events.StreamTasks, nats.WorkConsumer("quiz", events.Normal))
		if err != nil {
			b.Fatal(err)
		}
		messages, err := consumer.Messages(jetstream.PullMaxMessages(1))
		if err != nil {
			b.Fatal(err)
		}
		defer messages.Stop()
		latency(b, queue, func() {
			msg, err := messages.Next()
			if err != nil {
				b.Fatal(err)
			}
			_ = msg.Ack()
		})
	})
	b.Run("subscriber", func(b *testing.B) {
		broker := start(b)
		messages, err := newSubscriber(b, broker, nats.SubscriberConfig{}).Subscribe(b.Context(), "quiz")
		if err != nil {
			b.Fatal(err)
		}
		latency(b, newQueue(b, broker), func() { (<-messages).Ack() })
	})
}

// latency dispatches 200 tasks a second and reports when they were received.
func latency(b *testing.B, queue *nats.Queue, receive func()) {
	e := tasktest.QueuedEvent(b, "school")
	e.Seq = 1
	var took []time.Duration
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for b.Loop() {
		<-tick.C
		e.Task = uuid.NewString()
		began := time.Now()
		go func() { _ = queue.Dispatch(context.Background(), tasktest.EntryOf(b, e), e) }()
		receive()
		took = append(took, time.Since(began))
	}
	reportPercentiles(b, took)
}

// BenchmarkFeed reads the log in batches of 4,096.
func BenchmarkFeed(b *testing.B) {
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
	feed, err := nats.NewFeed(broker.JS, nats.Recorder, nats.FeedConfig{Batch: 4096})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	var n atomic.Int64
	b.ResetTimer()
	if err := feed.Consume(ctx, func(_ context.Context, batch []events.Event) error {
		if n.Add(int64(len(batch))) >= int64(b.N) {
			cancel()
		}
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
