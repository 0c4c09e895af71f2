package nats_test

import (
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"

	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

func TestPubSub(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	stream := newScratch(t, broker.JS, 30*time.Second)
	cfg := nats.SubscriberConfig{Slots: 64, DrainTimeout: 50 * time.Millisecond, HandBack: 50 * time.Millisecond}
	tests.TestPubSub(t,
		tests.Features{ConsumerGroups: true, Persistent: true},
		func(t *testing.T) (message.Publisher, message.Subscriber) {
			return scratchPublisher{broker.JS}, stream.subscriber(t, "default", cfg)
		},
		func(t *testing.T, group string) (message.Publisher, message.Subscriber) {
			return scratchPublisher{broker.JS}, stream.subscriber(t, group, cfg)
		},
	)
}
