package nats_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/nats"
)

const scratchStream = "SCRATCH"

// scratch is a stream for any topics, apart from the platform's own.
type scratch struct {
	js      jetstream.JetStream
	ackWait time.Duration
}

func newScratch(t testing.TB, js jetstream.JetStream, ackWait time.Duration) scratch {
	t.Helper()
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: scratchStream, Subjects: []string{"scratch.>"}, Storage: jetstream.MemoryStorage})
	if err != nil {
		t.Fatal(err)
	}
	return scratch{js, ackWait}
}

// consumer makes the durable consumer of a topic and group, unless it is there.
func (s scratch) consumer(topic, group string) error {
	_, err := s.js.CreateConsumer(context.Background(), scratchStream, jetstream.ConsumerConfig{
		Durable: scratchName(topic, group), FilterSubject: "scratch." + topic, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: s.ackWait, MaxDeliver: -1, MaxAckPending: -1,
	})
	return err
}

func scratchName(topic, group string) string {
	return strings.ReplaceAll(topic, ".", "_") + "-" + group
}

// scratchSubscriber makes the consumers of the topics that it is asked for.
type scratchSubscriber struct {
	*nats.Subscriber
	scratch scratch
	group   string
}

func (s scratch) subscriber(t testing.TB, group string, cfg nats.SubscriberConfig) scratchSubscriber {
	t.Helper()
	cfg.Consumers = func(topic string) []nats.ConsumerRef {
		return []nats.ConsumerRef{{Stream: scratchStream, Name: scratchName(topic, group)}}
	}
	sub, err := nats.NewSubscriber(s.js, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return scratchSubscriber{sub, s, group}
}

func (s scratchSubscriber) SubscribeInitialize(topic string) error {
	return s.scratch.consumer(topic, s.group)
}

func (s scratchSubscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	if err := s.SubscribeInitialize(topic); err != nil {
		return nil, err
	}
	return s.Subscriber.Subscribe(ctx, topic)
}

// scratchPublisher publishes watermill messages to a scratch stream.
type scratchPublisher struct{ js jetstream.JetStream }

func (p scratchPublisher) Publish(topic string, messages ...*message.Message) error {
	for _, m := range messages {
		header := natsgo.Header{events.HeaderID: {m.UUID}}
		for key, value := range m.Metadata {
			header.Set(key, value)
		}
		if _, err := p.js.PublishMsg(m.Context(), &natsgo.Msg{Subject: "scratch." + topic, Header: header, Data: m.Payload}); err != nil {
			return err
		}
	}
	return nil
}

func (scratchPublisher) Close() error { return nil }
