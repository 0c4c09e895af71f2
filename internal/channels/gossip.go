package channels

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	beatEvery      = time.Second
	publishTimeout = 5 * time.Second
	maxPending     = 1 << 16 // changes that wait for the Bus; when there are more, a snapshot takes their place
	maxOps         = 512     // of one message
	maxOpsBytes    = 256 << 10
)

// gossip holds what this process says of its membership. What is noted here counts, here too, once it comes back over the Bus.
type gossip struct {
	wake  chan struct{}
	limit int // of pending

	mu       sync.Mutex
	own      map[memberKey]ownMember  // all that was noted
	n        uint64                   // number of the last change
	pending  []op                     // the last changes, not taken yet
	overflow bool                     // pending was dropped
	joins    map[uint64]*subscription // that wait for their change, by its number
	snapshot bool                     // somebody asked
	beat     bool
	roll     bool
	asks     map[string]bool
}

// memberKey names one count of a membership.
type memberKey struct{ channel, user string }

type ownMember struct {
	connections int
	info        string
}

func newGossip() *gossip {
	return &gossip{wake: make(chan struct{}, 1), limit: maxPending, own: map[memberKey]ownMember{}, joins: map[uint64]*subscription{}, asks: map[string]bool{}}
}

// note records a change. sub, when there is one, is what was joined, which is confirmed once the change has come back, or left.
func (g *gossip) note(o op, sub *subscription) {
	g.want(func() {
		key := memberKey{o.Channel, o.User}
		m := g.own[key]
		if m.connections == 0 {
			m.info = o.Info
		}
		if m.connections += o.By; m.connections == 0 {
			delete(g.own, key)
		} else {
			g.own[key] = m
		}
		g.n++
		switch {
		case sub == nil:
		case o.By > 0:
			sub.n = g.n
			g.joins[g.n] = sub
		default:
			delete(g.joins, sub.n)
		}
		if len(g.pending) >= g.limit {
			g.overflow, g.pending = true, nil
		}
		if !g.overflow {
			g.pending = append(g.pending, o)
		}
	})
}

// want changes what is to be said and wakes who says it.
func (g *gossip) want(change func()) {
	g.mu.Lock()
	change()
	g.mu.Unlock()
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

func (g *gossip) last() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.n
}

// confirmed returns the subscriptions whose change comes after one and up to another, in order, and forgets them.
func (g *gossip) confirmed(after, upTo uint64) (subs []*subscription) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if upTo-after > uint64(len(g.joins)) {
		for _, n := range slices.Sorted(maps.Keys(g.joins)) {
			if n <= upTo {
				subs = append(subs, g.joins[n])
				delete(g.joins, n)
			}
		}
		return subs
	}
	for n := after + 1; n <= upTo; n++ {
		if sub := g.joins[n]; sub != nil {
			subs = append(subs, sub)
			delete(g.joins, n)
		}
	}
	return subs
}

// take returns what is to be said now, in order.
func (g *gossip) take() (messages []message) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.roll {
		messages = append(messages, message{Kind: kindRoll})
	}
	switch {
	case g.snapshot || g.overflow:
		messages = append(messages, g.whole()...)
		g.pending = nil
	case len(g.pending) > 0:
		first := g.n - uint64(len(g.pending)) + 1
		n := bounded(g.pending)
		messages = append(messages, message{Kind: kindDelta, N: first, Ops: g.pending[:n:n]})
		if g.pending = g.pending[n:]; len(g.pending) == 0 {
			g.pending = nil
		}
	}
	for id := range g.asks {
		messages = append(messages, message{Kind: kindAsk, To: id})
	}
	if g.beat {
		messages = append(messages, message{Kind: kindBeat, N: g.n - uint64(len(g.pending))})
	}
	clear(g.asks)
	g.roll, g.snapshot, g.overflow, g.beat = false, false, false, false
	return messages
}

// whole returns a snapshot in parts.
func (g *gossip) whole() (parts []message) {
	ops := make([]op, 0, len(g.own))
	for key, m := range g.own {
		ops = append(ops, op{Channel: key.channel, User: key.user, Info: m.info, By: m.connections})
	}
	for {
		n := bounded(ops)
		parts = append(parts, message{Kind: kindSnapshot, N: g.n, Ops: ops[:n], Part: len(parts)})
		if ops = ops[n:]; len(ops) == 0 {
			break
		}
	}
	for i := range parts {
		parts[i].Parts = len(parts)
	}
	return parts
}

// bounded returns how many of ops go into one message.
func bounded(ops []op) int {
	bytes := 0
	for i, o := range ops {
		if bytes += len(o.Channel) + len(o.User) + 2*len(o.Info) + 32; i > 0 && (i == maxOps || bytes > maxOpsBytes) {
			return i
		}
	}
	return len(ops)
}

// say publishes what the gossip has to say, one message after the other, and a beat each second, until ctx ends.
func (s *Server) say(ctx context.Context) {
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	for {
		for {
			messages := s.gossip.take()
			if len(messages) == 0 {
				break
			}
			for _, m := range messages {
				s.insist(ctx, m)
			}
			if ctx.Err() != nil {
				return
			}
		}
		select {
		case <-s.gossip.wake:
		case <-beat.C:
			s.gossip.want(func() { s.gossip.beat = true })
			s.sweep()
		case <-ctx.Done():
			return
		}
	}
}

// insist publishes m, again and again until the Bus takes it or ctx ends. Whoever hears it twice passes over the second.
func (s *Server) insist(ctx context.Context, m message) {
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, beatEvery) {
		err := s.publish(ctx, m)
		if err == nil || ctx.Err() != nil {
			return
		}
		if s.mute.CompareAndSwap(false, true) {
			s.cfg.Logger.WarnContext(ctx, "bus takes no messages, trying again", "error", err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// publish passes m on once.
func (s *Server) publish(ctx context.Context, m message) error {
	m.From = s.id
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	err := s.cfg.Bus.Publish(ctx, m.encode())
	if err == nil && s.mute.CompareAndSwap(true, false) {
		s.cfg.Logger.InfoContext(ctx, "bus takes messages again")
	}
	return err
}
