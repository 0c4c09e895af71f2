package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// FeedConfig sets a Feed's bounds. Zero fields take the defaults.
type FeedConfig struct {
	Batch      int           // events in one batch; 512, at most 8192
	BatchBytes int           // bytes of their bodies; a batch ends with the event that exceeds it; 4 MiB
	Wait       time.Duration // how long a batch that is not full waits for more events; 50 ms
	MaxBackoff time.Duration // the longest wait before a batch is handed out again; 10 s
	Logger     *slog.Logger
}

// Feed hands out the log from where its durable consumer stands: every event, in order, in batches, one batch at a time. An
// event is settled when its batch was handled without an error; what is not settled comes again, after a restart or to
// another process.
//
// Of all processes that consume one durable, one is active; the others stand by. The broker pins it (priority policy
// pinned_client) and unpins it when it has given no sign for Topology.PinTTL or when it stops; another one then starts over
// behind the last settled event. An active reader that could not reach the broker for PinTTL stops handling by itself. The
// moment between the two is short, yet there is one: what handles the events must bear one twice.
//
// A message on the log that cannot be decoded is passed over with an error in the log and counted by Skipped: it must not
// hold up the rest, and is still there to be read by hand. Log.Append lets none get there.
type Feed struct {
	js      jetstream.JetStream
	durable string
	cfg     FeedConfig
	audit   time.Duration // how often the broker's bookkeeping is compared with ours
	busy    atomic.Bool
	active  atomic.Bool
	skipped atomic.Uint64
}

// Bounds of what a feed holds in memory beside the batch that is being handled.
const (
	maxBatch      = 8192
	prefetchBytes = 32 << 20 // a quarter of it must hold the largest message
)

// NewFeed returns the feed of a durable consumer of EVENTS: Recorder, Notifier or Callbacks. It sends nothing yet.
func NewFeed(js jetstream.JetStream, durable string, cfg FeedConfig) (*Feed, error) {
	setDefault(&cfg.Batch, 512)
	setDefault(&cfg.BatchBytes, 4<<20)
	setDefault(&cfg.Wait, 50*time.Millisecond)
	setDefault(&cfg.MaxBackoff, 10*time.Second)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if durable == "" {
		return nil, errors.New("feed: the name of the durable consumer is missing")
	}
	if cfg.Batch < 1 || cfg.Batch > maxBatch || cfg.BatchBytes < 1 || cfg.Wait < 0 || cfg.MaxBackoff < 0 {
		return nil, fmt.Errorf("feed %s: a bound is out of range: %+v", durable, cfg)
	}
	cfg.Logger = cfg.Logger.With("feed", durable)
	return &Feed{js: js, durable: durable, cfg: cfg, audit: 30 * time.Second}, nil
}

// Consume calls handle with batch after batch until ctx ends, and returns nil then; it returns an error when the consumer
// does not exist or the connection is closed for good. A batch whose handling failed is handed out again, after a growing
// wait with jitter or what the error's RetryAfter asks for. The context of handle ends with ctx, and when this process is
// active no longer; the batch is then forgotten here. handle may take as long as it needs and keeps the events. One Consume
// at a time.
func (f *Feed) Consume(ctx context.Context, handle func(ctx context.Context, batch []events.Event) error) error {
	if !f.busy.CompareAndSwap(false, true) {
		return fmt.Errorf("feed %s: it is consumed already", f.durable)
	}
	defer f.busy.Store(false)
	r, err := newFeedReader(ctx, f)
	if err != nil || r == nil {
		return err
	}
	go r.run(ctx)
	for {
		select {
		case b := <-r.batches:
			r.results <- f.handle(b, handle)
		case <-r.done:
			return r.err
		}
	}
}

// handle repeats a batch until it is handled or its context ends.
func (f *Feed) handle(b feedBatch, handle func(context.Context, []events.Event) error) error {
	for try := 0; ; try++ {
		err := handle(b.ctx, b.events)
		if err == nil || b.ctx.Err() != nil {
			return err
		}
		if try == 0 {
			f.cfg.Logger.WarnContext(b.ctx, "batch not handled, trying again", "events", len(b.events), "error", err)
		}
		bound := min(f.cfg.MaxBackoff, 50*time.Millisecond<<min(try, 16))
		wait := min(f.cfg.MaxBackoff, max(bound/2+rand.N(bound/2+1), fault.RetryAfter(err)))
		select {
		case <-time.After(wait):
		case <-b.ctx.Done():
			return err
		}
	}
}

// Rewind makes the feed hand out the log from seq on again, in whatever process it runs next. Call it before Consume: the reader that is
// active finds out late, and hands out meanwhile what it has. Sequences that are gone from the log are passed over.
func (f *Feed) Rewind(ctx context.Context, seq uint64) error {
	if _, err := f.js.ResetConsumerToSequence(ctx, events.StreamEvents, f.durable, max(seq, 1)); err != nil {
		return broken(ctx, "rewind feed "+f.durable, err)
	}
	return nil
}

// Active reports whether this process is the one that is served.
func (f *Feed) Active() bool { return f.active.Load() }

// Skipped returns how many messages this process passed over because they could not be decoded.
func (f *Feed) Skipped() uint64 { return f.skipped.Load() }

// Lag says how far a feed is behind the log.
type Lag struct {
	Events  uint64 // not settled yet
	Settled uint64 // sequence of the last settled event
	Last    uint64 // sequence of the last event on the log
}

// Lag asks the broker how far the feed, in whatever process it runs, is behind.
func (f *Feed) Lag(ctx context.Context) (Lag, error) {
	consumer, err := f.js.Consumer(ctx, events.StreamEvents, f.durable)
	if err != nil {
		return Lag{}, broken(ctx, "look up feed "+f.durable, err)
	}
	info := consumer.CachedInfo()
	var s streamState
	if err := ask(ctx, f.js.Conn(), streamInfo+events.StreamEvents, nil, &s); err != nil {
		return Lag{}, broken(ctx, "look up stream "+events.StreamEvents, err)
	}
	return Lag{
		Events: info.NumPending + uint64(info.NumAckPending), Settled: info.AckFloor.Stream, Last: s.State.LastSeq,
	}, nil
}
