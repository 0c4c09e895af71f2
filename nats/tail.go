package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// tail reads a stream as it grows: first the last message of every subject, then each new one, in the stream's order. It reads
// through consumers that the broker forgets by itself, one after the other: what is lost on the way, a connection that comes
// back and a broker that restarted all lead to the next one. A tail that resumes has it begin behind the last message that was
// handed out; one that does not begins anew, which suits a stream of a few documents.
type tail struct {
	js     jetstream.JetStream
	stream string
	filter string
	resume bool
	logger *slog.Logger

	begin  func()                   // a reading begins with the last message of every subject; may be nil
	hand   func(*natsgo.Msg, place) // a message; called by one goroutine, which is run's
	synced func()                   // all that was there when a reading began has been handed out; may be nil

	made time.Time // when the stream was made
	last uint64    // sequence of the last message handed out
}

// errReplaced says that what a tail has read is no longer the beginning of what the stream holds.
var errReplaced = errors.New("the stream was replaced, or lost messages that were seen")

const (
	tailWindow    = 2048                  // messages that are asked for and not handed out yet
	tailSnapshot  = 512                   // the same while the last message of every subject comes
	tailBytes     = 8 << 20               // the same in bytes, for each pull
	tailExpires   = 30 * time.Second      // of a pull
	tailHeartbeat = 5 * time.Second       // the broker says so often that a pull is alive
	tailForgotten = time.Minute           // after which the broker drops a consumer that nobody pulls
	tailSteady    = time.Minute           // a reading that lasted so long makes the failures before it forgotten
	tailFirstWait = 50 * time.Millisecond // before the first of several tries
)

// run returns nil when ctx ends. It returns an error when the stream does not exist, the connection is closed for good, or a tail
// that resumes cannot (errReplaced).
func (t *tail) run(ctx context.Context) error {
	up := t.js.Conn().StatusChanged(natsgo.CONNECTED)
	defer t.js.Conn().RemoveStatusListener(up)
	for failures := 0; ; failures++ {
		began := time.Now()
		err := t.read(ctx, up)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // being stopped is how a tail ends
		case errors.Is(err, errReplaced), errors.Is(err, jetstream.ErrStreamNotFound):
			return fmt.Errorf("read stream %s: %w", t.stream, err)
		case t.js.Conn().IsClosed():
			return fmt.Errorf("read stream %s: %w", t.stream, natsgo.ErrConnectionClosed)
		case err == nil: // the connection is back
			failures = -1
			continue
		case time.Since(began) > tailSteady:
			failures = 0
		}
		if failures == 0 && t.js.Conn().IsConnected() {
			t.logger.WarnContext(ctx, "stream cannot be read, trying again", "stream", t.stream, "error", err)
		}
		bound := min(maxBackoff, tailFirstWait<<min(failures, 10))
		select {
		case <-time.After(bound/2 + rand.N(bound/2)):
		case <-up:
		case <-ctx.Done():
			return nil
		}
	}
}

// tailRead is one reading of a tail: one consumer.
type tailRead struct {
	*tail
	pull     *puller
	next     uint64 // the consumer's next delivery
	left     int    // messages that running pulls may still bring
	snapshot bool   // the last message of every subject is still coming
	behind   bool   // there is more that was not handed out yet
	pulled   bool   // a pull that tells of itself was sent
}

// read returns nil when the connection came back: then the consumer may be gone, and what was sent to this process certainly is.
func (t *tail) read(ctx context.Context, up <-chan natsgo.Status) error {
	arrivals := make(chan *natsgo.Msg, tailSnapshot+tailWindow+64) // and what the broker says of pulls
	r, err := t.open(ctx, arrivals)
	if err != nil {
		return err
	}
	defer func() { _ = r.pull.sub.Unsubscribe() }()
	const silence = 2*tailHeartbeat + grace
	timer := time.NewTimer(silence)
	defer timer.Stop()
	for {
		if err := r.pullMore(); err != nil {
			return err
		}
		select {
		case msg := <-arrivals:
			if err := r.receive(msg); err != nil {
				return err
			}
			timer.Reset(silence)
		case status := <-up:
			if status == natsgo.CLOSED {
				return natsgo.ErrConnectionClosed
			}
			return nil
		case <-timer.C:
			return errors.New("no sign of life from the consumer")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// open makes the consumer.
func (t *tail) open(ctx context.Context, arrivals chan *natsgo.Msg) (*tailRead, error) {
	bounded, cancel := context.WithTimeout(ctx, replyTimeout)
	defer cancel()
	stream, err := t.js.Stream(bounded, t.stream)
	if err != nil {
		return nil, err
	}
	info := stream.CachedInfo()
	resume := t.resume && t.last > 0
	if resume && (!info.Created.Equal(t.made) || info.State.LastSeq < t.last) {
		return nil, errReplaced
	}
	cfg := jetstream.ConsumerConfig{
		FilterSubject: t.filter, AckPolicy: jetstream.AckNonePolicy, DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy,
		MemoryStorage: true, Replicas: 1, InactiveThreshold: tailForgotten,
	}
	if resume {
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, t.last+1
	}
	consumer, err := stream.CreateConsumer(bounded, cfg)
	if err != nil {
		return nil, err
	}
	t.made = info.Created
	pull, err := newPuller(t.js.Conn(), t.stream, consumer.CachedInfo().Name, arrivals)
	if err != nil {
		return nil, err
	}
	r := &tailRead{tail: t, pull: pull, next: 1, snapshot: !resume, behind: true}
	if r.snapshot && t.begin != nil {
		t.begin()
	}
	if consumer.CachedInfo().NumPending == 0 {
		r.caughtUp()
	}
	return r, nil
}

func (r *tailRead) caughtUp() {
	r.snapshot, r.behind = false, false
	if r.synced != nil {
		r.synced()
	}
}

// pullMore asks for more once half of what was asked for has come. While the last message of every subject is coming, a pull has
// neither an end nor a bound in bytes: a message that meets such a bound is lost to the consumer then (nats-server 2.15.2 puts it
// back into the stream's order, which it does not follow at that time).
func (r *tailRead) pullMore() error {
	if r.snapshot {
		if r.left > tailSnapshot/2 {
			return nil
		}
		batch := tailSnapshot - r.left
		r.left += batch
		return r.pull.pull(pullRequest{Batch: batch})
	}
	batch := tailWindow
	if r.pulled {
		if r.left > tailWindow/2 {
			return nil
		}
		batch -= r.left
	}
	r.pulled = true
	r.left += batch
	return r.pull.pull(pullRequest{Batch: batch, MaxBytes: tailBytes, Expires: tailExpires, Heartbeat: tailHeartbeat})
}

func (r *tailRead) receive(msg *natsgo.Msg) error {
	if code, text, _, is := r.pull.status(msg); is {
		switch {
		case code == statusHeartbeat:
			return nil
		case code == statusTimeout, text == "Batch Completed", isFull(text):
			r.left -= int(sequence(msg.Header, "Nats-Pending-Messages"))
			return nil
		}
		return fmt.Errorf("the consumer cannot be pulled: %d %s", code, text)
	}
	p, err := parsePlace(msg.Reply)
	if err != nil {
		return err
	}
	if p.consumerSeq != r.next {
		return fmt.Errorf("delivery %d is missing", r.next)
	}
	r.next++
	r.left--
	r.hand(msg, p)
	r.last = max(r.last, p.streamSeq)
	if r.behind && p.pending == 0 {
		r.caughtUp()
	}
	return nil
}
