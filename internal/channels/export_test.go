package channels

import (
	"net"
	"time"
)

// Faults switch off one mechanism each.
func (s *Server) AcceptAnySignature()    { s.faults.anySignature = true }
func (s *Server) AcceptAnyMember()       { s.faults.anyMember = true }
func (s *Server) Echo()                  { s.faults.echo = true }
func (s *Server) IgnoreGaps()            { s.faults.ignoreGaps = true }
func (s *Server) KeepDead()              { s.faults.keepDead = true }
func (s *Server) UnboundedRate()         { s.faults.unboundedRate = true }
func (s *Server) EagerCache()            { s.faults.eagerCache = true }
func (s *Server) Settle(d time.Duration) { s.settle = d }

// LimitPending sets how many changes may wait for the Bus.
func (s *Server) LimitPending(n int) { s.gossip.limit = n }

// ID returns the server's name on the Bus.
func (s *Server) ID() string { return s.id }

// Peers returns how many servers are known to live, this one included.
func (s *Server) Peers() (n int) {
	s.view.mu.Lock()
	defer s.view.mu.Unlock()
	for _, p := range s.view.peers {
		if !p.gone {
			n++
		}
	}
	return n
}

// Remembered returns how much is remembered of channels, subscriptions, users and connections; all are 0 when nobody is there.
func (s *Server) Remembered() (n int) {
	s.hub.each(func(ch *channel) { n += 1 + len(ch.subs) })
	s.people.mu.Lock()
	n += len(s.people.local) + len(s.people.online) + len(s.people.watchers)
	s.people.mu.Unlock()
	s.gossip.mu.Lock()
	n += len(s.gossip.own) + len(s.gossip.joins)
	s.gossip.mu.Unlock()
	s.mu.Lock()
	n += len(s.conns)
	s.mu.Unlock()
	return n + int(s.open.Load())
}

// Sign returns the auth string of a text.
func (a App) Sign(text string) string { return a.Key + ":" + a.sign(text) }

// ShrinkBuffers makes the system's buffers of the server's side of all connections small.
func (s *Server) ShrinkBuffers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if tcp, ok := c.net.(*net.TCPConn); ok {
			_ = tcp.SetWriteBuffer(4096)
		}
	}
}

var ParseFrame = func(text []byte) error { _, err := parseFrame(text); return err }

// FeedFrame handles a message as if a client had sent it, without a network.
func (s *Server) FeedFrame(text []byte) [][]byte {
	c := &conn{s: s, id: "1.1"}
	c.out.writing = true // nobody writes
	c.handle(text)
	c.out.mu.Lock()
	frames := c.out.frames
	c.out.mu.Unlock()
	for _, sub := range c.subs {
		s.leave(sub)
	}
	return frames
}
