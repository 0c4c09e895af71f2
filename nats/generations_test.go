package nats_test

import (
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

func newGenerations(t testing.TB, broker *natstest.Broker) *nats.Generations {
	t.Helper()
	g, err := nats.NewGenerations(broker.JS)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func currentGeneration(t testing.TB, g *nats.Generations, tenant string) string {
	t.Helper()
	name, err := g.Current(t.Context(), tenant)
	if err != nil || name == "" {
		t.Fatalf("the generation is %q, %v", name, err)
	}
	return name
}

// All processes know the same generation, from the first one on, and know at once that another has begun. A broker that lost its buckets repeats none.
func TestGenerations_AreTheSameForAll(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	one, err := nats.NewGenerations(mustJetStream(t, connect(t, broker)))
	if err != nil {
		t.Fatal(err)
	}
	all := []*nats.Generations{one, newGenerations(t, broker)}
	if _, err := one.Begun(t.Context(), "school"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a generation that nobody asked for: %v", err)
	}
	var mu sync.Mutex
	seen := map[string]int{}
	var wait sync.WaitGroup
	for i := range 40 {
		wait.Go(func() {
			name := currentGeneration(t, all[i%2], "school")
			mu.Lock()
			defer mu.Unlock()
			seen[name]++
		})
	}
	wait.Wait()
	if len(seen) != 1 {
		t.Fatalf("%d generations began at once", len(seen))
	}
	other := currentGeneration(t, one, "college")
	for i := range 10 {
		if err := all[i%2].Next(t.Context(), "school"); err != nil {
			t.Fatal(err)
		}
		name := currentGeneration(t, all[(i+1)%2], "school")
		if seen[name]++; seen[name] > 1 {
			t.Errorf("generation %s came again", name)
		}
	}
	if again := currentGeneration(t, one, "college"); again != other {
		t.Error("another tenant's has changed")
	}
	if begun, err := one.Begun(t.Context(), "school"); err != nil || time.Since(begun) > time.Minute {
		t.Errorf("it began %v, %v", begun, err)
	}
	bucket, err := broker.JS.Stream(t.Context(), "KV_"+nats.BucketCaches)
	if err != nil {
		t.Fatal(err)
	}
	if err := broker.JS.DeleteStream(t.Context(), "KV_"+nats.BucketCaches); err != nil {
		t.Fatal(err)
	}
	if name, err := one.Current(t.Context(), "school"); err == nil {
		t.Errorf("without a bucket the generation is %q", name)
	}
	if _, err := broker.JS.CreateStream(t.Context(), bucket.CachedInfo().Config); err != nil {
		t.Fatal(err)
	}
	name := currentGeneration(t, one, "school")
	if seen[name]++; seen[name] > 1 {
		t.Error("a generation came again after the bucket was lost")
	}
	for _, tenant := range []string{"", "*", "a b"} {
		if _, err := one.Current(t.Context(), tenant); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q gives %v", tenant, err)
		}
		if err := one.Next(t.Context(), tenant); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q gives %v", tenant, err)
		}
	}
}
