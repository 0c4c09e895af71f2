// Package natstest gives a test its own provisioned JetStream broker inside the test process.
package natstest

import (
	"testing"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/nats"
)

// Kinds returns what is provisioned when a test names none.
func Kinds() []string { return []string{"quiz", "content"} }

// Broker is a running broker with all streams and consumers.
type Broker struct {
	Conn     *natsgo.Conn
	JS       jetstream.JetStream
	Embedded *nats.Embedded // hand it to nats.Connect for further connections
	Dir      string         // its store
}

// Start runs a broker for the length of the test, with streams in memory and consumers for the given kinds, or for Kinds. It
// listens on no port.
func Start(t testing.TB, kinds ...string) *Broker {
	t.Helper()
	if len(kinds) == 0 {
		kinds = Kinds()
	}
	return StartWith(t, nats.EmbeddedConfig{Port: -1, MonitorPort: -1}, nats.Topology{Kinds: kinds, InMemory: true})
}

// StartWith runs a broker as cfg says, provisioned as topology says. A store directory of its own is made when cfg has none.
func StartWith(t testing.TB, cfg nats.EmbeddedConfig, topology nats.Topology) *Broker {
	t.Helper()
	if cfg.StoreDir == "" {
		cfg.StoreDir = t.TempDir()
	}
	embedded, err := nats.StartEmbedded(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(embedded.Shutdown)
	nc, js, err := nats.Connect(nats.ConnectConfig{Embedded: embedded, Name: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if _, err := nats.Provision(t.Context(), js, topology); err != nil {
		t.Fatal(err)
	}
	return &Broker{Conn: nc, JS: js, Embedded: embedded, Dir: cfg.StoreDir}
}
