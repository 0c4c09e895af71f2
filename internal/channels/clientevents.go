package channels

import (
	"context"
	"time"
)

const (
	maxEventName      = 200
	maxData           = 10 << 10
	clientEventsRate  = 10 // a second and connection
	clientEventsBurst = 10
)

// bucket grants client events.
type bucket struct {
	tokens float64
	at     time.Time
}

func (b *bucket) take(now time.Time) bool {
	if b.at.IsZero() {
		b.tokens = clientEventsBurst
	} else {
		b.tokens = min(clientEventsBurst, b.tokens+now.Sub(b.at).Seconds()*clientEventsRate)
	}
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// clientEvent passes an event of a client on to the other subscribers of a private or presence channel.
func (c *conn) clientEvent(m inbound) {
	if code, why := c.checkClientEvent(m); why != "" {
		c.push(encodeError(code, why))
		return
	}
	data, err := m.text()
	if err != nil || len(data) > maxData {
		c.push(encodeError(codeNone, "The data of a client event may have 10 kB"))
		return
	}
	member := ""
	c.mu.Lock()
	if sub := c.subs[m.Channel]; sub != nil {
		member = sub.user
	}
	c.mu.Unlock()
	e := event{Channels: []string{m.Channel}, Name: m.Event, Data: data, Except: c.id, UserID: member}
	if err := c.s.publish(context.Background(), message{Kind: kindEvents, Events: []event{e}}); err != nil {
		c.push(encodeError(codeNone, "The client event could not be passed on"))
		return
	}
	c.s.cfg.Occurred(Occurrence{Kind: "client_event", Channel: m.Channel, UserID: member, Event: m.Event, Data: data, SocketID: c.id})
}

// checkClientEvent returns why an event may not be sent.
func (c *conn) checkClientEvent(m inbound) (code int, why string) {
	c.mu.Lock()
	sub := c.subs[m.Channel]
	c.mu.Unlock()
	k := kindOf(m.Channel)
	switch {
	case !c.s.cfg.App.ClientEvents:
		return codeNone, "Client events are not enabled for this app"
	case !c.bucket.take(time.Now()) && !c.s.faults.unboundedRate:
		return codeTooFast, "Client event rejected due to rate limit: 10 a second"
	case !k.private || k.encrypted:
		return codeNone, "Client events are only for private and presence channels that are not encrypted"
	case (sub == nil || !sub.confirmed.Load()) && !c.s.faults.anyMember:
		return codeNone, "Client events are only for subscribers of the channel"
	case len(m.Event) > maxEventName:
		return codeNone, "The name of an event may have 200 characters"
	}
	return codeNone, ""
}
