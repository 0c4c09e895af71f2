package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/events"
)

// MetaDeliveries is the key of message.Metadata under which a Subscriber says how often the message was delivered, from 1.
const MetaDeliveries = "nats-deliveries"

// ConsumerRef names a durable consumer.
type ConsumerRef struct{ Stream, Name string }

// WorkConsumers returns the consumers that serve a kind, the most urgent first.
func WorkConsumers(kind string) []ConsumerRef {
	refs := make([]ConsumerRef, 0, len(events.Lanes()))
	for _, lane := range events.Lanes() {
		refs = append(refs, ConsumerRef{events.StreamTasks, WorkConsumer(kind, lane)})
	}
	return refs
}

// SubscriberConfig sets a Subscriber's bounds. Zero fields take the defaults.
type SubscriberConfig struct {
	Slots        int           // messages in progress at once, over all topics; 10
	DrainTimeout time.Duration // how long Close lets messages in progress go on; 30 s
	HandBack     time.Duration // how long handlers may take to settle once their contexts are cancelled after that; 5 s
	DrainCause   error         // the cause of those cancelled contexts; ErrDraining
	ParkWait     time.Duration // how long one request waits for work, and a kind that is resumed for its first pull; 2 s
	HoldWait     time.Duration // how long a message that came while all slots were taken waits for one; 1 s
	Logger       *slog.Logger

	// Consumers returns the consumers of a topic, the most urgent first; WorkConsumers.
	Consumers func(topic string) []ConsumerRef
}

// ErrDraining is the cause of message contexts that Close cancels, unless the configuration names another.
var ErrDraining = errors.New("the process is stopping and hands its work back")

// Subscriber is a message.Subscriber for work that takes long. A topic is served by several durable pull consumers with
// explicit acknowledgement, its lanes.
//
// Slots bound what is in progress, over all topics. A message takes one when it is delivered and gives it back when it is
// settled. While slots are free and work waits, lanes are asked in order of urgency, and the other way round every eighth
// time, so that no lane starves. While nothing waits, one request is parked on each lane; it holds no slot, so that work
// starts at once and idle topics cost nothing. A message that comes through a parked request and finds no slot within
// HoldWait is handed back.
//
// From receipt to settlement a message is kept alive (InProgress) every AckWait/4.5. When it lapses all the same because
// the broker was away, and comes again to the process that works on it, it is not handed out a second time. Ack
// acknowledges it; Nack gives it back, after the duration in its metadata under events.HeaderRetryAfter when that is set.
// Metadata holds the message's headers, its subject under events.HeaderQueueSubject, and MetaDeliveries; UUID is its ce-id.
//
// A message's context is not cancelled with the one given to Subscribe, which only ends the pulling: what is in progress may
// finish. It is cancelled when the message is settled, and by Close.
//
// A consumer that is deleted, without a leader or unreachable is asked again after a growing wait of at most 5 s; that is logged
// once, and once when it is over. A consumer that is paused holds the others up for 0.2 s at first, and delivers as soon as it is
// resumed. Safe for concurrent use.
type Subscriber struct {
	cfg   SubscriberConfig
	js    jetstream.JetStream
	beats *heartbeats

	calls      chan func(*loop)   // run by the loop
	arrivals   chan *natsgo.Msg   // from all inboxes
	finished   chan *delivery     // settled; room for one per slot
	up         chan natsgo.Status // the connection is back
	wake       chan struct{}      // something changed beside the loop
	abort      chan struct{}      // closed when Close stops waiting for handlers
	done       chan struct{}      // closed when the loop has ended
	deliveries sync.WaitGroup
	closing    sync.Once
}

var _ message.Subscriber = (*Subscriber)(nil)

// maxArrivals is more than all pulls together can bring; the loop empties it without ever waiting for a handler.
const maxArrivals = 8192

// NewSubscriber returns a Subscriber without subscriptions. The caller ends it with Close.
func NewSubscriber(js jetstream.JetStream, cfg SubscriberConfig) (*Subscriber, error) {
	setDefault(&cfg.Slots, 10)
	setDefault(&cfg.DrainTimeout, 30*time.Second)
	setDefault(&cfg.HandBack, 5*time.Second)
	setDefault(&cfg.ParkWait, 2*time.Second)
	setDefault(&cfg.HoldWait, time.Second)
	if cfg.Consumers == nil {
		cfg.Consumers = WorkConsumers
	}
	if cfg.DrainCause == nil {
		cfg.DrainCause = ErrDraining
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Slots < 1 || cfg.Slots > maxArrivals/2 {
		return nil, fmt.Errorf("subscriber: Slots is %d, must be 1 to %d", cfg.Slots, maxArrivals/2)
	}
	if cfg.DrainTimeout < 0 || cfg.HandBack < 0 || cfg.ParkWait < 0 || cfg.HoldWait < 0 {
		return nil, errors.New("subscriber: a duration is negative")
	}
	s := &Subscriber{
		cfg: cfg, js: js, beats: newHeartbeats(js.Conn()), up: js.Conn().StatusChanged(natsgo.CONNECTED),
		calls: make(chan func(*loop)), arrivals: make(chan *natsgo.Msg, maxArrivals), finished: make(chan *delivery, cfg.Slots),
		wake: make(chan struct{}, 1), abort: make(chan struct{}), done: make(chan struct{}),
	}
	go newLoop(s).run()
	return s, nil
}

// Subscribe starts to pull a topic's consumers, which must exist, and returns the channel of its messages. The channel is
// closed when ctx has ended, or Close was called, and everything that was handed out is settled. Messages in the channel
// are delivered side by side, not one by one.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	refs := s.cfg.Consumers(topic)
	if len(refs) == 0 {
		return nil, fmt.Errorf("subscribe to %s: it has no consumers", topic)
	}
	sub := &subscription{ctx: context.WithoutCancel(ctx), out: make(chan *message.Message), stop: make(chan struct{})}
	for rank, ref := range refs {
		consumer, err := s.js.Consumer(ctx, ref.Stream, ref.Name)
		if err != nil {
			return nil, broken(ctx, "subscribe to "+topic+": look up consumer "+ref.Stream+"/"+ref.Name, err)
		}
		info := consumer.CachedInfo()
		if info.Config.AckPolicy != jetstream.AckExplicitPolicy {
			return nil, fmt.Errorf("subscribe to %s: consumer %s/%s must have explicit acknowledgement", topic, ref.Stream, ref.Name)
		}
		sub.lanes = append(sub.lanes, &lane{ref: ref, rank: rank, sub: sub, ackWait: info.Config.AckWait})
	}
	err := errors.New("the subscriber is closed")
	s.do(func(l *loop) { err = l.start(ctx, sub) })
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", topic, err)
	}
	return sub.out, nil
}

// Close ends all pulling, waits for messages in progress, cancels the contexts of those that are left after DrainTimeout,
// gives back what is not settled after HandBack, and closes the channels last. Further calls wait for the first one.
func (s *Subscriber) Close() error {
	s.closing.Do(func() { s.do((*loop).close) })
	<-s.done
	return nil
}
