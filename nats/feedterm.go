package nats

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/toolboxai/orchestrator/events"
)

// What a feedReader does to become, stay and cease to be the active one.

// renew is how often a pin is renewed.
func (r *feedReader) renew() time.Duration { return r.ttl / 4 }

// enter begins a term: the broker has pinned this process.
func (r *feedReader) enter(ctx context.Context, pin string, now time.Time) {
	ask, cancel := context.WithTimeout(ctx, r.renew())
	defer cancel()
	answer, err := r.feed.js.ResetConsumer(ask, events.StreamEvents, r.feed.durable)
	if err != nil {
		r.failed(now, fmt.Errorf("reset to the last settled event: %w", err))
		return
	}
	r.pin, r.lease = pin, r.sent.Add(r.ttl)
	r.term, r.endTerm = context.WithCancelCause(ctx)
	r.settled = answer.ResetSeq - 1
	r.received, r.next, r.stray = r.settled, 1, false
	r.audited, r.auditAt = 0, now.Add(r.feed.audit)
	r.feed.active.Store(true)
	r.feed.cfg.Logger.Info("this process reads the feed", "after_seq", r.settled)
}

// reset makes the consumer deliver again from behind the last settled event: something was lost on the way.
func (r *feedReader) reset(ctx context.Context, now time.Time) {
	ask, cancel := context.WithTimeout(ctx, r.renew())
	defer cancel()
	_, err := r.feed.js.ResetConsumerToSequence(ask, events.StreamEvents, r.feed.durable, r.settled+1)
	if err != nil {
		r.failed(now, fmt.Errorf("reset behind the last settled event: %w", err))
	}
	r.next, r.stray, r.pulling = 1, err != nil, false
}

// lose ends the term. What is in the buffer was never handed out.
func (r *feedReader) lose(why error) {
	if r.pin == "" {
		return
	}
	if errors.Is(why, errFeedLost) {
		r.feed.cfg.Logger.Info("this process reads the feed no longer", "settled_seq", r.settled)
	}
	r.feed.active.Store(false)
	r.endTerm(why)
	r.auditAt = time.Time{}
	r.pin, r.ack, r.pulling = "", "", false
	r.buffer, r.bytes = nil, 0
}

// audit sets right what no message would bring to light. While this process stands by: that nobody is pinned although a
// reader that is gone has left events unsettled; the broker counts them as delivered and pins nobody for them. While it is
// active: that the broker does not take its settlements, because a process that lost its pin without noticing has settled
// under a higher delivery number.
func (r *feedReader) audit(ctx context.Context, now time.Time) {
	r.auditAt = now.Add(r.feed.audit)
	if r.pin == "" {
		r.auditAt = now.Add(r.ttl / 2)
	}
	ask, cancel := context.WithTimeout(ctx, r.renew())
	defer cancel()
	consumer, err := r.feed.js.Consumer(ask, events.StreamEvents, r.feed.durable)
	if err != nil {
		return
	}
	info := consumer.CachedInfo()
	switch pinned := len(info.PriorityGroups) > 0 && info.PriorityGroups[0].PinnedClientID != ""; {
	case r.pin != "" && info.AckFloor.Stream < r.audited:
		r.reset(ctx, now)
	case r.pin == "" && !pinned && info.NumAckPending > 0:
		if _, err := r.feed.js.ResetConsumer(ask, events.StreamEvents, r.feed.durable); err != nil {
			r.failed(now, fmt.Errorf("reset to the last settled event: %w", err))
		}
	}
	r.audited = r.settled
}
