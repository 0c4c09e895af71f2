package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/nats"
)

// emptyBroker is a broker without streams, and a log of what is said about it.
func emptyBroker(t *testing.T) (*broker, *slog.Logger, *lockedBuffer) {
	t.Helper()
	embedded, err := nats.StartEmbedded(nats.EmbeddedConfig{StoreDir: t.TempDir(), Port: -1, MonitorPort: -1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(embedded.Shutdown)
	said := &lockedBuffer{}
	logger := slog.New(slog.NewTextHandler(said, nil))
	b, err := openBroker(Config{}, logger, "test", embedded)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.conn.Close)
	return b, logger, said
}

// says returns nil when something was said.
func says(said *lockedBuffer, what string) error {
	if out := said.String(); !strings.Contains(out, what) {
		return fmt.Errorf("no %q in %q", what, out)
	}
	return nil
}

func provision(t *testing.T, b *broker, kinds ...string) {
	t.Helper()
	if _, err := nats.Provision(t.Context(), b.js, Config{NATSReplicas: 1, TaskQueueLimit: 10}.topology(kinds)); err != nil {
		t.Fatal(err)
	}
}

// Half of a migration is there: a role that uses the other half waits for it and is not ready.
func TestBroker_ARoleWaitsForTheConsumersThatItUses(t *testing.T) {
	t.Parallel()
	b, logger, said := emptyBroker(t)
	if err := b.readyForAPI(t.Context()); err == nil || !strings.Contains(err.Error(), events.StreamTasks) {
		t.Errorf("without streams the API is ready: %v", err)
	}
	provision(t, b, "quiz")
	if err := errors.Join(b.readyForAPI(t.Context()), b.ready(t.Context(), nats.WorkConsumers("quiz")...)); err != nil {
		t.Errorf("what is there is not ready: %v", err)
	}
	scripts := nats.WorkConsumers("script")
	if err := b.ready(t.Context(), scripts...); err == nil || !strings.Contains(err.Error(), "consumer work-script-") {
		t.Errorf("a missing consumer is ready: %v", err)
	}
	awaited := make(chan error, 1)
	go func() { awaited <- b.awaitProvisioned(t.Context(), logger, scripts...) }()
	eventually(t, "it says that it waits", func() error { return says(said, "waiting for the broker") })
	select {
	case err := <-awaited:
		t.Fatalf("it did not wait: %v", err)
	default:
	}
	provision(t, b, "quiz", "script")
	if err := <-awaited; err != nil {
		t.Error(err)
	}
}

func TestSayDurability_AsksAgainUntilItIsKnown(t *testing.T) {
	t.Parallel()
	b, logger, said := emptyBroker(t)
	s := &system{cfg: Config{Environment: "development"}, logger: logger, broker: b}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { s.sayDurability(ctx); close(ended) }()
	eventually(t, "it says that it does not know", func() error { return says(said, "not known yet") })
	provision(t, b, "quiz")
	<-ended
	stop()
	if err := says(said, "what an acknowledgement means"); err != nil {
		t.Error(err)
	}
	s.sayDurability(ctx) // one that has been stopped returns as well
}
