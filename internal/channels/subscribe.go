package channels

import (
	"fmt"
	"strconv"
)

// subscribe handles pusher:subscribe. The answer comes when the Bus has brought the subscription back: from then on nothing is missed.
func (c *conn) subscribe(m inbound) {
	var ask struct {
		Channel     string `json:"channel"`
		Auth        string `json:"auth"`
		ChannelData string `json:"channel_data"`
	}
	if err := m.decode(&ask); err != nil {
		c.push(encodeError(codeNone, "pusher:subscribe needs a channel, and auth and channel_data as strings"))
		return
	}
	name := ask.Channel
	if id, ok := userOf(name); ok {
		c.subscribeUser(name, id)
		return
	}
	if !validName(name) {
		c.refuse(name, "InvalidChannel", 400, fmt.Sprintf("Invalid channel name %.200q", name))
		return
	}
	sub := &subscription{conn: c, channel: name}
	member, err := c.authorize(name, ask.Auth, ask.ChannelData)
	if err != nil {
		c.refuse(name, "AuthError", 401, err.Error())
		return
	}
	sub.user = member.id
	if c.enter(sub) {
		c.s.join(sub, member.info)
	}
}

// subscribeUser answers a subscription to the channel of a signed-in user. Its messages come to the user's connections anyway.
func (c *conn) subscribeUser(name, id string) {
	if signedIn := c.signedIn(); signedIn.id != id {
		c.refuse(name, "AuthError", 401, "Only the signed-in user may subscribe to "+name)
		return
	}
	if c.enter(&subscription{conn: c, channel: name}) {
		c.push(encode("pusher_internal:subscription_succeeded", name, "{}", ""))
	}
}

// authorize returns who joins a presence channel, and an authError when the connection may not join.
func (c *conn) authorize(name, auth, channelData string) (user, error) {
	k := kindOf(name)
	if !k.private {
		return user{}, nil
	}
	if !k.presence {
		// The data is of no use here, but servers of apps that sign it get what they signed checked.
		return user{}, c.s.verify(auth, channelText(c.id, name, channelData))
	}
	if err := c.s.verify(auth, channelText(c.id, name, channelData)); err != nil {
		return user{}, err
	}
	if channelData != "" {
		return parseMember(channelData)
	}
	if signedIn := c.signedIn(); signedIn.id != "" {
		return signedIn, nil
	}
	return user{}, authError("presence channels need channel_data or a user who is signed in")
}

// enter notes a subscription with its connection. It answers and returns false when there is one or are too many.
func (c *conn) enter(sub *subscription) bool {
	c.mu.Lock()
	_, exists := c.subs[sub.channel]
	full := !exists && len(c.subs) >= c.s.cfg.MaxChannels
	if !exists && !full {
		if c.subs == nil {
			c.subs = map[string]*subscription{}
		}
		c.subs[sub.channel] = sub
	}
	c.mu.Unlock()
	switch {
	case exists:
		c.push(encodeError(codeNone, "Existing subscription to channel "+sub.channel))
	case full:
		c.refuse(sub.channel, "LimitReached", 403, "A connection may have "+strconv.Itoa(c.s.cfg.MaxChannels)+" channels")
	}
	return !exists && !full
}

func (c *conn) unsubscribe(m inbound) {
	var ask struct {
		Channel string `json:"channel"`
	}
	if err := m.decode(&ask); err != nil {
		c.push(encodeError(codeNone, "pusher:unsubscribe needs a channel"))
		return
	}
	c.mu.Lock()
	sub := c.subs[ask.Channel]
	delete(c.subs, ask.Channel)
	c.mu.Unlock()
	if sub == nil {
		c.push(encodeError(codeNone, fmt.Sprintf("No current subscription to channel %.200s, or subscription in progress", ask.Channel)))
		return
	}
	c.s.leave(sub)
}

// refuse answers a subscription that is not made. The connection stays open.
func (c *conn) refuse(channel, kind string, status int, why string) {
	code := codeNone
	if status == 401 {
		code = codeUnauthorized
	}
	c.push(encodeError(code, why))
	data := object("type", quote(kind), "error", quote(why), "status", strconv.Itoa(status))
	c.push(encode("pusher:subscription_error", channel, data, ""))
}

// join makes the subscription part of what this process says of itself.
func (s *Server) join(sub *subscription, info string) {
	full := false
	s.hub.locked(sub.channel, true, func(ch *channel) {
		if full = ch.kind.presence && ch.members[sub.user] == nil && len(ch.members) >= maxMembers; full {
			return
		}
		ch.add(sub)
		s.gossip.note(op{Channel: sub.channel, By: 1, User: sub.user, Info: info}, sub)
	})
	if full {
		s.reject(sub)
	}
}

// leave undoes join. It may be called more than once, and for subscriptions that were never joined.
func (s *Server) leave(sub *subscription) {
	s.hub.locked(sub.channel, false, func(ch *channel) {
		if ch == nil || sub.gone || sub.at >= len(ch.subs) || ch.subs[sub.at] != sub {
			return
		}
		sub.gone = true
		ch.remove(sub)
		s.gossip.note(op{Channel: sub.channel, By: -1, User: sub.user}, sub)
	})
}

// reject takes back a subscription to a presence channel that is full.
func (s *Server) reject(sub *subscription) {
	s.leave(sub)
	c := sub.conn
	c.mu.Lock()
	if c.subs[sub.channel] == sub {
		delete(c.subs, sub.channel)
	}
	c.mu.Unlock()
	c.refuse(sub.channel, "LimitReached", 403, "A presence channel may have "+strconv.Itoa(maxMembers)+" members")
}

// confirm answers a subscription that the Bus has brought back.
func (s *Server) confirm(sub *subscription) {
	full := false
	s.hub.locked(sub.channel, false, func(ch *channel) {
		if ch == nil || sub.gone {
			return
		}
		data := "{}"
		if ch.kind.presence {
			m := ch.members[sub.user]
			if full = len(ch.members) > maxMembers && (m == nil || m.connections == 1); full {
				return
			}
			data = ch.roll()
		}
		sub.confirmed.Store(true)
		sub.conn.push(encode("pusher_internal:subscription_succeeded", ch.name, data, ""))
		if s.cfg.SubscriptionCount && !ch.kind.presence {
			sub.conn.push(countFrame(ch))
		}
		if ch.kind.cache {
			s.spawn(func() { s.replay(sub) })
		}
	})
	if full {
		s.reject(sub)
	}
}
