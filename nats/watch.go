package nats

import (
	"context"

	natsgo "github.com/nats-io/nats.go"

	"github.com/toolboxai/orchestrator/events"
)

// Watch calls fn with the last event of every task on the log, in log order, and then with each new event, until ctx ends; then
// it returns nil. Where the broker is away or something is lost on the way it goes on behind the last event that it showed: then
// an event that is not its task's last may come before that. What cannot be decoded is passed over. It returns an error when
// the log does not exist, was replaced or has lost events that were shown, and when the connection is closed for good: whoever
// watches must begin anew. fn is called by one goroutine.
func (l *Log) Watch(ctx context.Context, fn func(events.Event)) error {
	return l.watch(ctx, fn, nil)
}

// WatchSynced is Watch, and calls synced once, on the same goroutine, when all that was on the log at the beginning has been shown.
func (l *Log) WatchSynced(ctx context.Context, fn func(events.Event), synced func()) error {
	done := false
	return l.watch(ctx, fn, func() {
		if !done {
			done = true
			synced()
		}
	})
}

func (l *Log) watch(ctx context.Context, fn func(events.Event), synced func()) error {
	t := &tail{
		js: l.js, stream: events.StreamEvents, filter: events.AllEvents, resume: true, logger: l.logger, synced: synced,
		hand: func(msg *natsgo.Msg, p place) {
			if e, err := decode(msg.Header, msg.Data, p.streamSeq); err == nil {
				fn(e)
			}
		},
	}
	return t.run(ctx)
}

// progressPending is how many reports and pieces of text of all tasks wait for a slow watcher. What comes on top is lost.
const progressPending = 4096

// WatchProgress calls fn with the progress reports and the text of all tasks as they come until ctx ends; then it returns nil. Both
// may be lost. It returns an error when the connection is closed for good. fn is called by one goroutine.
func (l *Log) WatchProgress(ctx context.Context, fn func(events.Event)) error {
	live := make(chan *natsgo.Msg, progressPending)
	sub, err := l.nc.ChanSubscribe(events.Live(events.AllProgress), live)
	if err != nil {
		return broken(ctx, "watch progress", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	text, err := l.nc.ChanSubscribe(events.Live(events.AllText), live)
	if err != nil {
		return broken(ctx, "watch text", err)
	}
	defer func() { _ = text.Unsubscribe() }()
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
