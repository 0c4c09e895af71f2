package nats

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	natsgo "github.com/nats-io/nats.go"
)

// Bounds of group commit. A batch costs the broker about 2 ms and a few syncs whatever its size: below leastBatch messages they
// are faster one by one.
const (
	leastBatch     = 8
	mostBatch      = 1000 // the broker's own default
	mostBatchBytes = 4 << 20
	maxRounds      = 4  // tries of a batch, each without the message that refused the one before
	maxAlone       = 32 // messages of refused batches that are sent one by one at a time
)

// committer stores messages on one stream. While it is on, those that come together share an atomic batch, and so one sync of a
// broker that writes each message through to disk:
//
//	idle ── a message comes: sent alone, at once ──► busy ── what was under way has ended ──► idle, or the next turn
//	                                                  │ ▲
//	              messages that come meanwhile gather ┘ └ a turn: one batch of all that gathered, or, of few, each by itself
//
// Nothing waits for company: a lone caller is as fast as without it. A message whose subject is under way already is sent by
// itself in the next turn: as a rule its expected sequence is stale, and one that is refused refuses its whole batch. The
// members of a refused batch try again without the culprit where the broker tells it, else each by itself, so that a stale
// writer costs its neighbours time and nothing else.
//
// It runs at most one goroutine, only while messages wait, and that ends with the batch: within replyTimeout or with the
// connection. A committer is safe for concurrent use.
type committer struct {
	nc     *natsgo.Conn
	stream string // read to find the message that refuses a batch; empty: members of a refused batch go one by one
	logger *slog.Logger
	on     atomic.Bool
	frail  bool          // a refused batch fails all its members; set by negative controls only
	alone  chan struct{} // places for messages that go one by one after all

	mu      sync.Mutex
	under   int                 // batches or single messages of this turn that are under way
	flying  map[string]struct{} // subjects of this turn
	waiting []*member           // for the next turn, in order of arrival
}

func newCommitter(nc *natsgo.Conn, stream string, on bool, logger *slog.Logger) *committer {
	c := &committer{nc: nc, stream: stream, logger: logger, alone: make(chan struct{}, maxAlone), flying: map[string]struct{}{}}
	c.on.Store(on)
	return c
}

// member is a message that shares a turn with others.
type member struct {
	msg   *natsgo.Msg
	phase phase         // guarded by committer.mu
	done  chan struct{} // closed when it is the caller's turn to read on
	seq   uint64        // with err: what came of it, once done is closed
	err   error
}

type phase int

const (
	gathering phase = iota
	contended       // gathering, for a place of its own
	single          // sent by its caller, as a part of the turn
	stray           // sent by its caller, apart from turns
	batched
)

// store stores msg and returns its sequence. A refusal is a *jetstream.APIError and is about msg alone. After any other error
// msg may be stored, also later, as after a lost acknowledgement. msg belongs to the committer from then on.
func (c *committer) store(ctx context.Context, msg *natsgo.Msg) (uint64, error) {
	if !c.on.Load() {
		return store(ctx, c.nc, msg)
	}
	m := c.join(msg)
	select {
	case <-m.done:
	case <-ctx.Done():
		return 0, c.leave(ctx, m)
	}
	switch m.phase {
	case single:
		defer c.ended(msg.Subject)
		return store(ctx, c.nc, msg)
	case stray:
		return c.storeStray(ctx, msg)
	}
	return m.seq, m.err
}

// storeStray stores a message by itself, when one of the few places for such is free.
func (c *committer) storeStray(ctx context.Context, msg *natsgo.Msg) (uint64, error) {
	select {
	case c.alone <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	defer func() { <-c.alone }()
	unbatch(msg)
	return store(ctx, c.nc, msg)
}

// join lets msg be the next turn when nothing is under way, and wait for it otherwise.
func (c *committer) join(msg *natsgo.Msg) *member {
	m := &member{msg: msg, done: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.flying[msg.Subject]; ok {
		m.phase = contended
	}
	c.waiting = append(c.waiting, m)
	if c.under == 0 {
		c.turn()
	}
	return m
}

// leave takes a member whose caller gave up out of what it still can be taken out of.
func (c *committer) leave(ctx context.Context, m *member) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch m.phase {
	case gathering, contended:
		c.waiting = slices.DeleteFunc(c.waiting, func(w *member) bool { return w == m })
	case single:
		c.endedLocked(m.msg.Subject)
	}
	return ctx.Err()
}

// ended counts a message or batch of this turn as done, and begins the next turn after the last one.
func (c *committer) ended(subjects ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endedLocked(subjects...)
}

func (c *committer) endedLocked(subjects ...string) {
	for _, s := range subjects {
		delete(c.flying, s)
	}
	if c.under--; c.under == 0 {
		c.turn()
	}
}

// turn sends what has gathered, as far as it fits. The lock is held, and nothing is under way.
func (c *committer) turn() {
	batch, size, rest := []*member(nil), 0, 0
	for rest < len(c.waiting) {
		m := c.waiting[rest]
		if m.phase == contended {
			m.release(stray)
			rest++
			continue
		}
		if size += messageSize(m.msg); len(batch) == mostBatch || (len(batch) > 0 && size > mostBatchBytes) {
			break
		}
		rest++
		if _, ok := c.flying[m.msg.Subject]; ok {
			m.release(stray)
			continue
		}
		c.flying[m.msg.Subject] = struct{}{}
		batch = append(batch, m)
	}
	c.waiting = slices.Delete(c.waiting, 0, rest)
	if len(batch) < leastBatch {
		c.under = len(batch)
		for _, m := range batch {
			m.release(single)
		}
		return
	}
	c.under = 1
	for _, m := range batch {
		m.phase = batched
	}
	go c.run(batch)
}

// release lets the caller send the message.
func (m *member) release(p phase) {
	m.phase = p
	close(m.done)
}

// messageSize is about what a message takes on the wire.
func messageSize(msg *natsgo.Msg) int { return len(msg.Subject) + len(msg.Data) + 64*len(msg.Header) }

// run stores a batch. The next turn begins before its members are told: whoever follows up on its own event at once finds the
// subject free.
func (c *committer) run(batch []*member) {
	subjects := make([]string, len(batch))
	for i, m := range batch {
		subjects[i] = m.msg.Subject
	}
	batch, seq, err := c.commit(batch)
	c.ended(subjects...)
	settle(batch, seq, err)
}

// settle tells the members what came of their batch, which ends with sequence last.
func settle(batch []*member, last uint64, err error) {
	for i, m := range batch {
		if err == nil {
			m.seq = last - uint64(len(batch)-1-i)
		}
		m.err = err
		close(m.done)
	}
}

// commit stores a batch and returns those that were stored, or failed, together. The others have been told to go by themselves.
func (c *committer) commit(batch []*member) (together []*member, last uint64, err error) {
	ctx := context.Background() // the members' own contexts bound how long they wait; requests are bounded by replyTimeout
	for round := 1; len(batch) >= leastBatch && round <= maxRounds; round++ {
		msgs := make([]*natsgo.Msg, len(batch))
		for i, m := range batch {
			unbatch(m.msg)
			msgs[i] = m.msg
		}
		last, err = storeBatch(ctx, c.nc, msgs)
		if err == nil || (!isRefusal(err) && !errors.Is(err, errNoBatch)) {
			return batch, last, err
		}
		if c.frail {
			return batch, 0, errors.New(err.Error())
		}
		c.note(err)
		culprit := c.culprit(ctx, batch, err)
		if culprit == nil {
			break
		}
		batch = slices.DeleteFunc(slices.Clone(batch), func(m *member) bool { return m == culprit })
		c.stray(culprit)
	}
	c.stray(batch...)
	return nil, 0, nil
}

// stray tells members of a refused batch to go by themselves.
func (c *committer) stray(members ...*member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range members {
		m.release(stray)
	}
}

// culprit returns the member for which the broker refused the batch, or nil: it tells the last sequence that it has where
// another one was expected, and the message there has the culprit's subject.
func (c *committer) culprit(ctx context.Context, batch []*member, err error) *member {
	seq := lastOfWrong(err)
	if c.stream == "" || seq == 0 {
		return nil
	}
	there, err := leaderMessage(ctx, c.nc, c.stream, getRequest{Seq: seq})
	if err != nil {
		return nil
	}
	for _, m := range batch {
		if m.msg.Subject == there.Subject {
			return m
		}
	}
	return nil
}

// note gives up on batches where the stream takes none, and says so.
func (c *committer) note(err error) {
	if takesNoBatches(err) && c.on.CompareAndSwap(true, false) {
		c.logger.Warn("the stream takes no atomic batches: events are written one by one; toolboxai migrate changes that", "error", err)
	}
}
