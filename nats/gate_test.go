package nats_test

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	dispatcher "github.com/toolboxai/orchestrator/internal/dispatch"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

func newGate(t testing.TB, js jetstream.JetStream, burst int) *nats.Gate {
	t.Helper()
	gate, err := nats.NewGate(js, nats.GateConfig{Burst: burst})
	if err != nil {
		t.Fatal(err)
	}
	return gate
}

// busyGate holds back one tenant.
func busyGate() dispatcher.Gate { return dispatcher.Gate{At: time.Now(), Tenants: []string{"busy"}} }

func publishGate(t testing.TB, js jetstream.JetStream, gate dispatcher.Gate) {
	t.Helper()
	writer, err := nats.NewGateWriter(js)
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.PublishGate(t.Context(), gate); err != nil {
		t.Fatal(err)
	}
}

func TestGate_FollowsTheDispatcher(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	gate := newGate(t, broker.JS, 1_000_000)
	if gate.Direct("school", "quiz", nil) {
		t.Error("open before it knows anything")
	}
	keep(t, gate)
	wait(t, "the gate is known", gate.Ready())
	if !gate.Direct("school", "quiz", nil) {
		t.Error("closed although no dispatcher ever held something back")
	}
	publishGate(t, broker.JS, dispatcher.Gate{At: time.Now(), Kinds: []string{"terrain", "quiz"}, Tenants: []string{"busy"}, Limits: []dispatcher.Match{{Labels: map[string]string{"universe": "1"}}}})
	until(t, "the kind is closed", func() bool { return !gate.Direct("school", "quiz", nil) })
	if gate.Direct("busy", "content", nil) || gate.Direct("school", "content", map[string]string{"universe": "1"}) || !gate.Direct("school", "content", nil) {
		t.Error("holds back other tasks than it was told")
	}
	publishGate(t, broker.JS, dispatcher.Gate{At: time.Now(), Closed: true})
	until(t, "all is closed", func() bool { return !gate.Direct("school", "content", nil) })
	publishGate(t, broker.JS, dispatcher.Gate{})
	until(t, "all is open", func() bool { return gate.Direct("school", "quiz", nil) })
}

func TestGate_StaysClosedWhenTheBrokerForgetsIt(t *testing.T) {
	t.Parallel()
	broker := natstest.StartWith(t, nats.EmbeddedConfig{MonitorPort: -1}, nats.Topology{Kinds: natstest.Kinds(), InMemory: true})
	between := startProxy(t, broker.Embedded.URL())
	gate := newGate(t, mustJetStream(t, between.connect(t)), 1_000_000)
	keep(t, gate)
	wait(t, "the gate is known", gate.Ready())
	publishGate(t, broker.JS, dispatcher.Gate{At: time.Now(), Tenants: []string{"busy"}})
	until(t, "the tenant is closed", func() bool { return !gate.Direct("busy", "quiz", nil) })
	back := between.hangUp() // who looks for a bucket that is not there ends
	if err := broker.JS.DeleteStream(t.Context(), "KV_"+nats.BucketGate); err != nil {
		t.Fatal(err)
	}
	if _, err := nats.Provision(t.Context(), broker.JS, nats.Topology{Kinds: natstest.Kinds(), InMemory: true}); err != nil {
		t.Fatal(err)
	}
	back()
	publishGate(t, broker.JS, dispatcher.Gate{At: time.Now(), Kinds: []string{"terrain"}, Tenants: []string{"busy"}})
	until(t, "the gate goes on", func() bool {
		if gate.Direct("busy", "quiz", nil) {
			t.Fatal("opened by itself")
		}
		return !gate.Direct("school", "terrain", nil)
	})
}

// open is a gate that holds nothing back but bursts.
func open(t testing.TB, burst int) *nats.Gate {
	gate := newGate(t, nil2js(t), burst)
	nats.OpenGate(gate)
	return gate
}

// nil2js is a JetStream that nothing is asked of.
func nil2js(t testing.TB) jetstream.JetStream {
	t.Helper()
	return mustJetStream(t, natstest.Start(t).Conn)
}

func TestGate_TakesTheEdgeOffABurst(t *testing.T) {
	t.Parallel()
	js := nil2js(t)
	synctest.Test(t, func(t *testing.T) {
		gate := newGate(t, js, 8)
		nats.OpenGate(gate)
		var burst, steady, other int
		for i := range 1000 { // 100 ms
			if gate.Direct("burst", "quiz", nil) {
				burst++
			}
			if i%500 == 0 && gate.Direct("quiet", "quiz", nil) {
				other++
			}
			<-time.After(100 * time.Microsecond)
		}
		if burst != 8 {
			t.Errorf("%d of 1,000 tasks in 100 ms went straight to the queue, want 8", burst)
		}
		if other != 2 {
			t.Errorf("%d of another tenant's 2 went straight to the queue", other)
		}
		for range 100 {
			<-time.After(time.Second)
			if gate.Direct("steady", "quiz", nil) {
				steady++
			}
		}
		if steady != 100 {
			t.Errorf("%d of 100 tasks, one a second, went straight to the queue", steady)
		}
		<-time.After(time.Second)
		again := 0
		for range 1000 {
			if gate.Direct("burst", "quiz", nil) {
				again++
			}
		}
		if again != 8 {
			t.Errorf("after a rest %d tasks went straight to the queue, want 8", again)
		}
	})
}

func TestGate_CountsConcurrentSubmissions(t *testing.T) {
	t.Parallel()
	gate := open(t, 8)
	var direct atomic.Int64
	var group sync.WaitGroup
	began := time.Now()
	for range 16 {
		group.Go(func() {
			for range 1000 {
				if gate.Direct("school", "quiz", nil) {
					direct.Add(1)
				}
			}
		})
	}
	group.Wait()
	if most := 8 + int64(8*time.Since(began).Seconds()) + 1; direct.Load() < 8 || direct.Load() > most {
		t.Errorf("%d tasks went straight to the queue, want 8 to %d", direct.Load(), most)
	}
}

func TestGate_RefusesNonsense(t *testing.T) {
	t.Parallel()
	if _, err := nats.NewGate(nil2js(t), nats.GateConfig{Burst: -1}); err == nil {
		t.Error("took a negative burst")
	}
}

func BenchmarkGate(b *testing.B) {
	for _, tenants := range []int{0, 1000} {
		b.Run(fmt.Sprintf("closed tenants=%d", tenants), func(b *testing.B) {
			broker := natstest.Start(b)
			gate := newGate(b, broker.JS, 1_000_000)
			keep(b, gate)
			wait(b, "the gate is known", gate.Ready())
			held := dispatcher.Gate{At: time.Now(), Kinds: []string{"terrain"}, Limits: []dispatcher.Match{{Labels: map[string]string{"universe": "1"}}}}
			for i := range tenants {
				held.Tenants = append(held.Tenants, "closed-"+strconv.Itoa(i))
			}
			publishGate(b, broker.JS, held)
			until(b, "the gate is read", func() bool { return !gate.Direct("school", "terrain", nil) })
			labels := map[string]string{"class": "7b"}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					gate.Direct("school", "quiz", labels)
				}
			})
		})
	}
}

// While no dispatcher is there to queue what is held, nothing but pauses and limits is held.
func TestGate_HoldsNoBurstsWhileTheDispatcherIsAway(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	gate, err := nats.NewGate(broker.JS, nats.GateConfig{Burst: 4})
	if err != nil {
		t.Fatal(err)
	}
	direct := func(kind string) (n int) {
		for range 100 {
			if gate.Direct("school", kind, nil) {
				n++
			}
		}
		return n
	}
	gate.Put(dispatcher.Gate{At: time.Now()})
	if n := direct("quiz"); n < 4 || n > 8 {
		t.Errorf("%d of a burst of 100 went straight to the queue, want about 4", n)
	}
	gate.Put(dispatcher.Gate{At: time.Now().Add(-time.Minute), Kinds: []string{"quiz"}, Paused: []string{"script"}})
	if n := direct("quiz"); n != 100 {
		t.Errorf("%d of 100 went straight to the queue without a dispatcher, want all", n)
	}
	if n := direct("script"); n != 0 {
		t.Errorf("%d of a paused kind", n)
	}
}
