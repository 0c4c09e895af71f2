package nats

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	natsgo "github.com/nats-io/nats.go"
)

// subscription is one call of Subscribe.
type subscription struct {
	ctx     context.Context // what message contexts come from: the caller's values without its end
	out     chan *message.Message
	stop    chan struct{} // closed when the pulling ends
	unwatch func() bool   // forgets the caller's context
	lanes   []*lane
	ended   bool // stop is closed
	active  int  // deliveries that run
	inboxes int  // lanes whose inbox is open
}

// loop decides what a Subscriber pulls and when it is closed. One goroutine owns all of it; deliveries run beside it and
// report back. Each turn takes one event and then does whatever has become possible.
type loop struct {
	*Subscriber
	free    int // slots that are neither taken nor reserved
	subs    []*subscription
	lanes   map[*natsgo.Subscription]*lane
	running map[*delivery]struct{}
	held    []held // messages without a slot
	asked   *lane  // the lane that is polled right now
	polls   uint64
	// backwards says that the least urgent lanes are polled first until one has work.
	backwards bool
	stage     stage
	stageBy   time.Time // when the next stage begins, unless all is settled before
}

// stage is how far Close has come.
type stage int

const (
	open        stage = iota
	draining          // messages in progress may finish
	handingBack       // their contexts are cancelled
	aborted           // nobody waits for them any more
)

// held is a message that waits for a slot.
type held struct {
	*delivery
	until time.Time
}

func newLoop(s *Subscriber) *loop {
	return &loop{Subscriber: s, free: s.cfg.Slots, lanes: map[*natsgo.Subscription]*lane{}, running: map[*delivery]struct{}{}}
}

// do runs f in the loop and reports whether it did.
func (s *Subscriber) do(f func(*loop)) bool {
	ran := make(chan struct{})
	select {
	case s.calls <- func(l *loop) { f(l); close(ran) }:
		<-ran
		return true
	case <-s.done:
		return false
	}
}

func (l *loop) run() {
	defer close(l.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for l.stage == open || len(l.subs) > 0 {
		select {
		case f := <-l.calls:
			f(l)
		case msg := <-l.arrivals:
			l.receive(msg, time.Now())
		case d := <-l.finished:
			l.finish(d)
		case <-l.up:
			l.reconnected()
		case <-l.wake:
		case <-timer.C:
		}
		timer.Reset(time.Until(l.advance(time.Now())))
	}
	l.deliveries.Wait()
	l.js.Conn().RemoveStatusListener(l.up)
	l.beats.close()
	for len(l.arrivals) > 0 {
		l.refuse(<-l.arrivals)
	}
	if nc := l.js.Conn(); nc.IsConnected() {
		_ = nc.FlushTimeout(grace) // the verdicts are with the broker when Close returns
	}
}

// advance does what the time and the last event made possible, and returns when to look again at the latest.
func (l *loop) advance(now time.Time) time.Time {
	l.nextStage(now)
	l.serveHeld(now)
	for _, sub := range l.subs {
		for _, ln := range sub.lanes {
			if ln.state != idle && !now.Before(ln.deadline) {
				l.pullEnded(ln, now, errors.New("no answer to a pull"))
			}
			l.doubt(ln, now)
			if sub.ended {
				l.closeInbox(ln, now)
			}
		}
	}
	l.subs = slices.DeleteFunc(l.subs, l.closeIfDone)
	l.pullMore(now)
	return l.wakeAt(now)
}

// start opens a subscription.
func (l *loop) start(ctx context.Context, sub *subscription) error {
	if l.stage != open {
		return errors.New("the subscriber is closed")
	}
	for i, ln := range sub.lanes {
		p, err := newPuller(l.js.Conn(), ln.ref.Stream, ln.ref.Name, l.arrivals)
		if err != nil {
			for _, opened := range sub.lanes[:i] {
				_ = opened.pull.sub.Unsubscribe()
				delete(l.lanes, opened.pull.sub)
			}
			return err
		}
		ln.pull = p
		l.lanes[p.sub] = ln
	}
	sub.inboxes = len(sub.lanes)
	l.subs = append(l.subs, sub)
	sub.unwatch = context.AfterFunc(ctx, func() { l.do(func(l *loop) { l.end(sub) }) })
	return nil
}

// end stops a subscription's pulling.
func (l *loop) end(sub *subscription) {
	if sub.ended {
		return
	}
	sub.ended = true
	sub.unwatch()
	close(sub.stop)
	l.held = slices.DeleteFunc(l.held, func(h held) bool {
		if h.lane.sub == sub {
			l.giveBack(h.delivery)
		}
		return h.lane.sub == sub
	})
}

// closeIfDone closes the channel of a subscription that has ended and has nothing left, and reports whether it did.
func (l *loop) closeIfDone(sub *subscription) bool {
	if !sub.ended || sub.active > 0 || sub.inboxes > 0 {
		return false
	}
	for _, ln := range sub.lanes {
		delete(l.lanes, ln.pull.sub)
	}
	close(sub.out)
	return true
}

// close begins to close the subscriber.
func (l *loop) close() {
	l.stage, l.stageBy = draining, time.Now().Add(l.cfg.DrainTimeout)
	for _, sub := range l.subs {
		l.end(sub)
	}
}

func (l *loop) nextStage(now time.Time) {
	if l.stage == open || l.stage == aborted || now.Before(l.stageBy) {
		return
	}
	l.stage++
	l.stageBy = now.Add(l.cfg.HandBack)
	if l.stage == aborted {
		close(l.abort)
		return
	}
	for d := range l.running {
		d.cancel(l.cfg.DrainCause)
	}
	l.cfg.Logger.Warn("work in progress is handed back", "messages", len(l.running))
}

// begin starts a delivery that has a slot.
func (l *loop) begin(d *delivery) {
	ctx, cancel := context.WithCancelCause(d.lane.sub.ctx)
	d.cancel = cancel
	msg := d.message()
	msg.SetContext(ctx)
	l.running[d] = struct{}{}
	d.lane.sub.active++
	l.deliveries.Go(func() {
		l.deliver(d, msg)
		l.finished <- d
	})
}

func (l *loop) finish(d *delivery) {
	delete(l.running, d)
	d.lane.sub.active--
	l.free++
}

// serveHeld gives free slots to messages that wait for one, the most urgent first, and gives back those that waited too long.
func (l *loop) serveHeld(now time.Time) {
	if len(l.held) == 0 {
		return
	}
	slices.SortStableFunc(l.held, func(a, b held) int { return a.lane.rank - b.lane.rank })
	l.held = slices.DeleteFunc(l.held, func(h held) bool {
		switch {
		case l.free > 0:
			l.free--
			l.begin(h.delivery)
		case !now.Before(h.until):
			l.giveBack(h.delivery)
		default:
			return false
		}
		return true
	})
}

// giveBack returns a message that nobody has seen. Where that fails it comes again after AckWait.
func (l *loop) giveBack(d *delivery) {
	l.beats.remove(d)
	_ = l.js.Conn().Publish(d.reply, []byte(ackNak))
}

// refuse gives back what arrived for a subscription that is gone.
func (l *loop) refuse(msg *natsgo.Msg) {
	if _, err := parsePlace(msg.Reply); err == nil {
		_ = l.js.Conn().Publish(msg.Reply, []byte(ackNak))
	}
}
