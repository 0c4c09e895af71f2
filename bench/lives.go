package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/workers"
)

// pod is a worker with one agent, wired as the worker role wires it.
type pod struct {
	subscriber *nats.Subscriber
	router     *message.Router
	ran        chan error
}

func (b *bench) startPod(work func(context.Context, *workers.Run, map[string]any) (map[string]any, error)) (*pod, error) {
	log := nats.NewLog(b.js, nats.LogConfig{})
	runner, err := workers.NewRunner(workers.RunnerConfig{Worker: "bench", Agents: []workers.Agent{workers.New(kind("noop"), work)}, Log: log, Board: log})
	if err != nil {
		return nil, err
	}
	p := &pod{ran: make(chan error, 1)}
	if p.subscriber, err = nats.NewSubscriber(b.js, nats.SubscriberConfig{Slots: clients}); err != nil {
		return nil, err
	}
	if p.router, err = message.NewRouter(message.RouterConfig{CloseTimeout: time.Minute}, watermill.NopLogger{}); err != nil {
		return nil, err
	}
	p.router.AddConsumerHandler("noop", "noop", p.subscriber, runner.Handle)
	go func() { p.ran <- p.router.Run(context.Background()) }()
	<-p.router.Running()
	return p, nil
}

func (p *pod) stop() error { return firstError(p.router.Close(), p.subscriber.Close(), <-p.ran) }

// lives measures whole lives of a task that does nothing beside a pull, two fenced appends and an ack.
func (b *bench) lives(ctx context.Context) error {
	s, _, err := b.service()
	if err != nil {
		return err
	}
	n := b.n(10_000)
	ours := func(ctx context.Context) (float64, error) {
		if _, err := rate(ctx, n, func(ctx context.Context) error {
			_, _, err := s.Submit(ctx, task.Submission{Tenant: "bench", UserID: "u", Kind: "noop", Input: input})
			return err
		}); err != nil {
			return 0, err
		}
		began := time.Now()
		p, err := b.startPod(func(context.Context, *workers.Run, map[string]any) (map[string]any, error) {
			return map[string]any{}, nil
		})
		if err != nil {
			return 0, err
		}
		err = b.awaitEmpty(ctx)
		took := time.Since(began)
		return float64(n) / took.Seconds(), firstError(err, p.stop(), b.purge(ctx))
	}
	raw := func(ctx context.Context) (float64, error) {
		e, err := queued("raw")
		if err != nil {
			return 0, err
		}
		if _, err := rate(ctx, n, func(ctx context.Context) error { return b.publishPair(ctx, e) }); err != nil {
			return 0, err
		}
		began := time.Now()
		err = b.rawLives(ctx, n)
		return float64(n) / time.Since(began).Seconds(), firstError(err, b.purge(ctx))
	}
	return b.compare(ctx, "(b) lives of a no-op agent : pull + two fenced appends + ack", "1/s", "≥ 0.85", ours, raw)
}

// awaitEmpty returns when every dispatch is acked.
func (b *bench) awaitEmpty(ctx context.Context) error {
	for {
		stream, err := b.js.Stream(ctx, events.StreamTasks)
		if err != nil {
			return err
		}
		if stream.CachedInfo().State.Msgs == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// rawLives lives n lives with nothing but the client library: the same messages, and as many in progress at once. Like the
// platform it pulls only what it can begin: what is prefetched waits behind other tasks here while a free worker elsewhere could
// do it.
func (b *bench) rawLives(ctx context.Context, n int) error {
	consumer, err := b.js.Consumer(ctx, events.StreamTasks, nats.WorkConsumer("raw", events.Normal))
	if err != nil {
		return err
	}
	slots := make(chan struct{}, clients)
	var first error
	var once sync.Once
	var group sync.WaitGroup
	for got := 0; got < n && ctx.Err() == nil; {
		slots <- struct{}{}
		free := 1 + cap(slots) - len(slots)
		batch, err := consumer.FetchNoWait(free)
		if err != nil {
			return err
		}
		<-slots
		for m := range batch.Messages() {
			got++
			slots <- struct{}{}
			group.Go(func() {
				defer func() { <-slots }()
				if err := b.rawLife(ctx, m); err != nil {
					once.Do(func() { first = err })
				}
			})
		}
	}
	group.Wait()
	if first != nil {
		return first
	}
	return b.awaitEmpty(ctx)
}

func (b *bench) rawLife(ctx context.Context, m jetstream.Msg) error {
	d, err := events.ParseDispatch(m.Subject())
	if err != nil {
		return err
	}
	seq, err := strconv.ParseUint(m.Headers().Get(events.HeaderSeq), 10, 64)
	if err != nil {
		return err
	}
	for _, p := range []events.Payload{
		events.Started{Attempt: 1, Dispatch: 1, Worker: "raw"}, events.Completed{Attempt: 1, Result: []byte(`{}`)},
	} {
		e, err := events.New("bench", d.Task, "/raw", p)
		if err != nil {
			return err
		}
		header := natsgo.Header{}
		for name, value := range e.Header() {
			header[name] = []string{value}
		}
		ack, err := b.js.PublishMsg(ctx, &natsgo.Msg{Subject: events.Subject("bench", d.Task), Header: header, Data: e.Data},
			jetstream.WithExpectLastSequencePerSubject(seq))
		if err != nil {
			return fmt.Errorf("append %s: %w", p.EventType(), err)
		}
		seq = ack.Sequence
	}
	return m.Ack()
}
