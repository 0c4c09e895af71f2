package channels

import (
	"encoding/json"
	"sync"
	"time"
)

const (
	silence      = 4 * time.Second // after which a server is forgotten
	cutOff       = 5 * beatEvery / 2
	remembered   = 10 * time.Minute // how long it is known that a server was forgotten
	maxPeers     = 1024
	maxParts     = 1 << 14 // of a snapshot
	countEvery   = 5 * time.Second
	countAtOnce  = 100 // subscribers of a channel; beyond that they are told their number every countEvery only
	askAgainEach = beatEvery
)

// view is what this process knows of all, itself included, as it came over the Bus. All changes are made under its lock.
type view struct {
	mu     sync.Mutex
	self   *peer
	peers  map[string]*peer
	cut    bool            // nothing comes over the Bus, not even what this process says
	counts map[string]bool // channels whose subscribers are to be told their number
}

// peer is a server on the Bus.
type peer struct {
	id      string
	applied uint64 // number of the last change that counts
	heard   time.Time
	asked   time.Time // when its snapshot was last asked for
	gone    bool      // forgotten: its members left. It comes back with a snapshot

	parts  []op // of a snapshot that is coming
	partsN uint64
	next   int
}

// receive handles what comes over the Bus, one message at a time.
func (s *Server) receive(data []byte) {
	var m message
	if err := json.Unmarshal(data, &m); err != nil || m.From == "" {
		s.cfg.Logger.Warn("message on the bus passed over", "error", err)
		return
	}
	v := &s.view
	v.mu.Lock()
	defer v.mu.Unlock()
	switch m.Kind {
	case kindEvents:
		s.deliver(m.Events)
		return
	case kindTerminate:
		s.people.terminate(m.User)
		return
	case kindAsk:
		if m.To == s.id {
			s.gossip.want(func() { s.gossip.snapshot = true })
		}
		return
	}
	p := v.peers[m.From]
	if p == nil {
		if len(v.peers) >= maxPeers || m.Kind == kindBye {
			return
		}
		p = &peer{id: m.From}
		v.peers[m.From] = p
	}
	p.heard = time.Now()
	switch m.Kind {
	case kindDelta:
		s.applyDelta(p, m)
	case kindSnapshot:
		s.takeSnapshot(p, m)
	case kindBeat:
		if p.gone || m.N > p.applied && !s.faults.ignoreGaps {
			s.ask(p)
		}
	case kindRoll:
		s.gossip.want(func() { s.gossip.beat = true })
		if p == v.self {
			s.heardSelf()
		}
	case kindBye:
		s.forget(p)
		delete(v.peers, p.id)
	}
}

func (s *Server) applyDelta(p *peer, m message) {
	end := m.N + uint64(len(m.Ops))
	switch {
	case !p.gone && end <= p.applied+1:
		return // heard before
	case p.gone || m.N != p.applied+1 && !s.faults.ignoreGaps:
		s.ask(p)
		return
	}
	p.applied = m.N - 1
	for _, o := range m.Ops {
		s.applyOp(p, o, p == s.view.self)
		s.applied(p, p.applied+1)
	}
}

// takeSnapshot gathers the parts of a snapshot and applies it when it is whole and new.
func (s *Server) takeSnapshot(p *peer, m message) {
	if !p.gone && m.N <= p.applied || m.Parts > maxParts {
		return
	}
	if m.Part == 0 {
		p.parts, p.partsN, p.next = nil, m.N, 0
	}
	if m.N != p.partsN || m.Part != p.next {
		p.parts, p.next = nil, 0
		s.ask(p)
		return
	}
	p.parts = append(p.parts, m.Ops...)
	if p.next++; p.next < m.Parts {
		return
	}
	// A server that was forgotten tells nobody that its members are back: it does not know that they left.
	told := p == s.view.self || p.gone && s.lowest(p)
	want := map[memberKey]bool{}
	have := s.membership(p)
	for _, o := range p.parts { // who comes before who goes, so that no channel is empty in between
		key := memberKey{o.Channel, o.User}
		want[key] = true
		if more := o.By - have[key]; more > 0 {
			o.By = more
			s.applyOp(p, o, told)
		} else if more < 0 {
			have[key] = -more
			delete(want, key)
		}
	}
	for key, n := range have {
		if !want[key] {
			s.applyOp(p, op{Channel: key.channel, User: key.user, By: -n}, told)
		}
	}
	p.parts, p.next, p.gone = nil, 0, false
	s.applied(p, m.N)
}

// applied notes how far p has been heard. Subscriptions of this process that count from now on are answered.
func (s *Server) applied(p *peer, n uint64) {
	before := p.applied
	p.applied = n
	if p == s.view.self {
		s.appliedSelf.Store(n)
		for _, sub := range s.gossip.confirmed(before, n) {
			s.confirm(sub)
		}
	}
}

// ask wants a snapshot of p.
func (s *Server) ask(p *peer) {
	now := time.Now()
	if now.Sub(p.asked) < askAgainEach {
		return
	}
	p.asked = now
	s.gossip.want(func() {
		if p == s.view.self {
			s.gossip.snapshot = true
		} else {
			s.gossip.asks[p.id] = true
		}
	})
}

// sweep forgets the servers that are silent. A server that does not hear itself knows that it is the one who is deaf, and forgets nobody.
func (s *Server) sweep() {
	v := &s.view
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now()
	if deaf := now.Sub(v.self.heard) > cutOff; deaf || v.cut {
		v.cut = deaf
		for _, p := range v.peers {
			if p != v.self {
				p.heard = now
			}
		}
		return
	}
	for id, p := range v.peers {
		quiet := now.Sub(p.heard)
		switch {
		case p == v.self || quiet <= silence || s.faults.keepDead:
		case !p.gone:
			s.cfg.Logger.Warn("server on the bus is silent, its members leave", "server", id)
			s.forget(p)
		case quiet > remembered:
			delete(v.peers, id)
		}
	}
	for name := range v.counts {
		s.hub.locked(name, false, func(ch *channel) {
			if ch == nil || !ch.countPending {
				delete(v.counts, name)
				return
			}
			if count := s.tellCount(ch, now); count != nil && s.lowest(nil) {
				s.cfg.Occurred(*count)
			}
		})
	}
}
