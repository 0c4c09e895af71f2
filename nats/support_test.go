package nats_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

// connect opens a further connection for the length of the test.
func connect(t testing.TB, broker *natstest.Broker) *natsgo.Conn {
	t.Helper()
	nc, _, err := nats.Connect(nats.ConnectConfig{Embedded: broker.Embedded, Name: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func mustJetStream(t testing.TB, nc *natsgo.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// until waits for a condition that only the broker can tell.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	limit := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("waited %s in vain until %s", patience, what)
		}
	}
}

// busy times round trips on a connection of its own to the broker until slack is called, which returns how late a guarantee of time may
// be seen on this machine now: several times the slowest of them, which is milliseconds on one that has nothing else to do.
func busy(t testing.TB, broker *natstest.Broker) (slack func() time.Duration) {
	t.Helper()
	nc := connect(t, broker)
	done, slowest := make(chan struct{}), make(chan time.Duration, 1)
	go func() {
		worst := time.Duration(0)
		defer func() { slowest <- worst }()
		for {
			began := time.Now()
			select {
			case <-done:
				return
			case <-time.After(2 * time.Millisecond):
			}
			if err := nc.FlushTimeout(patience); err != nil && !nc.IsClosed() {
				t.Errorf("the broker is not there to be timed: %v", err)
				return
			}
			worst = max(worst, time.Since(began))
		}
	}()
	end := sync.OnceFunc(func() { close(done) })
	t.Cleanup(end)
	return func() time.Duration {
		end()
		return 5 * <-slowest
	}
}

func newQueue(t testing.TB, broker *natstest.Broker) *nats.Queue {
	t.Helper()
	queue, err := nats.NewQueue(broker.JS, nats.QueueConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return queue
}

func newSubscriber(t testing.TB, broker *natstest.Broker, cfg nats.SubscriberConfig) *nats.Subscriber {
	t.Helper()
	setDefault(&cfg.DrainTimeout, 20*time.Millisecond)
	setDefault(&cfg.HandBack, 20*time.Millisecond)
	sub, err := nats.NewSubscriber(broker.JS, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Close() })
	return sub
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

func reportPercentiles(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	for _, p := range []int{50, 99} {
		b.ReportMetric(float64(took[len(took)*p/100].Microseconds()), fmt.Sprintf("p%d-µs", p))
	}
}

// logBook counts log messages.
type logBook struct {
	mu   sync.Mutex
	said map[string]int
}

func (b *logBook) logger() *slog.Logger { return slog.New(b) }

func (b *logBook) count(message string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.said[message]
}

func (b *logBook) Enabled(context.Context, slog.Level) bool { return true }
func (b *logBook) WithAttrs([]slog.Attr) slog.Handler       { return b }
func (b *logBook) WithGroup(string) slog.Handler            { return b }

func (b *logBook) Handle(_ context.Context, r slog.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.said == nil {
		b.said = map[string]int{}
	}
	b.said[r.Message]++
	return nil
}
