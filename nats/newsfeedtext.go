package nats

import (
	"context"
	"slices"
	"strings"

	natsgo "github.com/nats-io/nats.go"

	"github.com/toolboxai/orchestrator/events"
)

// Text is Log.Text over the feed's one subscription: a reader of a text costs the broker nothing but reads of what was written before. While
// the feed does not run it is l's own.
func (f *Newsfeed) Text(ctx context.Context, l *Log, tenant, id string) (<-chan events.Event, error) {
	r := newTextReader(l, tenant, id)
	tap := f.tap(tenant+"."+id, r.live)
	if tap == nil {
		return l.Text(ctx, tenant, id)
	}
	return r.begin(ctx, tap), nil
}

// textTap is where one reader of a text takes it from the feed.
type textTap struct {
	feed    *Newsfeed
	key     string // "<tenant>.<task>"
	to      chan *natsgo.Msg
	from    *natsgo.Subscription
	dropped int // that found no room; the feed is locked
}

// hearTexts subscribes to the pieces of all texts. They are handed on where they arrive: what has no room is read from the stream by who
// misses it.
func (f *Newsfeed) hearTexts() error {
	sub, err := f.nc.Subscribe(events.Live(events.AllText), f.pour)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.texts = sub
	return sub.SetPendingLimits(newsPending, newsPendingBytes)
}

// pour hands a piece to the readers of its task.
func (f *Newsfeed) pour(msg *natsgo.Msg) {
	key := newsKey(msg.Subject)
	key = key[:max(strings.LastIndexByte(key, '.'), 0)] // without the offset
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, tap := range f.taps[key] {
		select {
		case tap.to <- msg:
		default:
			tap.dropped++
		}
	}
}

// tap returns nil while the feed hears nothing.
func (f *Newsfeed) tap(key string, to chan *natsgo.Msg) *textTap {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.running || f.texts == nil {
		return nil
	}
	tap := &textTap{feed: f, key: key, to: to, from: f.texts}
	f.taps[key] = append(f.taps[key], tap)
	return tap
}

// Dropped implements textSource: what found no room here, and what the connection dropped.
func (t *textTap) Dropped() (int, error) {
	dropped, err := t.from.Dropped()
	t.feed.mu.Lock()
	defer t.feed.mu.Unlock()
	return t.dropped + dropped, err
}

// Unsubscribe implements textSource.
func (t *textTap) Unsubscribe() error {
	t.feed.mu.Lock()
	defer t.feed.mu.Unlock()
	left := slices.DeleteFunc(t.feed.taps[t.key], func(other *textTap) bool { return other == t })
	if t.feed.taps[t.key] = left; len(left) == 0 {
		delete(t.feed.taps, t.key)
	}
	return nil
}
