package nats_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/internal/channels"
	"github.com/toolboxai/orchestrator/internal/channels/channelstest"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

func newBus(t testing.TB, js jetstream.JetStream) *nats.ChannelBus {
	t.Helper()
	bus, err := nats.NewChannelBus(js, "app")
	if err != nil {
		t.Fatal(err)
	}
	return bus
}

func TestChannelBus_KeepsTheContract(t *testing.T) {
	t.Parallel()
	channelstest.RunBus(t, func(t *testing.T) channelstest.Setup {
		broker := natstest.Start(t)
		return channelstest.Setup{
			Overflow: 3000,
			Join: func(t *testing.T) channels.Bus {
				bus := newBus(t, mustJetStream(t, connect(t, broker)))
				nats.BoundBus(bus, 2000, 4<<20)
				return bus
			},
			Away: func(t *testing.T) channels.Bus { return awayBus(t) },
		}
	})
}

// awayBus returns a bus whose broker is there and gives no answer any more.
func awayBus(t *testing.T) *nats.ChannelBus {
	t.Helper()
	broker := natstest.StartWith(t, nats.EmbeddedConfig{MonitorPort: -1}, nats.Topology{InMemory: true})
	p := startProxy(t, broker.Embedded.URL())
	nc, js, err := nats.Connect(nats.ConnectConfig{URL: p.url(), Name: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	until(t, "the connection is made", nc.IsConnected)
	p.cut()
	return newBus(t, js)
}

// Without the round trip, Publish would call a success what nobody has.
func TestChannelBus_SaysNothingWasPublishedOnlyBecauseItAsks(t *testing.T) {
	t.Parallel()
	bus := awayBus(t)
	if err := bus.Publish(t.Context(), []byte("x")); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v, want Unavailable", err)
	}
	nats.Hasten(bus)
	if err := bus.Publish(t.Context(), []byte("x")); err != nil {
		t.Errorf("the negative control noticed: %v", err)
	}
}

// The marks of a listener's queue are what Check sees: a listener without them does not pass it.
func TestChannelBus_GapsAreSeenByTheirMarks(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	for _, deaf := range []bool{false, true} {
		bus, publisher := newBus(t, mustJetStream(t, connect(t, broker))), newBus(t, mustJetStream(t, connect(t, broker)))
		if deaf {
			nats.Deafen(bus)
		}
		l := channelstest.Listen(t, bus)
		for i := range uint64(100) {
			if i%10 == 7 {
				nats.Skip(publisher) // as if it were lost between two nodes
				continue
			}
			channelstest.Publish(t, publisher, 0, i)
		}
		until(t, "the last message has come", func() bool { return len(l.Heard(0)) == 90 })
		if err := l.Check(); (err != nil) != deaf || l.Losses() > 0 == deaf {
			t.Errorf("deaf %v: told of %d losses, %v", deaf, l.Losses(), err)
		}
	}
}

func TestChannelBus_TellsOfAReconnect(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	nc := connect(t, broker)
	bus, other := newBus(t, mustJetStream(t, nc)), newBus(t, broker.JS)
	l := channelstest.Listen(t, bus)
	if err := nc.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	until(t, "the listener is told", func() bool { return l.Losses() > 0 })
	before := len(l.Heard(0))
	for i := range uint64(50) {
		channelstest.Publish(t, other, 0, i)
	}
	until(t, "it hears again", func() bool { return len(l.Heard(0)) == before+50 })
	if err := l.Check(); err != nil {
		t.Error(err)
	}
}

// Publishers who come together share round trips, and one who gives up takes none from the others.
func TestChannelBus_SharesRoundTrips(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	bus := newBus(t, mustJetStream(t, connect(t, broker)))
	var group sync.WaitGroup
	for i := range 200 {
		group.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			if i%2 == 1 {
				cancel()
			}
			defer cancel()
			if err := bus.Publish(ctx, []byte("x")); (err == nil) != (i%2 == 0) {
				t.Errorf("publisher %d: %v", i, err)
			}
		})
	}
	group.Wait()
}

func TestChannelBus_RefusesWhatItCannotCarry(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	bus := newBus(t, broker.JS)
	put := func(key string, bytes int, ttl time.Duration) error {
		return bus.Put(t.Context(), key, make([]byte, bytes), ttl)
	}
	for name, c := range map[string]struct {
		err  error
		kind fault.Kind
	}{
		"message": {bus.Publish(t.Context(), make([]byte, 2<<20)), fault.TooLarge},
		"value":   {put("k", nats.MaxCached+1, time.Minute), fault.TooLarge},
		"ttl":     {put("k", 1, 0), fault.Invalid},
		"no key":  {put("", 1, time.Minute), fault.Invalid},
		"key":     {put(strings.Repeat("k", 201), 1, time.Minute), fault.Invalid},
	} {
		if !fault.Is(c.err, c.kind) {
			t.Errorf("%s: %v, want %s", name, c.err, c.kind)
		}
	}
	if _, err := nats.NewChannelBus(broker.JS, "a.b"); !fault.Is(err, fault.Invalid) {
		t.Errorf("app: %v", err)
	}
	if err := put("k", nats.MaxCached, 24*time.Hour); err != nil {
		t.Errorf("the largest value for the longest time: %v", err)
	}
}

func BenchmarkChannelBus(b *testing.B) {
	bus := newBus(b, start(b).JS)
	data := make([]byte, 512)
	b.Run("alone", func(b *testing.B) {
		for b.Loop() {
			if err := bus.Publish(b.Context(), data); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("64 together", func(b *testing.B) {
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := bus.Publish(b.Context(), data); err != nil {
					b.Error(err)
				}
			}
		})
	})
}
