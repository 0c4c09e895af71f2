package nats_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

// pods returns as many audits as processes would have, each with a connection of its own.
func pods(t testing.TB, broker *natstest.Broker, n int) []*nats.Audit {
	t.Helper()
	out := make([]*nats.Audit, n)
	for i := range out {
		out[i] = nats.NewAudit(mustJetStream(t, connect(t, broker)), nats.AuditConfig{})
	}
	return out
}

// However many processes append at once, to one chain or to several: each entry that was acknowledged is there once, each chain runs
// 1, 2, 3 … and every link holds.
func TestAudit_HasNoGapAndNoForkWhoeverAppends(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	all := pods(t, broker, 4)
	run := 0
	rapid.Check(t, func(r *rapid.T) {
		run++
		tenants := rapid.IntRange(1, 3).Draw(r, "tenants")
		appends := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) [2]int {
			return [2]int{rapid.IntRange(0, len(all)-1).Draw(r, "pod"), rapid.IntRange(0, tenants-1).Draw(r, "tenant")}
		}), 1, 12).Draw(r, "appends")
		var group sync.WaitGroup
		want := make([]int, tenants)
		for i, a := range appends {
			want[a[1]]++
			group.Go(func() {
				if err := all[a[0]].Append(t.Context(), act(fmt.Sprint("r", run, "-", a[1]), fmt.Sprint(i))); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		for i, n := range want {
			seen := map[string]bool{}
			for _, e := range mustVerify(t, all[0], fmt.Sprint("r", run, "-", i)) {
				seen[e.Target] = true
			}
			if len(seen) != n {
				r.Fatalf("%d entries are on record, %d were acknowledged", len(seen), n)
			}
		}
	})
}

// The negative control: without the fence, two processes that append at once fork the chain.
func TestAudit_ForksWithoutTheFence(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	all := pods(t, broker, 4)
	for round := range 200 {
		tenant := fmt.Sprint("t", round)
		var group sync.WaitGroup
		for _, record := range all {
			nats.UnfenceAudit(record)
			group.Go(func() {
				if err := record.Append(t.Context(), act(tenant, "x")); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if report, _ := verifyChain(t, all[0], tenant); report.Finding != nil {
			return
		}
	}
	t.Error("no chain forked in 200 rounds: the test above proves nothing")
}

// forgetful is a connection that breaks when the broker acknowledges an entry, before the client hears of it.
type forgetful struct {
	net.Conn
	losses *atomic.Int32 // still to come
}

func (c *forgetful) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if bytes.Contains(b[:n], []byte(`"stream":"AUDIT"`)) && c.losses.Add(-1) >= 0 {
		_ = c.Close()
		return 0, io.EOF
	}
	return n, err
}

type forgetfulDialer struct{ losses *atomic.Int32 }

func (d forgetfulDialer) Dial(network, address string) (net.Conn, error) {
	nc, err := (&net.Dialer{Timeout: time.Second}).Dial(network, address)
	if err != nil {
		return nil, err
	}
	return &forgetful{Conn: nc, losses: d.losses}, nil
}

// An answer that is lost leaves no doubt behind: the entry is there once, also when somebody else has gone on behind it.
func TestAudit_PutsOnRecordOnceWhenTheAnswerIsLost(t *testing.T) {
	t.Parallel()
	broker := natstest.StartWith(t, nats.EmbeddedConfig{Port: 0, MonitorPort: -1}, nats.Topology{Kinds: natstest.Kinds(), InMemory: true})
	var losses atomic.Int32
	nc, err := natsgo.Connect(broker.Embedded.URL(), natsgo.SetCustomDialer(forgetfulDialer{&losses}), natsgo.ReconnectWait(time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	record, other := nats.NewAudit(mustJetStream(t, nc), nats.AuditConfig{}), newAudit(broker)
	losses.Store(1)
	var group sync.WaitGroup
	group.Go(func() {
		if err := record.Append(t.Context(), act("school", "lost")); err != nil {
			t.Error(err)
		}
	})
	until(t, "the entry is stored", func() bool {
		found, err := other.Since(t.Context(), "school", audit.Place{})
		return err == nil && len(found) == 1
	})
	if err := other.Append(t.Context(), act("school", "behind it")); err != nil {
		t.Fatal(err)
	}
	group.Wait()
	entries := mustVerify(t, other, "school")
	if len(entries) != 2 || entries[0].Target != "lost" || entries[1].Target != "behind it" || losses.Load() > 0 {
		t.Errorf("on record: %+v", entries)
	}
}

// Four processes put things on record while their broker is killed and comes back. What was acknowledged is on the chain, once; what was
// not is there once or not at all; every link holds.
func TestAudit_KeepsItsChainWhenTheBrokerIsKilled(t *testing.T) {
	t.Parallel()
	const kills, writers, each = 3, 4, 60
	broker := startMortal(t)
	client := broker.connect(t)
	until(t, "the broker is provisioned", func() bool {
		_, err := nats.Provision(t.Context(), client.JS, nats.Topology{Kinds: natstest.Kinds()})
		return err == nil
	})
	var done atomic.Int64
	var group sync.WaitGroup
	for w := range writers {
		record := newAudit(broker.connect(t))
		group.Go(func() {
			for i := range each {
				err := task.Patiently(t.Context(), 2*patience, func(ctx context.Context) error {
					return record.Append(ctx, act("school", fmt.Sprint(w, "-", i)))
				})
				if err != nil {
					t.Errorf("entry %d of writer %d: %v", i, w, err)
				}
				done.Add(1)
			}
		})
	}
	for k := range kills {
		until(t, "some entries are on record", func() bool { return done.Load() >= int64((k+1)*writers*each/(kills+2)) })
		broker.kill(t)
		broker.start(t)
	}
	group.Wait()
	until(t, "the client is back", func() bool { _, err := client.JS.AccountInfo(t.Context()); return err == nil })
	targets, ids := map[string]bool{}, map[string]bool{}
	for _, e := range mustVerify(t, newAudit(client), "school") {
		if ids[e.ID] {
			t.Errorf("entry %s is on record twice", e.ID)
		}
		ids[e.ID], targets[e.Target] = true, true
	}
	if len(targets) != writers*each {
		t.Errorf("%d of %d are on record", len(targets), writers*each)
	}
}
