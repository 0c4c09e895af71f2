package channels

import "time"

// applyOp counts one change and tells those whom it concerns; webhooks too, when told.
func (s *Server) applyOp(p *peer, o op, told bool) {
	if o.Channel == "" {
		s.people.apply(p, o)
		return
	}
	var occurred []Occurrence
	s.hub.locked(o.Channel, o.By > 0, func(ch *channel) {
		if ch == nil || ch.kind.presence != (o.User != "") {
			return
		}
		occurred = ch.apply(p, o)
		if s.cfg.SubscriptionCount && !ch.kind.presence {
			if count := s.tellCount(ch, time.Now()); count != nil {
				occurred = append(occurred, *count)
			}
		}
	})
	if told {
		s.occur(occurred)
	}
}

func (s *Server) occur(occurred []Occurrence) {
	for _, o := range occurred {
		s.cfg.Occurred(o)
	}
}

// membership returns what counts of what p said.
func (s *Server) membership(p *peer) map[memberKey]int {
	have := map[memberKey]int{}
	s.hub.each(func(ch *channel) {
		pt := ch.of(p)
		if pt == nil {
			return
		}
		if !ch.kind.presence {
			have[memberKey{ch.name, ""}] = pt.subs
		}
		for user, n := range pt.users {
			have[memberKey{ch.name, user}] = n
		}
	})
	s.people.membership(p, have)
	return have
}

// forget makes all that p said untrue. It is told by the living server with the lowest id.
func (s *Server) forget(p *peer) {
	told := s.lowest(p)
	for key, n := range s.membership(p) {
		s.applyOp(p, op{Channel: key.channel, User: key.user, By: -n}, told)
	}
	p.gone, p.parts = true, nil
}

// lowest reports whether this server has the lowest id of those that live, but for one.
func (s *Server) lowest(but *peer) bool {
	for _, p := range s.view.peers {
		if p != but && !p.gone && p.id < s.id {
			return false
		}
	}
	return true
}
