package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/policy"
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

func TestDeclare_TakesNothingInBeforeItKnows(t *testing.T) {
	t.Parallel()
	b, logger, said := emptyBroker(t)
	s := &system{cfg: Config{Environment: "development"}, logger: logger, broker: b}
	ctx, stop := context.WithCancel(t.Context())
	q := &intake{Queue: b.queue}
	ended := make(chan error, 1)
	go func() { ended <- s.declare(ctx, &q.known) }()
	eventually(t, "it says that it does not know", func() error { return says(said, "not known yet") })
	if err := q.Admit(ctx); !fault.Is(err, fault.Unavailable) {
		t.Errorf("it takes work in: %v", err)
	}
	provision(t, b, "quiz")
	eventually(t, "it takes work in", func() error { return q.Admit(ctx) })
	if err := says(said, "what an acknowledgement means"); err != nil {
		t.Error(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// rules is a policy that does not change.
type rules policy.Policy

func (r rules) Current() policy.Policy { return policy.Policy(r) }

// openGate holds nothing back.
type openGate struct{}

func (openGate) Direct(string, string, map[string]string) bool { return true }

func TestRuled_KeepsToThePolicyWithoutADispatcher(t *testing.T) {
	t.Parallel()
	gate := ruled{openGate{}, rules{
		Paused: map[string]policy.Pause{"quiz": {}},
		Limits: []policy.Limit{{Name: "one", Max: 1, Tenant: "school", Labels: map[string]string{"class": "7b"}}},
	}}
	for _, c := range []struct {
		tenant, kind string
		labels       map[string]string
		want         bool
	}{
		{"school", "quiz", nil, false},
		{"school", "script", nil, true},
		{"school", "script", map[string]string{"class": "7b"}, false},
		{"college", "script", map[string]string{"class": "7b"}, true},
	} {
		if got := gate.Direct(c.tenant, c.kind, c.labels); got != c.want {
			t.Errorf("%+v: direct is %v", c, got)
		}
	}
	if (ruled{closed{}, rules{}}).Direct("school", "script", nil) {
		t.Error("it opens a gate that is closed")
	}
}

func TestIntake_TakesNothingInWhenTheDispatcherIsFull(t *testing.T) {
	t.Parallel()
	b, _, _ := emptyBroker(t)
	provision(t, b, "quiz")
	full := true
	q := &intake{Queue: b.queue, full: func() bool { return full }}
	q.known.Store(true)
	if err := q.Admit(t.Context()); !fault.Is(err, fault.Unavailable) || fault.RetryAfter(err) == 0 {
		t.Errorf("full: %v", err)
	}
	full = false
	if err := q.Admit(t.Context()); err != nil {
		t.Errorf("not full: %v", err)
	}
}

func TestDeclare_ProductionRefusesWhatAPowerCutTakes(t *testing.T) {
	t.Parallel()
	b, logger, _ := emptyBroker(t)
	provision(t, b, "quiz")
	for _, c := range []struct {
		environment, accept string
		synced              bool
		want                string // in the error; empty for none
	}{
		{"production", "", false, "ACCEPT_DURABILITY=page-cache"},
		{"production", "page-cache", false, ""},
		{"production", "", true, ""},
		{"production", "replicated", true, "ACCEPT_DURABILITY=fsync"},
		{"staging", "", false, ""},
		{"staging", "fsync", false, "ACCEPT_DURABILITY=page-cache"},
		{"development", "", false, ""},
	} {
		b.syncAlways = c.synced
		s := &system{cfg: Config{Environment: c.environment, Accept: c.accept}, logger: logger, broker: b}
		ctx, stop := context.WithCancel(t.Context())
		q := &intake{Queue: b.queue}
		ended := make(chan error, 1)
		go func() { ended <- s.declare(ctx, &q.known) }()
		var err error
		if c.want == "" {
			eventually(t, "it takes work in", func() error { return q.Admit(ctx) })
			stop()
		}
		err = <-ended
		stop()
		var usage *usageError
		if c.want == "" && err != nil || c.want != "" && (!errors.As(err, &usage) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: got %v", c, err)
		}
	}
}
