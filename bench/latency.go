package main

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/workers"
)

const perSecond = 200

// latency measures how long after the call to Submit an agent begins beside how long after the call to Publish a consumer
// has the message, both at 200 a second.
func (b *bench) latency(ctx context.Context) error {
	var ours50, ours99, raw50, raw99 []float64
	for range b.rounds {
		raw, err := b.rawLatency(ctx)
		if err != nil {
			return err
		}
		own, err := b.ownLatency(ctx)
		if err != nil {
			return err
		}
		raw50, raw99 = append(raw50, quantile(raw, 0.5)), append(raw99, quantile(raw, 0.99))
		ours50, ours99 = append(ours50, quantile(own, 0.5)), append(ours99, quantile(own, 0.99))
	}
	for _, q := range []struct {
		name, aim string
		ours, raw []float64
	}{{"p50", "", ours50, raw50}, {"p99", "≤ 3", ours99, raw99}} {
		var ratios []float64
		for i := range q.ours {
			ratios = append(ratios, q.ours[i]/q.raw[i])
		}
		b.rows = append(b.rows, row{"(d) submit to start at 200/s, " + q.name + " : publish to consume", "ms", median(q.ours), median(q.raw), median(ratios), ratios, q.aim})
	}
	return nil
}

// arrivals collects how long each message took.
type arrivals struct {
	mu   sync.Mutex
	sent map[string]time.Time
	took []float64 // milliseconds
}

func (a *arrivals) arrived(id string) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.took = append(a.took, float64(now.Sub(a.sent[id]).Microseconds())/1000)
}

func (a *arrivals) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.took)
}

// pace calls send n times, evenly and each time in a goroutine of its own, and waits until all have arrived. The first error of
// send ends it.
func (a *arrivals) pace(ctx context.Context, n int, send func(ctx context.Context, id string) error) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var group sync.WaitGroup
	defer group.Wait()
	tick := time.NewTicker(time.Second / perSecond)
	defer tick.Stop()
	for range n {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		id := a.take()
		group.Go(func() {
			if err := send(ctx, id); err != nil {
				fail(err)
			}
		})
	}
	for a.count() < n {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

func (b *bench) ownLatency(ctx context.Context) ([]float64, error) {
	s, _, err := b.service()
	if err != nil {
		return nil, err
	}
	a := &arrivals{sent: map[string]time.Time{}}
	p, err := b.startPod(func(_ context.Context, run *workers.Run, _ map[string]any) (map[string]any, error) {
		a.arrived(run.Task().Labels["n"])
		return map[string]any{}, nil
	})
	if err != nil {
		return nil, err
	}
	err = a.pace(ctx, b.n(5*perSecond), func(ctx context.Context, id string) error {
		_, _, err := s.Submit(ctx, task.Submission{Tenant: "bench", UserID: "u", Kind: "noop", Input: input, Labels: map[string]string{"n": id}})
		return err
	})
	return a.took, firstError(err, p.stop(), b.purge(ctx))
}

func (b *bench) rawLatency(ctx context.Context) ([]float64, error) {
	consumer, err := b.js.Consumer(ctx, events.StreamTasks, nats.WorkConsumer("raw", events.Normal))
	if err != nil {
		return nil, err
	}
	a := &arrivals{sent: map[string]time.Time{}}
	running, err := consumer.Consume(func(m jetstream.Msg) {
		if d, err := events.ParseDispatch(m.Subject()); err == nil {
			a.arrived(d.Task)
		}
		_ = m.Ack()
	})
	if err != nil {
		return nil, err
	}
	defer running.Stop()
	err = a.pace(ctx, b.n(5*perSecond), func(ctx context.Context, id string) error {
		d := events.Dispatch{Kind: "raw", Lane: events.Normal, Tenant: "bench", Task: id, N: 1}
		_, err := b.js.Publish(ctx, d.Subject(), input)
		return err
	})
	return a.took, firstError(err, b.purge(ctx))
}

// take returns a new name and notes when it was sent.
func (a *arrivals) take() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	id := "n" + strconv.Itoa(len(a.sent))
	a.sent[id] = time.Now()
	return id
}

func quantile(v []float64, q float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if len(s) == 0 {
		return 0
	}
	return s[min(int(q*float64(len(s))), len(s)-1)]
}
