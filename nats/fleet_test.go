package nats_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

func newFleet(t testing.TB, nc *natsgo.Conn, cfg nats.FleetConfig) *nats.Fleet {
	t.Helper()
	fleet, err := nats.NewFleet(nc, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fleet.Close)
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return fleet
}

func register(t testing.TB, nc *natsgo.Conn, report func() task.Worker) *nats.Presence {
	t.Helper()
	presence, err := nats.RegisterWorker(nc, report)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(presence.Stop)
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return presence
}

func worker(name string) task.Worker {
	return task.Worker{Name: name, Build: "1.2.3", Slots: 10, Busy: 1, Kinds: []task.WorkerKind{
		{Kind: "quiz", Versions: []string{"2", "1"}, Running: 1, Completed: 7}, {Kind: "content", Versions: []string{"5"}},
	}}
}

func names(workers []task.Worker) (all []string) {
	for _, w := range workers {
		all = append(all, w.Name)
	}
	return all
}

func TestFleet_KnowsWhoIsAlive(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	fleet := newFleet(t, broker.Conn, nats.FleetConfig{MaxAge: time.Hour})
	if workers, err := fleet.Workers(t.Context()); err != nil || len(workers) > 0 {
		t.Errorf("nobody is there: got %v, %v", workers, err)
	}
	a, b := connect(t, broker), connect(t, broker)
	register(t, b, func() task.Worker { return worker("b") })
	var draining atomic.Bool
	first := register(t, a, func() task.Worker { w := worker("a"); w.Draining = draining.Load(); return w })
	var workers []task.Worker
	sees := func(want ...string) func() bool {
		return func() bool {
			var err error
			if workers, err = fleet.Workers(t.Context()); err != nil {
				t.Fatal(err)
			}
			return slices.Equal(names(workers), want)
		}
	}
	until(t, "both are seen although an answer is good for an hour", sees("a", "b"))
	if w := workers[1]; w.Slots != 10 || w.Build != "1.2.3" || len(w.Kinds) != 2 || w.Kinds[0].Completed != 7 || w.Kinds[0].Versions[0] != "2" {
		t.Errorf("b says %+v", w)
	}
	draining.Store(true)
	first.Announce()
	until(t, "that one drains is seen", func() bool { return sees("a", "b")() && workers[0].Draining })
	first.Stop()
	first.Stop()
	until(t, "who went is gone", sees("b"))
}

func TestFleet_AsksOnceForAll(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	register(t, connect(t, broker), func() task.Worker { return worker("a") })
	var asked atomic.Int64
	if _, err := broker.Conn.Subscribe("$SRV.STATS.toolboxai-worker", func(*natsgo.Msg) { asked.Add(1) }); err != nil {
		t.Fatal(err)
	}
	fleet := newFleet(t, broker.Conn, nats.FleetConfig{MaxAge: time.Hour})
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			if workers, err := fleet.Workers(t.Context()); err != nil || len(workers) != 1 {
				t.Errorf("got %d workers, %v", len(workers), err)
			}
		})
	}
	group.Wait()
	if err := broker.Conn.Flush(); err != nil {
		t.Fatal(err)
	}
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
}

func TestFleet_WaitsOnlyForWhomItMayExpect(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	const n, quiet = 20, 5 * time.Second
	for i := range n {
		register(t, connect(t, broker), func() task.Worker { return worker(fmt.Sprintf("w%02d", i)) })
	}
	fleet := newFleet(t, broker.Conn, nats.FleetConfig{Wait: 30 * time.Second, Quiet: quiet, MaxAge: time.Nanosecond})
	for i := range 2 {
		began := time.Now()
		workers, err := fleet.Workers(t.Context())
		if err != nil || len(workers) != n {
			t.Fatalf("got %d workers, %v", len(workers), err)
		}
		if took := time.Since(began); i == 1 && took >= quiet {
			t.Errorf("as many answered as before, and it waited %s for more", took)
		}
	}
}

func TestFleet_SaysWhenTheBrokerIsAway(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	fleet := newFleet(t, broker.Conn, nats.FleetConfig{})
	broker.Embedded.Shutdown()
	until(t, "the connection is lost", func() bool { return !broker.Conn.IsConnected() })
	if workers, err := fleet.Workers(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v, %v; want Unavailable: nobody knows who is alive", workers, err)
	}
	if _, err := nats.NewFleet(broker.Conn, nats.FleetConfig{Wait: -1}); err == nil {
		t.Error("took a negative duration")
	}
}

// A worker comes back by itself after the broker was away.
func TestFleet_SeesWorkersAgainAfterARestart(t *testing.T) {
	t.Parallel()
	broker := startMortal(t)
	client, pod := broker.connect(t), broker.connect(t)
	until(t, "both are connected", func() bool { return client.Conn.IsConnected() && pod.Conn.IsConnected() })
	register(t, pod.Conn, func() task.Worker { return worker("a") })
	fleet := newFleet(t, client.Conn, nats.FleetConfig{})
	broker.kill(t)
	broker.start(t)
	until(t, "the worker is seen again", func() bool {
		workers, err := fleet.Workers(t.Context())
		return err == nil && len(workers) == 1
	})
}

// The usual tools list workers and show what they did, kind by kind.
func TestPresence_IsAServiceToOthers(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	register(t, connect(t, broker), func() task.Worker { return worker("a") })
	var info micro.Info
	msg, err := broker.Conn.Request("$SRV.INFO.toolboxai-worker", nil, patience)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(msg.Data, &info); err != nil || info.Metadata["worker"] != "a" || len(info.Endpoints) != 3 {
		t.Errorf("info %s (%v)", msg.Data, err)
	}
	for _, e := range info.Endpoints[1:] {
		answer, err := broker.Conn.Request(e.Subject, nil, patience)
		if err != nil {
			t.Fatal(err)
		}
		var kind task.WorkerKind
		if err := json.Unmarshal(answer.Data, &kind); err != nil || kind.Kind != e.Name {
			t.Errorf("endpoint %s says %s (%v)", e.Name, answer.Data, err)
		}
	}
	var stats micro.Stats
	if msg, err = broker.Conn.Request("$SRV.STATS.toolboxai-worker", nil, patience); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(msg.Data, &stats); err != nil {
		t.Fatal(err)
	}
	for _, e := range stats.Endpoints {
		var kind task.WorkerKind
		if err := json.Unmarshal(e.Data, &kind); err != nil || e.Name == "quiz" && kind.Completed != 7 {
			t.Errorf("statistics of %s: %s (%v)", e.Name, e.Data, err)
		}
	}
}

func BenchmarkFleet(b *testing.B) {
	broker := natstest.Start(b)
	for i := range 200 {
		register(b, connect(b, broker), func() task.Worker { return worker(fmt.Sprintf("w%03d", i)) })
	}
	fleet := newFleet(b, broker.Conn, nats.FleetConfig{MaxAge: time.Nanosecond})
	for b.Loop() {
		if workers, err := fleet.Workers(b.Context()); err != nil || len(workers) != 200 {
			b.Fatal(len(workers), err)
		}
	}
}
