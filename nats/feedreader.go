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

// feedReader is one Consume of a Feed.
//
//	          a message, with a pin                batches, each settled before the next
//	standby ────────────────────────► reset ─► active ──────────────────────────────────┐
//	   ▲                                ▲      │   ▲────────────────────────────────────┘
//	   │                                └──────┤ a delivery is missing
//	   └───────────────────────────────────────┘ another pin, or no contact for the pin's time to live
//
// A durable consumer remembers what it has delivered, also to a reader that is gone, and would deliver that again only
// after AckWait and behind newer events. So a reader that becomes active first resets the consumer to the last settled
// event. Deliveries are numbered without gaps from there on; where one is missing the reader resets again.
//
// A pin lives as long as pulls carry it. The reader therefore always has one under way: for as much as it has room for or,
// while its buffer is full, for one byte, which brings nothing.
type feedReader struct {
	feed     *Feed
	pull     *puller
	ttl      time.Duration // of a pin
	arrivals chan *natsgo.Msg
	up       chan natsgo.Status
	batches  chan feedBatch
	results  chan error
	done     chan struct{}
	err      error // why it ended; valid when done is closed

	pin      string // empty: standby
	lease    time.Time
	term     context.Context // of the batches handed out under this pin
	endTerm  context.CancelCauseFunc
	buffer   []feedItem
	bytes    int
	first    time.Time  // when the oldest item of the buffer came
	handled  []feedItem // the batch that is being handled
	received uint64     // stream sequence of the last item that was buffered
	next     uint64     // number of the next delivery
	stray    bool       // since the last reset, deliveries with other numbers came
	settled  uint64     // stream sequence of the last settled item
	ack      string     // where to settle it; empty when the broker knows

	pulling  bool
	left     int // messages that the pull may still bring
	sent     time.Time
	deadline time.Time
	failures int
	retryAt  time.Time
	auditAt  time.Time
	audited  uint64 // settled at the last audit
}

// feedBatch is what goes to the handler.
type feedBatch struct {
	ctx    context.Context
	events []events.Event
}

// feedItem is a message in the buffer. One that could not be decoded has no event.
type feedItem struct {
	event events.Event
	ok    bool
	seq   uint64
	size  int
	reply string
}

var errFeedLost = errors.New("another process reads the feed now, or the broker is out of reach")

// newFeedReader waits until the broker tells about the consumer. It returns nil when ctx ends before.
func newFeedReader(ctx context.Context, f *Feed) (*feedReader, error) {
	r := &feedReader{
		feed: f, arrivals: make(chan *natsgo.Msg, 2*maxBatch),
		batches: make(chan feedBatch), results: make(chan error), done: make(chan struct{}),
	}
	for try := 0; ; try++ {
		consumer, err := f.js.Consumer(ctx, events.StreamEvents, f.durable)
		if err == nil {
			r.ttl = consumer.CachedInfo().Config.PinnedTTL
			break
		}
		if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) || f.js.Conn().IsClosed() {
			return nil, fmt.Errorf("feed %s: %w", f.durable, err)
		}
		if try == 0 && ctx.Err() == nil {
			f.cfg.Logger.WarnContext(ctx, "feed waits for the broker", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil, nil
		case <-time.After(rand.N(time.Second)):
		}
	}
	if r.ttl <= 0 {
		return nil, fmt.Errorf("feed %s: the consumer has no priority policy pinned_client", f.durable)
	}
	var err error
	if r.pull, err = newPuller(f.js.Conn(), events.StreamEvents, f.durable, r.arrivals); err != nil {
		return nil, broken(ctx, "feed "+f.durable, err)
	}
	r.up = f.js.Conn().StatusChanged(natsgo.CONNECTED, natsgo.CLOSED)
	return r, nil
}

func (r *feedReader) run(ctx context.Context) {
	defer close(r.done)
	defer r.stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for r.err == nil {
		now := time.Now()
		r.advance(ctx, now)
		timer.Reset(time.Until(r.wakeAt(now)))
		select {
		case msg := <-r.arrivals:
			r.receive(ctx, msg, time.Now())
		case err := <-r.results:
			r.finish(err)
		case status := <-r.up:
			if status == natsgo.CLOSED {
				r.err = fmt.Errorf("feed %s: the connection is closed", r.feed.durable)
			}
			r.pulling, r.retryAt = false, time.Time{}
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
}

// stop waits for the handler, settles what it did, and lets another process in.
func (r *feedReader) stop() {
	nc := r.feed.js.Conn()
	if r.handled != nil {
		r.endTerm(errFeedLost)
		r.finish(<-r.results)
	}
	_ = r.pull.sub.Unsubscribe()
	nc.RemoveStatusListener(r.up)
	if r.pin == "" {
		return
	}
	r.settle()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if r.received > r.settled { // what is in the buffer is the next reader's
		_, _ = r.feed.js.ResetConsumerToSequence(ctx, events.StreamEvents, r.feed.durable, r.settled+1)
	}
	r.lose(context.Canceled)
	unpin := "$JS.API.CONSUMER.UNPIN." + events.StreamEvents + "." + r.feed.durable
	_ = ask(ctx, nc, unpin, map[string]string{"group": feedGroup}, &answer{}) // else the pin runs out
}

// advance does what the time and the last event made possible.
func (r *feedReader) advance(ctx context.Context, now time.Time) {
	if r.pin != "" && !now.Before(r.lease) {
		r.lose(errFeedLost)
	}
	if r.handled != nil && r.pin == "" {
		return // until the batch of the lost term is through
	}
	if r.pulling && !now.Before(r.deadline) {
		r.pulling = false
		r.failed(now, errors.New("no answer to a pull"))
	}
	r.settle()
	if !now.Before(r.auditAt) {
		r.audit(ctx, now)
	}
	if r.ready(now) {
		r.handOut()
	}
	r.pullMore(now)
}

func (r *feedReader) wakeAt(now time.Time) time.Time {
	at := now.Add(r.ttl)
	earlier := func(t time.Time) {
		if t.After(now) && t.Before(at) {
			at = t
		}
	}
	if r.pulling {
		earlier(r.deadline)
	} else {
		earlier(r.retryAt)
		earlier(r.sent.Add(r.renew()))
	}
	earlier(r.auditAt)
	if r.pin != "" {
		earlier(r.lease)
	}
	if len(r.buffer) > 0 && r.handled == nil {
		earlier(r.first.Add(r.feed.cfg.Wait))
	}
	return at
}

// pullMore keeps a pull under way.
func (r *feedReader) pullMore(now time.Time) {
	if r.pulling || now.Before(r.retryAt) {
		return
	}
	req := pullRequest{Batch: 1, Group: feedGroup, Expires: r.ttl}
	if r.pin != "" {
		req.PinID, req.Expires = r.pin, r.renew()
		room, bytes := maxBatch-len(r.buffer), prefetchBytes-r.bytes
		switch {
		case room >= maxBatch/4 && bytes >= prefetchBytes/4:
			req.Batch, req.MaxBytes = room, bytes
		case now.Before(r.sent.Add(r.renew())):
			return
		default:
			req.MaxBytes = 1
		}
	}
	r.sent, r.deadline = now, now.Add(req.Expires+grace)
	if err := r.pull.pull(req); err != nil {
		r.failed(now, err)
		return
	}
	r.pulling, r.left = true, req.Batch
}

// receive takes what arrived in the inbox.
func (r *feedReader) receive(ctx context.Context, msg *natsgo.Msg, now time.Time) {
	if code, text, about, is := r.pull.status(msg); is {
		if about && code != statusHeartbeat {
			r.pullEnded(ctx, now, code, text)
		}
		return
	}
	pin := msg.Header.Get("Nats-Pin-Id")
	if r.left--; r.left <= 0 {
		r.pulling = false
	}
	r.worked()
	switch {
	case r.handled != nil && r.pin == "": // still leaving the last term
	case r.pin == "":
		r.enter(ctx, pin, now)
	case r.pin == pin:
		r.lease = r.sent.Add(r.ttl)
		r.keep(ctx, msg, now)
	}
}

// pullEnded takes the broker's word that a pull is over.
func (r *feedReader) pullEnded(ctx context.Context, now time.Time, code int, text string) {
	r.pulling = false
	if code == statusWrongPin {
		r.lose(errFeedLost)
		return
	}
	full := text == "Batch Completed" || isFull(text)
	if err := pullError(code, text); err != nil && !full {
		r.failed(now, err)
		return
	}
	r.worked()
	if r.pin == "" {
		return
	}
	r.lease = r.sent.Add(r.ttl)
	if r.stray && r.next == 1 {
		r.reset(ctx, now)
	}
}

// failed puts the next pull off. The first failure in a row is logged; while the connection is down, that says enough.
func (r *feedReader) failed(now time.Time, err error) {
	if r.failures == 0 && r.feed.js.Conn().IsConnected() {
		r.feed.cfg.Logger.Warn("feed cannot be pulled, trying again", "error", err)
	}
	r.failures++
	bound := min(maxBackoff, 50*time.Millisecond<<min(r.failures, 10))
	r.retryAt = now.Add(bound/2 + rand.N(bound/2))
}

func (r *feedReader) worked() {
	if r.failures > 0 {
		r.feed.cfg.Logger.Info("feed answers again")
	}
	r.failures, r.retryAt = 0, time.Time{}
}
