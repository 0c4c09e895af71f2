package nats

import (
	"context"
	"errors"
	"fmt"
	"strings"

	natsgo "github.com/nats-io/nats.go"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// pass hands a message of the log to whoever reads it, and moves on behind it. What cannot be decoded is passed over.
func (f *Newsfeed) pass(m stored) {
	key := newsKey(m.Subject)
	tenant, _, _ := strings.Cut(key, ".")
	f.mu.Lock()
	defer f.mu.Unlock()
	f.position = max(f.position, m.Seq)
	if len(f.readers[tenant])+len(f.readers[key]) == 0 {
		return
	}
	e, err := decode(m.Header, m.Data, m.Seq)
	if err != nil {
		return
	}
	f.hand(tenant, e)
	f.hand(key, e)
}

// report hands a progress report on. Nobody minds when it is lost.
func (f *Newsfeed) report(msg *natsgo.Msg) {
	key := newsKey(msg.Subject)
	tenant, _, _ := strings.Cut(key, ".")
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.readers[tenant])+len(f.readers[key]) == 0 {
		return
	}
	if e, err := decode(msg.Header, msg.Data, 0); err == nil {
		f.hand(tenant, e)
		f.hand(key, e)
	}
}

// hand queues e for the readers under a key, and lets go those for whom it is too much. The feed is locked.
func (f *Newsfeed) hand(key string, e events.Event) {
	group := f.readers[key]
	for i := len(group) - 1; i >= 0; i-- {
		if r := group[i]; !r.queue(e) {
			f.remove(r)
			r.end(fault.After(comeBack, "%d events wait to be read: %w", f.cfg.Queue, ErrReaderTooSlow))
		}
	}
}

// newsKey returns "<tenant>.<task>" of a subject of the log or of progress, live or stored.
func newsKey(subject string) string {
	_, key, _ := strings.Cut(strings.TrimPrefix(subject, events.Live("")), ".")
	return key
}

// attach makes r hear everything behind the position that it returns.
func (f *Newsfeed) attach(ctx context.Context, r *newsReader) (uint64, error) {
	bounded, cancel := context.WithTimeout(ctx, replyTimeout)
	defer cancel()
	for {
		f.mu.Lock()
		if f.running {
			r.index = len(f.readers[r.key])
			f.readers[r.key] = append(f.readers[r.key], r)
			defer f.mu.Unlock()
			return f.position, nil
		}
		ready := f.ready
		f.mu.Unlock()
		select {
		case <-ready:
		case <-bounded.Done():
			return 0, broken(ctx, "read the log", fmt.Errorf("the feed of this process does not run: %w", errNotRunning))
		}
	}
}

var errNotRunning = errors.New("it has not seen the broker yet, or has ended")

// detach makes r hear nothing any more.
func (f *Newsfeed) detach(r *newsReader) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.remove(r)
}

func (f *Newsfeed) remove(r *newsReader) {
	if r.index < 0 {
		return
	}
	group := f.readers[r.key]
	last := len(group) - 1
	group[r.index] = group[last]
	group[r.index].index = r.index
	group[last] = nil
	r.index = -1
	if f.readers[r.key] = group[:last]; last == 0 {
		delete(f.readers, r.key)
	}
}

// each calls do with every reader that is attached, and detaches it. The feed is locked.
func (f *Newsfeed) each(do func(*newsReader)) {
	for _, group := range f.readers {
		for _, r := range group {
			r.index = -1
			do(r)
		}
	}
	clear(f.readers)
}

func (f *Newsfeed) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running {
		f.running, f.ready = false, make(chan struct{})
	}
	if f.texts != nil {
		_ = f.texts.Unsubscribe()
		f.texts = nil
	}
	f.each(func(r *newsReader) { r.end(fault.After(comeBack, "the feed of this process has ended")) })
}
