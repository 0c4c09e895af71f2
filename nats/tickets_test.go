package nats_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

func TestTickets_GiveEachToOneOfMany(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	var all []*nats.Tickets // of processes of their own
	for range 4 {
		js := mustJetStream(t, connect(t, broker))
		tickets, err := nats.NewTickets(js, nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, tickets)
	}
	id := strings.Repeat("0a", 32)
	if _, err := all[0].Take(t.Context(), id); !fault.Is(err, fault.NotFound) {
		t.Errorf("got %v", err)
	}
	if err := all[0].Put(t.Context(), id, []byte("sealed")); err != nil {
		t.Fatal(err)
	}
	var taken atomic.Int32
	var wait sync.WaitGroup
	for i := range 40 {
		wait.Go(func() {
			sealed, err := all[i%len(all)].Take(t.Context(), id)
			switch {
			case err == nil && string(sealed) == "sealed":
				taken.Add(1)
			case !fault.Is(err, fault.NotFound):
				t.Errorf("got %q, %v", sealed, err)
			}
		})
	}
	wait.Wait()
	if taken.Load() != 1 {
		t.Errorf("it was given to %d", taken.Load())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	broker.Embedded.Shutdown()
	if _, err := all[0].Take(ctx, id); !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Timeout) {
		t.Errorf("without a broker: %v", err)
	}
}
