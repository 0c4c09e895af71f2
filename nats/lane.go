package nats

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	natsgo "github.com/nats-io/nats.go"
)

// lane is one durable consumer as the loop sees it.
type lane struct {
	ref     ConsumerRef
	rank    int // 0 is the most urgent
	sub     *subscription
	ackWait time.Duration
	pull    *puller

	state    laneState
	reserved int       // slots that the running poll may fill
	deadline time.Time // when the running pull counts as lost
	emptyAt  time.Time // when the broker last said that nothing waits; zero: something may
	doubtAt  time.Time // when an unanswered poll raises the question whether the consumer is paused; zero: asked
	paused   bool      // it was when it was asked; until it delivers
	turn     uint64    // number of its last poll
	failures int       // in a row
	retryAt  time.Time
	drainBy  time.Time   // when the closing of its inbox counts as done; zero: not begun
	drained  atomic.Bool // nothing arrives any more
	closed   bool        // the same, counted in sub.inboxes
}

type laneState int

const (
	idle   laneState = iota
	polled           // a pull for what waits now is under way; it holds slots
	parked           // a pull for one message waits; it holds none
)

const (
	pollTimeout = 5 * time.Second        // for an answer to a poll
	pollDoubt   = 200 * time.Millisecond // the broker does not answer a poll of a paused consumer, and the poll holds slots
	grace       = 2 * time.Second        // for an answer to a parked pull after its time, and for closing an inbox
	pollBatch   = 256
	reverse     = 8 // every so many polls the least urgent lane comes first
	// stale is how long a lane that was empty is not polled again while it has no parked pull because all slots are taken.
	stale      = 20 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// pullMore asks for work as long as slots are free: one poll at a time, since each reserves all free slots; and where every
// lane is known to be empty, it parks a pull on each. A paused lane has a parked one until it delivers: what a
// paused consumer is asked for waits with the broker, and must hold no slot.
func (l *loop) pullMore(now time.Time) {
	if l.free > 0 {
		l.park(now, func(ln *lane) bool { return ln.paused })
	}
	for l.free > 0 && l.asked == nil {
		ln := l.pick(now)
		if ln == nil {
			l.park(now, func(*lane) bool { return true })
			return
		}
		l.poll(ln, now)
	}
}

// pick returns the lane to poll next: of the most urgent ones that may have work, the one that was polled longest ago. Now and then it goes
// backwards, until a lane has work: an empty one costs the others no turn.
func (l *loop) pick(now time.Time) *lane {
	var best *lane
	l.backwards = l.backwards || l.polls%reverse == reverse-1
	for _, sub := range l.subs {
		for _, ln := range sub.lanes {
			if !ln.ready(now) || ln.paused || !ln.emptyAt.IsZero() && now.Sub(ln.emptyAt) < stale {
				continue
			}
			if best == nil || ln.rank == best.rank && ln.turn < best.turn || ln.rank != best.rank && (ln.rank > best.rank) == l.backwards {
				best = ln
			}
		}
	}
	return best
}

func (ln *lane) ready(now time.Time) bool {
	return ln.state == idle && !ln.sub.ended && !now.Before(ln.retryAt)
}

func (l *loop) poll(ln *lane, now time.Time) {
	l.polls++
	ln.turn = l.polls
	batch := min(l.free, pollBatch)
	if err := ln.pull.pull(pullRequest{Batch: batch, NoWait: true}); err != nil {
		l.failed(ln, now, err)
		return
	}
	l.asked = ln
	l.free -= batch
	ln.state, ln.reserved, ln.deadline, ln.doubtAt = polled, batch, now.Add(pollTimeout), now.Add(pollDoubt)
}

func (l *loop) park(now time.Time, chosen func(*lane) bool) {
	for _, sub := range l.subs {
		for _, ln := range sub.lanes {
			if !ln.ready(now) || !chosen(ln) {
				continue
			}
			if err := ln.pull.pull(pullRequest{Batch: 1, Expires: l.cfg.ParkWait}); err != nil {
				l.failed(ln, now, err)
				continue
			}
			ln.state, ln.deadline = parked, now.Add(l.cfg.ParkWait+grace)
		}
	}
}

// receive takes what arrived in a lane's inbox.
func (l *loop) receive(msg *natsgo.Msg, now time.Time) {
	ln := l.lanes[msg.Sub]
	if ln == nil {
		l.refuse(msg)
		return
	}
	if paused, is := ln.pull.pausedAnswer(msg); is {
		if paused {
			l.nowPaused(ln)
		}
		return
	}
	if code, text, about, is := ln.pull.status(msg); is {
		if about && ln.state != idle && code != statusHeartbeat {
			l.pullEnded(ln, now, pullError(code, text))
		}
		return
	}
	p, err := parsePlace(msg.Reply)
	if err != nil {
		l.cfg.Logger.Error("message without a delivery's reply subject", "subject", msg.Subject, "error", err)
		return
	}
	l.worked(ln)
	ln.emptyAt, ln.paused = time.Time{}, false
	if p.pending == 0 {
		ln.emptyAt = now
	}
	switch ln.state {
	case polled:
		l.backwards = false
		ln.reserved--
		l.free++
		if ln.reserved == 0 {
			ln.state, l.asked = idle, nil
		}
	case parked:
		ln.state = idle
	}
	d := &delivery{lane: ln, reply: msg.Reply, raw: msg, place: p}
	switch {
	case !l.beats.add(d): // the broker was away for longer than AckWait; the delivery in progress stands, and settles both
	case ln.sub.ended:
		l.giveBack(d)
	case l.free > 0:
		l.free--
		l.begin(d)
	default:
		l.held = append(l.held, held{d, now.Add(l.cfg.HoldWait)})
	}
}

// pullError returns nil for what the broker says of a pull that ended well.
func pullError(code int, text string) error {
	switch code {
	case statusNoMessages, statusTimeout:
		return nil
	case statusNoResponders:
		return fmt.Errorf("the consumer does not exist or has no leader")
	}
	return fmt.Errorf("%d %s", code, text)
}

// pullEnded ends a lane's running pull. Without an error nothing waits in the lane.
func (l *loop) pullEnded(ln *lane, now time.Time, err error) {
	if ln.state == polled {
		l.free += ln.reserved
		ln.reserved, l.asked = 0, nil
	}
	ln.state = idle
	if err != nil {
		l.failed(ln, now, err)
		return
	}
	ln.emptyAt = now
	l.worked(ln)
}

// doubt asks whether a lane is paused whose poll is not answered.
func (l *loop) doubt(ln *lane, now time.Time) {
	if ln.state != polled || ln.doubtAt.IsZero() || now.Before(ln.doubtAt) {
		return
	}
	ln.doubtAt = time.Time{}
	_ = ln.pull.askPaused() // where that fails the poll runs out
}

// nowPaused frees the slots that a poll of a paused lane holds.
func (l *loop) nowPaused(ln *lane) {
	if ln.state != polled {
		return
	}
	l.free += ln.reserved
	ln.reserved, l.asked = 0, nil
	ln.state, ln.paused = idle, true
}

// failed puts a lane off. The first failure in a row is logged; while the connection is down, that says enough.
func (l *loop) failed(ln *lane, now time.Time, err error) {
	if ln.failures == 0 && l.js.Conn().IsConnected() {
		l.cfg.Logger.Warn("consumer cannot be pulled, trying again", "stream", ln.ref.Stream, "consumer", ln.ref.Name, "error", err)
	}
	ln.failures++
	bound := min(maxBackoff, 50*time.Millisecond<<min(ln.failures, 10))
	ln.retryAt = now.Add(bound/2 + rand.N(bound/2))
	ln.emptyAt = time.Time{}
}

func (l *loop) worked(ln *lane) {
	if ln.failures > 0 {
		l.cfg.Logger.Info("consumer answers again", "stream", ln.ref.Stream, "consumer", ln.ref.Name)
	}
	ln.failures, ln.retryAt = 0, time.Time{}
}

// reconnected gives up all pulls that were under way: the broker forgot them, or will be answered late, which does no harm.
func (l *loop) reconnected() {
	for _, ln := range l.lanes {
		if ln.state == polled {
			l.free += ln.reserved
			ln.reserved, l.asked = 0, nil
		}
		ln.state, ln.paused, ln.emptyAt, ln.retryAt = idle, false, time.Time{}, time.Time{}
	}
}

// closeInbox ends a lane of a subscription that has ended: at once where a pull is parked, since the broker drops it with
// the inbox; after its answer where a poll is under way. What arrives meanwhile is given back.
func (l *loop) closeInbox(ln *lane, now time.Time) {
	switch {
	case ln.closed || ln.state == polled:
	case ln.drained.Load():
		ln.close()
	case ln.drainBy.IsZero():
		ln.drainBy = now.Add(grace)
		if err := ln.pull.drain(func() { ln.drained.Store(true); l.nudge() }); err != nil {
			ln.close() // the connection is closed
		}
	case !now.Before(ln.drainBy):
		_ = ln.pull.sub.Unsubscribe()
		ln.close()
	}
}

// nudge makes the loop look again. It does not wait.
func (s *Subscriber) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (ln *lane) close() {
	ln.closed = true
	ln.sub.inboxes--
}

// wakeAt returns when time alone makes something possible.
func (l *loop) wakeAt(now time.Time) time.Time {
	at := now.Add(time.Hour)
	earlier := func(t time.Time) {
		if !t.IsZero() && t.Before(at) {
			at = t
		}
	}
	if l.stage == draining || l.stage == handingBack {
		earlier(l.stageBy)
	}
	for _, h := range l.held {
		earlier(h.until)
	}
	for _, sub := range l.subs {
		for _, ln := range sub.lanes {
			switch {
			case ln.state != idle:
				earlier(ln.deadline)
				if ln.state == polled {
					earlier(ln.doubtAt)
				}
			case sub.ended && !ln.closed:
				earlier(ln.drainBy)
			case l.free > 0 && !sub.ended && ln.retryAt.After(now):
				earlier(ln.retryAt)
			}
		}
	}
	return at
}
