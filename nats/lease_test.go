package nats_test

import (
	"context"
	"sync"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

const leaseTTL = 2 * time.Second

// candidate is a process that runs for a lease on a connection of its own.
type candidate struct {
	*nats.Lease
	nc   *natsgo.Conn
	stop func() // gives the lease up
}

func runLease(t *testing.T, nc *natsgo.Conn, holder string, change func(*nats.Lease)) *candidate {
	t.Helper()
	lease, err := nats.NewLease(mustJetStream(t, nc), "dispatcher", holder, nats.LeaseConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(lease)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := lease.Run(ctx); err != nil && !nc.IsClosed() {
			t.Error(err)
		}
	}()
	stop := func() { cancel(); <-done }
	t.Cleanup(stop)
	return &candidate{lease, nc, stop}
}

func leaseBroker(t *testing.T) *natstest.Broker {
	t.Helper()
	return natstest.StartWith(t, nats.EmbeddedConfig{MonitorPort: -1}, nats.Topology{LeaseTTL: leaseTTL})
}

func TestLease_IsGivenUpAtOnce(t *testing.T) {
	t.Parallel()
	broker := leaseBroker(t)
	a := runLease(t, connect(t, broker), "a", nil)
	until(t, "a has the lease", a.Held)
	b := runLease(t, connect(t, broker), "b", nil)
	who, err := b.Holder(t.Context())
	if err != nil || who.Holder != "a" || time.Since(who.Since) > patience || b.Held() {
		t.Fatalf("holder is %+v (%v), b holds it: %v", who, err, b.Held())
	}
	a.stop()
	if a.Held() {
		t.Error("held after it was given up")
	}
	began := time.Now()
	until(t, "b has the lease", b.Held)
	if waited := time.Since(began); waited > leaseTTL {
		t.Errorf("b waited %s for what was given up", waited)
	}
	b.stop()
	if _, err := b.Holder(t.Context()); !fault.Is(err, fault.NotFound) {
		t.Errorf("nobody holds it: got %v", err)
	}
}

func TestLease_OfTheDeadGoesToTheNext(t *testing.T) {
	t.Parallel()
	broker := leaseBroker(t)
	a := runLease(t, connect(t, broker), "a", nil)
	until(t, "a has the lease", a.Held)
	b := runLease(t, connect(t, broker), "b", nil)
	a.nc.Close() // nothing can be given up
	died := time.Now()
	until(t, "b has the lease", func() bool {
		if a.Held() && b.Held() {
			t.Error("both hold it")
		}
		return b.Held()
	})
	if waited := time.Since(died); waited > leaseTTL+leaseTTL/4 {
		t.Errorf("b waited %s, the lease lives %s", waited, leaseTTL)
	}
	if who, err := b.Holder(t.Context()); err != nil || who.Holder != "b" {
		t.Errorf("holder is %+v, %v", who, err)
	}
}

// cutOff runs two candidates, cuts the one that holds the lease off from the broker, and reports whether both ever held it.
func cutOff(t *testing.T, change func(*nats.Lease)) (both bool) {
	t.Helper()
	broker := leaseBroker(t)
	proxy := startProxy(t, broker.Embedded.URL())
	nc, _, err := nats.Connect(nats.ConnectConfig{URL: proxy.url(), Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	a := runLease(t, nc, "a", change)
	until(t, "a has the lease", a.Held)
	b := runLease(t, connect(t, broker), "b", nil)
	proxy.cut()
	until(t, "b has the lease", func() bool {
		both = both || a.Held() && b.Held()
		return b.Held()
	})
	return both || a.Held()
}

func TestLease_HolderStopsBeforeAnotherMayBegin(t *testing.T) {
	t.Parallel()
	if cutOff(t, nil) {
		t.Error("both hold the lease")
	}
}

func TestLease_WithoutItsOwnClockBothHoldIt(t *testing.T) {
	t.Parallel()
	if !cutOff(t, nats.Careless) {
		t.Error("the local expiry changes nothing: the test does not see what it guards")
	}
}

func TestLease_OfOneHolderOnlyWhateverHappens(t *testing.T) {
	t.Parallel()
	broker := leaseBroker(t)
	var all []*candidate
	for _, name := range []string{"a", "b", "c"} {
		all = append(all, runLease(t, connect(t, broker), name, nil))
	}
	holder := func() (held *candidate) {
		for _, c := range all {
			if c.Held() {
				if held != nil && held.Held() && c.Held() {
					t.Error("two hold the lease")
				}
				held = c
			}
		}
		return held
	}
	for range 3 {
		var held *candidate
		until(t, "somebody has the lease", func() bool { held = holder(); return held != nil })
		if err := held.nc.ForceReconnect(); err != nil {
			t.Error(err)
		}
		limit := time.After(leaseTTL / 2)
		tick := time.NewTicker(time.Millisecond)
		for watching := true; watching; {
			select {
			case <-tick.C:
				holder()
			case <-limit:
				watching = false
			}
		}
		tick.Stop()
	}
}

func TestLease_SurvivesTheBroker(t *testing.T) {
	t.Parallel()
	broker := startMortal(t)
	client := broker.connect(t)
	until(t, "the broker is provisioned", func() bool {
		_, err := nats.Provision(t.Context(), client.JS, nats.Topology{LeaseTTL: leaseTTL})
		return err == nil
	})
	a := runLease(t, broker.connect(t).Conn, "a", nil)
	until(t, "a has the lease", a.Held)
	b := runLease(t, broker.connect(t).Conn, "b", nil)
	broker.kill(t)
	until(t, "a does not hold what it cannot renew", func() bool { return !a.Held() })
	broker.start(t)
	until(t, "one has the lease again", func() bool {
		if a.Held() && b.Held() {
			t.Error("both hold it")
		}
		return a.Held() || b.Held()
	})
}

func TestLease_NeedsItsBucket(t *testing.T) {
	t.Parallel()
	broker := leaseBroker(t)
	if err := broker.JS.DeleteStream(t.Context(), "KV_"+nats.BucketLeases); err != nil {
		t.Fatal(err)
	}
	lease, err := nats.NewLease(broker.JS, "dispatcher", "a", nats.LeaseConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() {
		if err := lease.Run(t.Context()); err == nil {
			t.Error("ran without its bucket")
		}
	})
	group.Wait()
	if _, err := nats.NewLease(broker.JS, "a b", "a", nats.LeaseConfig{}); err == nil {
		t.Error("took a name that is no key")
	}
	if _, err := nats.NewLease(broker.JS, "dispatcher", "", nats.LeaseConfig{}); err == nil {
		t.Error("took a holder without a name")
	}
}
