package nats

import (
	"context"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/toolboxai/orchestrator/events"
)

// What happens to events between a feedReader's inbox and its handler.

// keep puts a delivery in the buffer, unless it is there already.
func (r *feedReader) keep(ctx context.Context, msg *natsgo.Msg, now time.Time) {
	p, err := parsePlace(msg.Reply)
	if err != nil || p.consumerSeq != r.next {
		if r.stray = true; r.next > 1 {
			r.reset(ctx, now)
		}
		return // behind a reset, deliveries from before it may still arrive
	}
	r.next++
	if p.streamSeq <= r.received {
		return
	}
	r.received = p.streamSeq
	e, err := decode(msg.Header, msg.Data, p.streamSeq)
	if err != nil {
		r.feed.skipped.Add(1)
		r.feed.cfg.Logger.Error("message on the log cannot be decoded and is passed over",
			"seq", p.streamSeq, "subject", msg.Subject, "error", err)
	}
	if len(r.buffer) == 0 {
		r.first = now
	}
	r.buffer = append(r.buffer, feedItem{event: e, ok: err == nil, seq: p.streamSeq, size: len(msg.Data), reply: msg.Reply})
	r.bytes += len(msg.Data)
}

func (r *feedReader) ready(now time.Time) bool {
	cfg := r.feed.cfg
	return r.handled == nil && len(r.buffer) > 0 &&
		(len(r.buffer) >= cfg.Batch || r.bytes >= cfg.BatchBytes || now.Sub(r.first) >= cfg.Wait)
}

// handOut gives the next batch to the handler, who waits for it.
func (r *feedReader) handOut() {
	n, bytes := 0, 0
	for n < len(r.buffer) && n < r.feed.cfg.Batch && bytes < r.feed.cfg.BatchBytes {
		bytes += r.buffer[n].size
		n++
	}
	r.handled, r.buffer = r.buffer[:n:n], r.buffer[n:]
	r.bytes -= bytes
	batch := feedBatch{ctx: r.term, events: make([]events.Event, 0, n)}
	for _, item := range r.handled {
		if item.ok {
			batch.events = append(batch.events, item.event)
		}
	}
	if len(batch.events) == 0 {
		r.finish(nil)
		return
	}
	r.batches <- batch
}

// finish takes the handler's verdict. Without a pin nothing is settled: it is another process's business now.
func (r *feedReader) finish(err error) {
	last := r.handled[len(r.handled)-1]
	r.handled = nil
	if err == nil && r.pin != "" {
		r.settled, r.ack = last.seq, last.reply
	}
}

// settle tells the broker how far the feed has come. While it cannot be told, it is told later.
func (r *feedReader) settle() {
	if r.ack != "" && time.Now().Before(r.lease) && r.feed.js.Conn().Publish(r.ack, []byte(ackOK)) == nil {
		r.ack = ""
	}
}
