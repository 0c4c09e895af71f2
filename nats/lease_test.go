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

func leaseBroker(t *testing.T, ttl time.Duration) *natstest.Broker {
	t.Helper()
	return natstest.StartWith(t, nats.EmbeddedConfig{MonitorPort: -1}, nats.Topology{LeaseTTL: ttl})
}

// both reports whether two held the lease at one moment. A holder is asked twice: between two questions a lease may pass on.
func both(a, b *candidate) bool { return a.Held() && b.Held() && a.Held() }

func TestLease_IsGivenUpAtOnce(t *testing.T) {
	t.Parallel()
	broker := leaseBroker(t, 3*patience) // nothing runs out while this test waits; who has no lease asks ten times in that time
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
	until(t, "b has what was given up", b.Held)
	b.stop()
	if _, err := b.Holder(t.Context()); !fault.Is(err, fault.NotFound) {
		t.Errorf("nobody holds it: got %v", err)
	}
}

func TestLease_OfTheDeadGoesToTheNext(t *testing.T) {
	t.Parallel()
	broker := leaseBroker(t, leaseTTL)
	a := runLease(t, connect(t, broker), "a", nil)
	until(t, "a has the lease", a.Held)
	b := runLease(t, connect(t, broker), "b", nil)
	slack := busy(t, broker)
	a.nc.Close() // nothing can be given up
	died := time.Now()
	until(t, "b has the lease", func() bool {
		if both(a, b) {
			t.Error("both hold it")
		}
		return b.Held()
	})
	if waited, late := time.Since(died), slack(); waited > leaseTTL+leaseTTL/4+late {
		t.Errorf("b waited %s, the lease lives %s, and this machine is %s late", waited, leaseTTL, late)
	}
	if who, err := b.Holder(t.Context()); err != nil || who.Holder != "b" {
		t.Errorf("holder is %+v, %v", who, err)
	}
}

// cutOff runs two candidates, cuts the one that holds the lease off from the broker, and reports whether both ever held it.
func cutOff(t *testing.T, change func(*nats.Lease)) (overlap bool) {
	t.Helper()
	broker := leaseBroker(t, leaseTTL)
	proxy := startProxy(t, broker.Embedded.URL())
	a := runLease(t, proxy.connect(t), "a", change)
	until(t, "a has the lease", a.Held)
	b := runLease(t, connect(t, broker), "b", nil)
	proxy.cut()
	until(t, "b has the lease", func() bool {
		overlap = overlap || both(a, b)
		return b.Held()
	})
	return overlap || a.Held()
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
	broker := leaseBroker(t, leaseTTL)
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
		if both(a, b) {
			t.Error("both hold it")
		}
		return a.Held() || b.Held()
	})
}

func TestLease_NeedsItsBucket(t *testing.T) {
	t.Parallel()
	broker := leaseBroker(t, leaseTTL)
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
