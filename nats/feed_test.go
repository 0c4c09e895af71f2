package nats_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

// patience bounds every wait of these tests; nothing is timed.
const patience = 20 * time.Second

// silence is when readers are taken to have come to the end of what they get. Negative controls last so long.
const silence = patience / 2

// fill appends n histories of one event and returns their sequences.
func fill(t testing.TB, broker *natstest.Broker, n int) []uint64 {
	t.Helper()
	log := nats.NewLog(broker.JS, nats.LogConfig{})
	seqs := make([]uint64, n)
	for i := range seqs {
		seqs[i] = tasktest.MustAppend(t, log, tasktest.QueuedEvent(t, "school"), 0).Seq
	}
	return seqs
}

// reader consumes a feed beside the test and keeps what it was given.
type reader struct {
	feed *nats.Feed
	stop func()

	mu     sync.Mutex
	seqs   []uint64
	moved  chan struct{}
	atOnce int
}

// startReader consumes a durable on a connection. fail is asked before each batch counts; nil lets all pass.
func startReader(t testing.TB, broker *natstest.Broker, nc *natsgo.Conn, cfg nats.FeedConfig, fail func([]events.Event) error) *reader {
	t.Helper()
	js := broker.JS
	if nc != nil {
		js = mustJetStream(t, nc)
	}
	feed, err := nats.NewFeed(js, nats.Recorder, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return startFeed(t, feed, fail)
}

func startFeed(t testing.TB, feed *nats.Feed, fail func([]events.Event) error) *reader {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &reader{feed: feed, moved: make(chan struct{}, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = feed.Consume(ctx, func(_ context.Context, batch []events.Event) error {
			r.mu.Lock()
			r.atOnce++
			if r.atOnce > 1 {
				t.Error("two batches at once")
			}
			r.mu.Unlock()
			var err error
			if fail != nil {
				err = fail(batch)
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			r.atOnce--
			if err != nil {
				return err
			}
			for _, e := range batch {
				r.seqs = append(r.seqs, e.Seq)
			}
			select {
			case r.moved <- struct{}{}:
			default:
			}
			return nil
		})
	}()
	r.stop = sync.OnceFunc(func() { cancel(); <-ended })
	t.Cleanup(r.stop)
	return r
}

func (r *reader) got() []uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seqs)
}

// wait returns once the reader has n events.
func (r *reader) wait(t testing.TB, n int) {
	t.Helper()
	limit := time.After(patience)
	for len(r.got()) < n {
		select {
		case <-r.moved:
		case <-limit:
			t.Fatalf("the reader has %d events, want %d", len(r.got()), n)
		}
	}
}

func TestFeed_HandsOutEverythingInOrder(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	want := fill(t, broker, 1000)
	r := startReader(t, broker, nil, nats.FeedConfig{Batch: 64, Wait: time.Millisecond}, nil)
	r.wait(t, 1000)
	want = append(want, fill(t, broker, 10)...)
	r.wait(t, 1010)
	if !slices.Equal(r.got(), want) {
		t.Errorf("order or number differs: %d events, want %d", len(r.got()), len(want))
	}
	until(t, "the lag is gone", func() bool {
		lag, err := r.feed.Lag(t.Context())
		return err == nil && lag == nats.Lag{Events: 0, Settled: want[len(want)-1], Last: want[len(want)-1]}
	})
}

func TestFeed_RepeatsABatchUntilItIsHandled(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	want := fill(t, broker, 40)
	var seen [][]uint64
	failures := 0
	r := startReader(t, broker, nil, nats.FeedConfig{Batch: 10, Wait: time.Millisecond}, func(batch []events.Event) error {
		var seqs []uint64
		for _, e := range batch {
			seqs = append(seqs, e.Seq)
		}
		seen = append(seen, seqs)
		if failures++; failures <= 3 {
			return errors.New("the archive is away")
		}
		return nil
	})
	r.wait(t, 40)
	r.stop()
	if !slices.Equal(r.got(), want) {
		t.Errorf("got %v, want %v", r.got(), want)
	}
	for i := range 3 {
		if !slices.Equal(seen[i], seen[3]) {
			t.Errorf("try %d was another batch than try 4: %v and %v", i+1, seen[i], seen[3])
		}
	}
}

func TestFeed_GoesOnBehindTheLastSettledEvent(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	want := fill(t, broker, 100)
	var first *reader
	blocked := make(chan struct{})
	first = startReader(t, broker, nil, nats.FeedConfig{Batch: 30, Wait: time.Millisecond}, func(batch []events.Event) error {
		if batch[0].Seq > want[29] {
			select {
			case blocked <- struct{}{}:
			default:
			}
			return errors.New("stuck")
		}
		return nil
	})
	<-blocked
	first.stop()
	second := startReader(t, broker, nil, nats.FeedConfig{Batch: 30, Wait: time.Millisecond}, nil)
	second.wait(t, 100-len(first.got()))
	if got := append(first.got(), second.got()...); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestFeed_RewindHandsOutAgainWhatWasSettled(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	want := fill(t, broker, 100)
	first := startReader(t, broker, nil, nats.FeedConfig{Wait: time.Millisecond}, nil)
	first.wait(t, 100)
	first.stop()
	feed, err := nats.NewFeed(broker.JS, nats.Recorder, nats.FeedConfig{Wait: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if err := feed.Rewind(t.Context(), want[40]); err != nil {
		t.Fatal(err)
	}
	again := startFeed(t, feed, nil)
	again.wait(t, 60)
	if got := again.got(); !slices.Equal(got, want[40:]) {
		t.Errorf("got %d events from %d on, want %d from %d on", len(got), got[0], 60, want[40])
	}
}

func TestFeed_ServesOneOfSeveralAndReplacesTheDead(t *testing.T) {
	t.Parallel()
	broker := natstest.StartWith(t, nats.EmbeddedConfig{Port: -1, MonitorPort: -1}, nats.Topology{InMemory: true, PinTTL: 2 * time.Second})
	want := fill(t, broker, 50)
	cfg := nats.FeedConfig{Batch: 10, Wait: time.Millisecond}
	conns := []*natsgo.Conn{connect(t, broker), connect(t, broker)}
	readers := []*reader{startReader(t, broker, conns[0], cfg, nil), startReader(t, broker, conns[1], cfg, nil)}
	total := func() int { return len(readers[0].got()) + len(readers[1].got()) }
	until(t, "all events are handed out", func() bool { return total() == 50 })
	active, standby := readers[0], readers[1]
	if standby.feed.Active() {
		active, standby = standby, active
		conns[0], conns[1] = conns[1], conns[0]
	}
	if len(standby.got()) != 0 || !active.feed.Active() {
		t.Fatalf("both readers were served: %d and %d events", len(active.got()), len(standby.got()))
	}
	if !slices.Equal(active.got(), want) {
		t.Errorf("got %v, want %v", active.got(), want)
	}
	conns[0].Close() // dies without a word
	more := fill(t, broker, 20)
	standby.wait(t, 20)
	if got := standby.got(); !slices.Equal(got[len(got)-20:], more) {
		t.Errorf("after the takeover: got %v, want it to end with %v", got, more)
	}
}

func TestFeed_HandsOverAtOnceWhenStopped(t *testing.T) {
	t.Parallel()
	broker := natstest.StartWith(t, nats.EmbeddedConfig{Port: -1, MonitorPort: -1}, nats.Topology{InMemory: true, PinTTL: time.Hour})
	fill(t, broker, 10)
	first := startReader(t, broker, nil, nats.FeedConfig{Wait: time.Millisecond}, nil)
	first.wait(t, 10)
	second := startReader(t, broker, connect(t, broker), nats.FeedConfig{Wait: time.Millisecond}, nil)
	first.stop()
	fill(t, broker, 10)
	second.wait(t, 10)
}

func TestFeed_KeepsItsPlaceDuringALongBatch(t *testing.T) {
	t.Parallel()
	broker := natstest.StartWith(t, nats.EmbeddedConfig{Port: -1, MonitorPort: -1}, nats.Topology{InMemory: true, PinTTL: 2 * time.Second})
	want := fill(t, broker, 20)
	release := make(chan struct{})
	first := startReader(t, broker, nil, nats.FeedConfig{Batch: 10, Wait: time.Millisecond}, func([]events.Event) error { <-release; return nil })
	until(t, "the first reader is served", first.feed.Active)
	second := startReader(t, broker, connect(t, broker), nats.FeedConfig{Batch: 10, Wait: time.Millisecond}, nil)
	<-time.After(6 * time.Second) // three times what an idle pin lives
	close(release)
	first.wait(t, 20)
	if !slices.Equal(first.got(), want) || len(second.got()) > 0 {
		t.Errorf("first got %v, second got %v; want all of it in the first", first.got(), second.got())
	}
}

// A process that lost its pin without noticing settles under a delivery number of its own time. The broker then takes nothing
// from the process that is active, until that has come as far.
func TestFeed_NoticesThatTheBrokerTakesNoSettlements(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	want := fill(t, broker, 10)
	gate := make(chan struct{})
	feed, err := nats.NewFeed(broker.JS, nats.Recorder, nats.FeedConfig{Batch: 5, Wait: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	nats.AuditEvery(feed, 20*time.Millisecond)
	r := startFeed(t, feed, func([]events.Event) error { <-gate; return nil })
	until(t, "the reader is active", r.feed.Active)
	zombie := fmt.Sprintf("$JS.ACK.%s.%s.1.%d.1000000.1.0", events.StreamEvents, nats.Recorder, want[2])
	if err := broker.Conn.Publish(zombie, []byte("+ACK")); err != nil {
		t.Fatal(err)
	}
	until(t, "the broker has taken it", func() bool {
		lag, err := r.feed.Lag(t.Context())
		return err == nil && lag.Settled == want[2]
	})
	close(gate)
	r.wait(t, 10)
	until(t, "everything is settled", func() bool {
		lag, err := r.feed.Lag(t.Context())
		return err == nil && lag.Events == 0 && lag.Settled == want[9]
	})
	if !slices.Equal(r.got(), want) {
		t.Errorf("got %v, want %v", r.got(), want)
	}
}

func TestFeed_PassesOverWhatCannotBeDecoded(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	want := fill(t, broker, 3)
	for _, garbage := range []string{"", "garbage", `{"a":1}`} {
		if _, err := broker.JS.Publish(t.Context(), "events.school.broken", []byte(garbage)); err != nil {
			t.Fatal(err)
		}
	}
	r := startReader(t, broker, nil, nats.FeedConfig{Wait: time.Millisecond}, nil)
	until(t, "everything is settled", func() bool {
		lag, err := r.feed.Lag(t.Context())
		return err == nil && lag.Events == 0
	})
	want = append(want, fill(t, broker, 2)...)
	r.wait(t, 5)
	if !slices.Equal(r.got(), want) || r.feed.Skipped() != 3 {
		t.Errorf("got %v and %d skipped, want %v and 3", r.got(), r.feed.Skipped(), want)
	}
}

func TestFeed_NeedsItsConsumer(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	feed, err := nats.NewFeed(broker.JS, "nobody", nats.FeedConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := feed.Consume(t.Context(), func(context.Context, []events.Event) error { return nil }); err == nil {
		t.Error("consumed a consumer that does not exist")
	}
}
