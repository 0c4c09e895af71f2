package nats

import (
	"context"
	"errors"
	"strings"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/toolboxai/orchestrator/events"
)

const (
	// followPending is how many live messages wait for a slow reader. What comes on top is dropped and read from the log later.
	followPending = 64
	// followPage is how many events of a long history are in memory for one reader.
	followPage    = 32
	followBackoff = 250 * time.Millisecond
)

// Follow implements task.Log. It costs the broker a plain subscription and no consumer: the stream repeats what it stores
// on live subjects. Those messages may be lost, so each says which one came before it, and whatever is missing is read from
// the log; so is everything after a reconnect, and now and then without a reason. The broker sees the subscription before
// it sees the first read, since both travel on one connection, so nothing falls between them.
func (l *Log) Follow(ctx context.Context, tenant, id string, after uint64) (<-chan events.Event, error) {
	f := &follower{
		log: l, tenant: tenant, id: id, last: after,
		live: make(chan *natsgo.Msg, followPending), out: make(chan events.Event),
	}
	sub, err := l.nc.ChanSubscribe(events.Live("*."+tenant+"."+id), f.live)
	if err != nil {
		return nil, broken(ctx, "follow task "+id, err)
	}
	f.sub = sub
	f.up = l.nc.StatusChanged(natsgo.CONNECTED)
	backlog, err := f.missing(ctx)
	if err != nil {
		f.stop()
		return nil, err
	}
	f.more = len(backlog) == followPage
	go f.run(ctx, backlog)
	return f.out, nil
}

// follower is one reader's place in one history.
type follower struct {
	log        *Log
	tenant, id string
	last       uint64 // the last sequence handed out
	dropped    int    // by the connection so far
	behind     bool   // the log may have more, and was not read yet
	more       bool   // the last page was full
	sub        *natsgo.Subscription
	live       chan *natsgo.Msg
	up         chan natsgo.Status
	out        chan events.Event
}

func (f *follower) stop() {
	_ = f.sub.Unsubscribe()
	f.log.nc.RemoveStatusListener(f.up)
}

// run ends with ctx. A reader that gave up without ending ctx would keep it forever; the contract says that it must not.
func (f *follower) run(ctx context.Context, ready []events.Event) {
	defer close(f.out)
	defer f.stop()
	timer := time.NewTimer(f.log.recheck)
	defer timer.Stop()
	for {
		for _, e := range ready {
			if !f.hand(ctx, e) {
				return
			}
		}
		if f.more {
			ready = f.catchUp(ctx)
			continue
		}
		if f.lost() { // no later message may come to show it
			f.behind = true
		}
		wait := f.log.recheck
		if f.behind {
			wait = followBackoff
		}
		timer.Reset(wait)
		select {
		case msg := <-f.live:
			ready = f.next(ctx, msg)
		case <-f.up:
			ready = f.catchUp(ctx)
		case <-timer.C:
			ready = f.catchUp(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// hand gives e to the reader, unless ctx ends first. What could not be decoded is passed over: History reports it.
func (f *follower) hand(ctx context.Context, e events.Event) bool {
	if e.ID != "" {
		select {
		case f.out <- e:
		case <-ctx.Done():
			return false
		}
	}
	f.last = max(f.last, e.Seq)
	return true
}

// next returns what a live message adds: itself, or more when some before it were lost.
func (f *follower) next(ctx context.Context, msg *natsgo.Msg) []events.Event {
	seq := sequence(msg.Header, natsgo.JSSequence)
	if strings.HasPrefix(msg.Subject, events.Live("progress.")) {
		if e, err := decode(msg.Header, msg.Data, 0); err == nil {
			return []events.Event{e}
		}
		return nil
	}
	if seq <= f.last {
		return nil
	}
	e, err := decode(msg.Header, msg.Data, seq)
	if err != nil || f.behind || f.lost() || sequence(msg.Header, natsgo.JSLastSequence) > f.last {
		return f.catchUp(ctx)
	}
	return []events.Event{e}
}

// lost reports whether the connection dropped messages of this reader since the last call.
func (f *follower) lost() bool {
	dropped, err := f.sub.Dropped()
	if err != nil || dropped == f.dropped {
		return false
	}
	f.dropped = dropped
	return true
}

// catchUp reads what is missing from the log. When that fails it is tried again after a moment.
func (f *follower) catchUp(ctx context.Context) []events.Event {
	found, err := f.missing(ctx)
	f.behind, f.more = err != nil, len(found) == followPage
	if err != nil && ctx.Err() == nil {
		f.log.logger.DebugContext(ctx, "followed task cannot be read yet", "task_id", f.id, "error", err)
	}
	return found
}

func (f *follower) missing(ctx context.Context) ([]events.Event, error) {
	found, _, err := f.log.history(ctx, events.Subject(f.tenant, f.id), f.last, followPage)
	if err == nil || errors.Is(err, errNoMessage) {
		return found, nil
	}
	return nil, broken(ctx, "follow task "+f.id, err)
}
