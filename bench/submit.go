package main

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/google/uuid"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/nats"
)

// clients is how many callers there are at once.
const clients = 32

var input = json.RawMessage(`{"subject":"History","objectives":["Explain why Rome fell","Name three emperors"],"num_questions":5,"difficulty":"medium"}`)

func kind(name string) task.Kind {
	return task.Kind{
		Name: name, Title: name, InputSchema: json.RawMessage(`{"type":"object","required":["subject"],"properties":{"subject":{"type":"string","maxLength":100}}}`),
		OutputSchema: json.RawMessage(`{"type":"object"}`), Example: json.RawMessage(`{"subject":"Art"}`), Routes: []string{"/agents/" + name + "/generate"},
	}
}

// service returns the service layer on the broker. Its archive is empty: nothing here asks it.
func (b *bench) service() (*task.Service, *task.Catalog, error) {
	catalog, err := task.NewCatalog([]task.Kind{kind("noop")})
	if err != nil {
		return nil, nil, err
	}
	queue, err := nats.NewQueue(b.js, nats.QueueConfig{})
	if err != nil {
		return nil, nil, err
	}
	log := nats.NewLog(b.js, nats.LogConfig{})
	s, err := task.NewService(task.Config{Log: log, Queue: queue, Progress: log, Archive: tasktest.Archive{Memory: tasktest.NewMemory()}, Catalog: catalog})
	return s, catalog, err
}

// rate runs work n times from all clients and returns how often a second.
func rate(ctx context.Context, n int, work func(context.Context) error) (float64, error) {
	var next atomic.Int64
	var first error
	var once sync.Once
	var group sync.WaitGroup
	began := time.Now()
	for range clients {
		group.Go(func() {
			for next.Add(1) <= int64(n) && ctx.Err() == nil {
				if err := work(ctx); err != nil {
					once.Do(func() { first = err })
					return
				}
			}
		})
	}
	group.Wait()
	if first == nil {
		first = ctx.Err()
	}
	return float64(n) / time.Since(began).Seconds(), first
}

// submit measures submissions through the service layer beside the two publishes that each one is made of.
func (b *bench) submit(ctx context.Context) error {
	s, _, err := b.service()
	if err != nil {
		return err
	}
	ours := func(ctx context.Context) (float64, error) {
		r, err := rate(ctx, b.n(20_000), func(ctx context.Context) error {
			_, _, err := s.Submit(ctx, task.Submission{Tenant: "bench", UserID: "u", Kind: "noop", Input: input})
			return err
		})
		return r, firstError(err, b.purge(ctx))
	}
	raw := func(ctx context.Context) (float64, error) {
		e, err := queued("raw")
		if err != nil {
			return 0, err
		}
		r, err := rate(ctx, b.n(20_000), func(ctx context.Context) error { return b.publishPair(ctx, e) })
		return r, firstError(err, b.purge(ctx))
	}
	return b.compare(ctx, "(a) submissions through the service : the same two publishes", "1/s", "≥ 0.85", ours, raw)
}

// queued returns an event like those that submissions make.
func queued(kind string) (events.Event, error) {
	return events.New("bench", "t", "/bench", events.Queued{Kind: kind, Input: input, Priority: events.Normal, Dispatch: 1, UserID: "u"})
}

// publishPair publishes e as a new task: the append, expecting that there is no task of that id, and the dispatch.
func (b *bench) publishPair(ctx context.Context, e events.Event) error {
	id := uuid.NewString()
	header := natsgo.Header{}
	for name, value := range e.Header() {
		header[name] = []string{value}
	}
	ack, err := b.js.PublishMsg(ctx, &natsgo.Msg{Subject: events.Subject("bench", id), Header: header, Data: e.Data},
		jetstream.WithExpectLastSequencePerSubject(0))
	if err != nil {
		return err
	}
	dispatch := natsgo.Header{events.HeaderSeq: {strconv.FormatUint(ack.Sequence, 10)}}
	for name, value := range e.Header() {
		dispatch[name] = []string{value}
	}
	d := events.Dispatch{Kind: "raw", Lane: events.Normal, Tenant: "bench", Task: id, N: 1}
	_, err = b.js.PublishMsg(ctx, &natsgo.Msg{Subject: d.Subject(), Header: dispatch, Data: e.Data})
	return err
}

// purge empties the streams, so that no round pays for the one before.
func (b *bench) purge(ctx context.Context) error {
	for _, name := range []string{events.StreamEvents, events.StreamTasks} {
		stream, err := b.js.Stream(ctx, name)
		if err != nil {
			return err
		}
		if err := stream.Purge(ctx); err != nil {
			return err
		}
	}
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
