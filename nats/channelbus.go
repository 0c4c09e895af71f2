package nats

import (
	"context"
	"encoding/base64"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/channels"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// MaxCached is the largest value that a ChannelBus keeps, in bytes.
const MaxCached = 16 << 10

const (
	busTimeout     = 2 * time.Second // for the broker to say that it has what was published
	busMessages    = 8192            // wait for a listener
	busBytes       = 16 << 20        // the same in bytes
	busPublishers  = 4096            // whose place a listener remembers
	cacheMaxAge    = 30 * time.Minute
	cacheBytes     = 64 << 20
	maxCacheKey    = 200
	headerBusFrom  = "Bus-From" // who published a message, anew for each ChannelBus
	headerBusCount = "Bus-Seq"  // counts what it published, from 1
)

// ChannelBus is a channels.Bus on the broker. What is published is a plain message on channels.<app> and stored nowhere: a listener
// that is away misses it, and is told. The cache is the bucket CHANNEL_CACHE. It is safe for concurrent use and has nothing to close.
//
// The broker passes on what comes over one connection in its order, and has passed it on to its own clients and to the other nodes of a
// cluster when it answers the ping that Publish sends behind the message. On one node this gives all that channels.Bus says about
// order. On a cluster it does not: what was published over two nodes, one after the other, comes to a third one over two connections, and
// the second message overtakes the first one now and then (about one in a thousand, where all nodes share two cores). There the order
// is each publisher's own.
type ChannelBus struct {
	nc      *natsgo.Conn
	app     string
	subject string
	from    string
	flushes flushes

	maxMessages, maxBytes int  // that wait for a listener
	deaf                  bool // gaps go unnoticed; set by negative controls only
	hasty                 bool // Publish does not wait for the broker; set by negative controls only

	mu    sync.Mutex
	count uint64 // of what was published
}

var _ channels.Bus = (*ChannelBus)(nil)

// NewChannelBus returns the bus of an app on the broker that js speaks to. It sends nothing yet. Invalid when the app's id is not 1 to
// 64 characters of a-z, 0-9, _ and -.
func NewChannelBus(js jetstream.JetStream, app string) (*ChannelBus, error) {
	if err := events.CheckToken("app", app); err != nil {
		return nil, fault.New(fault.Invalid, "channel bus: %w", err)
	}
	return &ChannelBus{
		nc: js.Conn(), app: app, subject: channelSubject(app), from: uuid.NewString(), maxMessages: busMessages, maxBytes: busBytes,
	}, nil
}

func channelSubject(app string) string { return "channels." + app }

// Publish implements channels.Bus. It takes a round trip to the broker, which those who publish at the same time share, and 2 s at
// most. Unavailable says that the data may have been passed on or not; TooLarge that it exceeds the broker's limit of 1 MiB and was not.
func (b *ChannelBus) Publish(ctx context.Context, data []byte) error {
	const op = "publish on the channel bus"
	if err := ctx.Err(); err != nil {
		return broken(ctx, op, err)
	}
	reconnects := b.nc.Stats().Reconnects
	if err := b.send(data); err != nil {
		return busFault(ctx, op, err)
	}
	if b.hasty {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, busTimeout)
	defer cancel()
	err := b.flushes.wait(bounded, b.nc)
	if err == nil && b.nc.Stats().Reconnects != reconnects { // the answer is of another connection than the one that took the data
		err = errReconnected
	}
	return busFault(ctx, op, err)
}

var errReconnected = errors.New("the connection was lost meanwhile")

// send numbers a message as the next one and hands it to the connection, both in one step.
func (b *ChannelBus) send(data []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.nc.PublishMsg(&natsgo.Msg{
		Subject: b.subject, Data: data, Header: natsgo.Header{headerBusFrom: {b.from}, headerBusCount: {strconv.FormatUint(b.count+1, 10)}},
	})
	if err == nil {
		b.count++
	}
	return err
}

// Listen implements channels.Bus. A listener that is slow has 8,192 messages or 16 MiB wait for it, whichever comes first; what comes on
// top is dropped. lost is called at the place of the gap where that is known: after what came before it, and before what came after it.
// What the broker itself lost shows when its publisher's next message comes. It returns nil when ctx ends, and an error when the
// connection is closed for good. Each call costs the broker one subscription.
func (b *ChannelBus) Listen(ctx context.Context, receive func(data []byte), lost func()) error {
	const op = "listen on the channel bus"
	q := newBusQueue(b.maxMessages, b.maxBytes, b.deaf)
	sub, err := b.nc.Subscribe(b.subject, q.arrived)
	if err != nil {
		return busFault(ctx, op, err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := sub.SetPendingLimits(b.maxMessages, b.maxBytes); err != nil {
		return busFault(ctx, op, err)
	}
	status := b.nc.StatusChanged(natsgo.CONNECTED, natsgo.CLOSED)
	defer b.nc.RemoveStatusListener(status)
	dropped := 0
	for {
		select {
		case <-q.wake:
		case s := <-status:
			if s == natsgo.CLOSED {
				return busFault(ctx, op, natsgo.ErrConnectionClosed)
			}
			q.add(nil)
		case <-ctx.Done():
			return nil
		}
		if n, err := sub.Dropped(); err == nil && n != dropped {
			dropped = n
			q.add(nil)
		}
		for _, data := range q.take() {
			switch {
			case ctx.Err() != nil:
				return nil //nolint:nilerr // being stopped is how listening ends
			case data == nil:
				lost()
			default:
				receive(data)
			}
		}
	}
}

// Put implements channels.Bus. A ttl is rounded up to whole seconds, and 30 minutes at most. When the cache is full the oldest values of
// all apps go. Invalid for a key that has not 1 to 200 bytes and for a ttl that is not positive, TooLarge above MaxCached.
func (b *ChannelBus) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	subject, err := b.cacheSubject(key)
	switch {
	case err != nil:
		return err
	case ttl <= 0:
		return fault.InvalidField("ttl", "is %s, must be positive", ttl)
	case len(value) > MaxCached:
		return fault.New(fault.TooLarge, "the value has %d bytes, at most %d are allowed", len(value), MaxCached)
	}
	seconds := (min(ttl, cacheMaxAge) + time.Second - 1) / time.Second
	header := natsgo.Header{jetstream.MsgTTLHeader: {strconv.FormatInt(int64(seconds), 10) + "s"}}
	bounded, cancel := context.WithTimeout(ctx, busTimeout)
	defer cancel()
	_, err = store(bounded, b.nc, &natsgo.Msg{Subject: subject, Header: header, Data: value})
	return busFault(ctx, "write to the channel cache", err)
}

// Get implements channels.Bus. It sees every value whose Put has returned. Invalid for a key that has not 1 to 200 bytes.
func (b *ChannelBus) Get(ctx context.Context, key string) ([]byte, error) {
	subject, err := b.cacheSubject(key)
	if err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, busTimeout)
	defer cancel()
	m, err := leaderMessage(bounded, b.nc, kvStream(BucketChannelCache), getRequest{LastFor: subject})
	switch {
	case errors.Is(err, errNoMessage), err == nil && isGone(m):
		return nil, fault.New(fault.NotFound, "the channel cache has nothing under %q", key)
	case err != nil:
		return nil, busFault(ctx, "read the channel cache", err)
	}
	return m.Data, nil
}

// cacheSubject is where a value is kept. A key may hold what a subject may not.
func (b *ChannelBus) cacheSubject(key string) (string, error) {
	if key == "" || len(key) > maxCacheKey {
		return "", fault.InvalidField("key", "has %d bytes, must have 1 to %d", len(key), maxCacheKey)
	}
	return kvSubject(BucketChannelCache, b.app+"."+base64.RawURLEncoding.EncodeToString([]byte(key))), nil
}

// busFault is broken with one kind for all that a bus cannot say for sure.
func busFault(ctx context.Context, op string, err error) error {
	err = broken(ctx, op, err)
	if ctx.Err() == nil && fault.Is(err, fault.Timeout) {
		return fault.After(comeBack, "%w", err)
	}
	return err
}

// flushes shares round trips to the broker among those who wait for one: one is under way at a time, and whoever comes meanwhile
// waits for the next one.
type flushes struct {
	mu   sync.Mutex
	busy bool
	next *flush // nil when nobody waits for it
}

type flush struct {
	done chan struct{}
	err  error
}

// wait returns after a round trip that began after the call.
func (f *flushes) wait(ctx context.Context, nc *natsgo.Conn) error {
	f.mu.Lock()
	if f.next == nil {
		f.next = &flush{done: make(chan struct{})}
	}
	mine := f.next
	if !f.busy {
		f.busy = true
		go f.run(nc)
	}
	f.mu.Unlock()
	select {
	case <-mine.done:
		return mine.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run ends when nobody waits any more. A caller that gives up takes nobody else's round trip with it.
func (f *flushes) run(nc *natsgo.Conn) {
	for {
		f.mu.Lock()
		current := f.next
		f.next = nil
		if current == nil {
			f.busy = false
			f.mu.Unlock()
			return
		}
		f.mu.Unlock()
		current.err = nc.FlushTimeout(busTimeout)
		close(current.done)
	}
}
