package nats

import (
	"context"
	"time"

	natsgo "github.com/nats-io/nats.go"
)

// Watch calls fn with every document, and then with each change, until ctx ends; then it returns nil. Of changes that come
// quickly, or while the broker is away, only the last is certain to be shown. A document that was deleted is shown as Deleted.
// Each revision is shown once. What cannot be decoded is passed over and logged. It returns an error when the bucket does not
// exist and when the connection is closed for good. fn is called by one goroutine.
func (d *Documents[T]) Watch(ctx context.Context, fn func(Document[T])) error {
	return d.watch(ctx, fn, nil)
}

// watch is Watch; synced, which may be nil, is called whenever all that there is has been shown. The bucket is read anew after
// each interruption: that is cheap, and right also when it has lost what was shown.
func (d *Documents[T]) watch(ctx context.Context, fn func(Document[T]), synced func()) error {
	known := map[string]shown{}
	var seen map[string]bool // keys that are there; nil once all were read
	t := d.tail(">", func(m stored) {
		key := m.Subject[len(kvSubject(d.bucket, "")):]
		was, is := known[key]
		if isGone(m) {
			if is {
				delete(known, key)
				fn(Document[T]{Key: key, Revision: m.Seq, At: m.At, Deleted: true})
			}
			return
		}
		if seen != nil {
			seen[key] = true
		}
		if is && was == (shown{m.Seq, m.At}) {
			return
		}
		doc, err := d.decode(m)
		if err != nil {
			d.logger.WarnContext(ctx, "document passed over", "bucket", d.bucket, "error", err)
			return
		}
		known[key] = shown{m.Seq, m.At}
		fn(doc)
	})
	t.begin = func() { seen = map[string]bool{} }
	t.synced = func() {
		for key, was := range known {
			if !seen[key] {
				delete(known, key)
				fn(Document[T]{Key: key, Revision: was.revision, Deleted: true})
			}
		}
		seen = nil
		if synced != nil {
			synced()
		}
	}
	return t.run(ctx)
}

// shown is a revision that was shown. Its number alone does not do: a bucket that was made anew begins to count anew.
type shown struct {
	revision uint64
	at       time.Time
}

func (d *Documents[T]) tail(pattern string, hand func(stored)) *tail {
	return &tail{
		js: d.js, stream: kvStream(d.bucket), filter: kvSubject(d.bucket, pattern), logger: d.logger,
		hand: func(msg *natsgo.Msg, p place) {
			hand(stored{Subject: msg.Subject, Seq: p.streamSeq, At: p.at, Header: msg.Header, Data: msg.Data})
		},
	}
}
