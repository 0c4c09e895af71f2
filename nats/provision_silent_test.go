package nats_test

import (
	"context"
	"testing"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

// A cluster that has no leader yet takes requests and answers none of them. Whoever provisions it then must get the turn back, to ask
// again when there is a leader.
func TestProvision_GivesUpOnABrokerThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t)
	if _, err := b.Conn.Subscribe("silent.>", func(*natsgo.Msg) {}); err != nil {
		t.Fatal(err)
	}
	silent, err := jetstream.NewWithAPIPrefix(b.Conn, "silent")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience) // as long as migrate may take altogether
	defer cancel()
	_, err = nats.Provision(ctx, silent, nats.Topology{Kinds: natstest.Kinds()})
	if !fault.Is(err, fault.Timeout) {
		t.Errorf("got %v, want a Timeout fault", err)
	}
	if ctx.Err() != nil {
		t.Error("it used up all the time that there was")
	}
}
