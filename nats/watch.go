package nats

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/events"
)

// WatchLatest calls fn with the last event of every task on the log, in log order, and then with each new event, until ctx
// ends; then it returns nil. The events have no Data. Where the broker is away or something is lost on the way it goes on
// from where it was: then an event that is not its task's last may come before that. It returns an error when the stream
// does not exist or the connection is closed for good. fn is called by one goroutine.
func (l *Log) WatchLatest(ctx context.Context, fn func(events.Event)) error {
	for failures := 0; ; failures++ {
		began := time.Now()
		err := l.watchLatest(ctx, fn)
		if time.Since(began) > time.Minute {
			failures = 0
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // being stopped is how a watch ends
		}
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound), l.nc.IsClosed():
			return fmt.Errorf("watch the log: %w", err)
		case failures == 0:
			l.logger.WarnContext(ctx, "the log cannot be watched, trying again", "error", err)
		}
		select {
		case <-time.After(rand.N(min(maxBackoff, 100*time.Millisecond<<min(failures, 10)))):
		case <-ctx.Done():
			return nil
		}
	}
}

func (l *Log) watchLatest(ctx context.Context, fn func(events.Event)) error {
	consumer, err := l.js.OrderedConsumer(ctx, events.StreamEvents, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{events.AllEvents}, DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy, HeadersOnly: true,
		InactiveThreshold: time.Minute,
	})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		p, err := parsePlace(msg.Reply())
		if err != nil {
			return err
		}
		if e, err := decode(msg.Headers(), []byte("{}"), p.streamSeq); err == nil {
			e.Data = nil
			fn(e)
		}
	}
}

// progressPending is how many reports of all tasks wait for a slow watcher. What comes on top is lost.
const progressPending = 4096

// WatchProgress calls fn with the progress reports of all tasks as they come until ctx ends; then it returns nil. Reports
// may be lost. It returns an error when the connection is closed for good. fn is called by one goroutine.
func (l *Log) WatchProgress(ctx context.Context, fn func(events.Event)) error {
	live := make(chan *natsgo.Msg, progressPending)
	sub, err := l.nc.ChanSubscribe(events.Live(events.AllProgress), live)
	if err != nil {
		return broken(ctx, "watch progress", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	closed := l.nc.StatusChanged(natsgo.CLOSED)
	defer l.nc.RemoveStatusListener(closed)
	for {
		select {
		case msg := <-live:
			if e, err := decode(msg.Header, msg.Data, 0); err == nil {
				fn(e)
			}
		case <-closed:
			return broken(ctx, "watch progress", natsgo.ErrConnectionClosed)
		case <-ctx.Done():
			return nil
		}
	}
}
