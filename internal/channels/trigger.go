package channels

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// maxTrigger is how many events one Trigger takes.
const maxTrigger = 1000

// Trigger sends 1 to 1,000 events to the subscribers of their channels, over all processes: all of them or none. It returns once the Bus has
// them; subscribers get them in this order. An event for the channel #server-to-user-<id> goes to the connections that are signed in as that
// user. Invalid and TooLarge name the field; Unavailable when the Bus does not take them, which may yet arrive then.
func (s *Server) Trigger(ctx context.Context, events ...Event) error {
	if len(events) == 0 || len(events) > maxTrigger {
		return fault.InvalidField("events", "must be 1 to %d", maxTrigger)
	}
	m := message{Kind: kindEvents}
	for i, e := range events {
		if err := check(e); err != nil {
			return fmt.Errorf("event %d: %w", i, err)
		}
		wire := event{Channels: []string{e.Channel}, Name: e.Name, Data: e.Data, Except: e.Except, UserID: e.UserID}
		cache := kindOf(e.Channel).cache
		if cache {
			wire.ID = uuid.NewString()
		}
		if n := len(m.Events); n > 0 && !cache && same(m.Events[n-1], wire) {
			m.Events[n-1].Channels = append(m.Events[n-1].Channels, e.Channel)
			continue
		}
		m.Events = append(m.Events, wire)
	}
	for _, e := range m.Events {
		if e.ID != "" {
			if err := s.putCached(ctx, e.Channels[0], e); err != nil {
				return fmt.Errorf("keep the last message of %s: %w", e.Channels[0], err)
			}
		}
	}
	if err := s.publish(ctx, m); err != nil {
		return fmt.Errorf("trigger %d events: %w", len(events), err)
	}
	return nil
}

// same reports whether two events differ in nothing but the channel, so that one text of the data will do.
func same(a, b event) bool {
	return a.ID == "" && a.Name == b.Name && a.Data == b.Data && a.Except == b.Except && a.UserID == b.UserID
}

func check(e Event) error {
	if _, ok := userOf(e.Channel); !ok && !validName(e.Channel) {
		return fault.InvalidField("channel", "%.200q is not the name of a channel", e.Channel)
	}
	switch {
	case e.Name == "" || utf8.RuneCountInString(e.Name) > maxEventName:
		return fault.InvalidField("name", "must have 1 to %d characters", maxEventName)
	case strings.HasPrefix(e.Name, "pusher:") || strings.HasPrefix(e.Name, "pusher_internal:"):
		return fault.InvalidField("name", "must not begin with pusher: or pusher_internal:")
	case len(e.Data) > maxData:
		return &fault.Error{Kind: fault.TooLarge, Message: "the event is too large", Details: []fault.Detail{{Field: "data", Reason: "may have 10240 bytes"}}}
	case e.Except != "" && !validSocket(e.Except):
		return fault.InvalidField("socket_id", "%.64q is not a socket id", e.Except)
	}
	return nil
}

// deliver sends events to who is subscribed here. A message is encoded once for all of them.
func (s *Server) deliver(events []event) {
	for _, e := range events {
		if s.faults.echo {
			e.Except = ""
		}
		for _, name := range e.Channels {
			var text []byte
			frame := func() []byte {
				if text == nil {
					text = encode(e.Name, name, e.Data, e.UserID)
				}
				return text
			}
			if user, ok := userOf(name); ok {
				s.people.send(user, e.Except, frame)
				continue
			}
			s.hub.locked(name, false, func(ch *channel) {
				if ch != nil {
					ch.deliver(e, frame)
				}
			})
		}
	}
}

func (ch *channel) deliver(e event, frame func() []byte) {
	for _, sub := range ch.subs {
		if !sub.confirmed.Load() || sub.conn.id == e.Except {
			continue
		}
		if e.ID != "" {
			sub.fresh = true
			if sub.fetched == e.ID {
				continue
			}
		}
		sub.conn.push(frame())
	}
}

// State returns what is known of a channel, over all processes. A channel without subscribers has a State too. Invalid for what is no name;
// Unavailable when the last message of a cache channel cannot be had.
func (s *Server) State(ctx context.Context, name string) (State, error) {
	if !validName(name) {
		return State{}, fault.InvalidField("channel", "%.200q is not the name of a channel", name)
	}
	var state State
	s.hub.locked(name, false, func(ch *channel) {
		if ch != nil {
			state = ch.state()
		}
	})
	if !kindOf(name).cache {
		return state, nil
	}
	last, err := s.getCached(ctx, name)
	if err != nil {
		return State{}, fmt.Errorf("get the last message of %s: %w", name, err)
	}
	if last != nil {
		state.Cache = &Cached{Name: last.Name, Data: last.Data, TTL: max(cacheTTL-time.Since(last.At), 0)}
	}
	return state, nil
}

func (ch *channel) state() State { return State{Subscriptions: ch.total, Users: len(ch.members)} }

// Channels returns the channels with subscribers, over all processes, whose names begin with prefix; all for an empty one. The States have no
// Cache.
func (s *Server) Channels(_ context.Context, prefix string) (map[string]State, error) {
	states := map[string]State{}
	s.hub.each(func(ch *channel) {
		if ch.total > 0 && strings.HasPrefix(ch.name, prefix) {
			states[ch.name] = ch.state()
		}
	})
	return states, nil
}

// Users returns the ids of the members of a presence channel, over all processes, in order. Invalid for other channels.
func (s *Server) Users(_ context.Context, name string) (ids []string, err error) {
	if !validName(name) || !kindOf(name).presence {
		return nil, fault.InvalidField("channel", "%.200q is not the name of a presence channel", name)
	}
	s.hub.locked(name, false, func(ch *channel) {
		if ch != nil {
			ids = slices.Sorted(maps.Keys(ch.members))
		}
	})
	return ids, nil
}

// Terminate closes all connections that are signed in as the user, over all processes, with 4009. It returns once the Bus has the order;
// a process that is cut off from the Bus at that time does not hear it. Invalid for what is no user's id; Unavailable as in Trigger.
func (s *Server) Terminate(ctx context.Context, userID string) error {
	if !validUser(userID) {
		return fault.InvalidField("user_id", "must have 1 to %d characters", maxUserID)
	}
	if err := s.publish(ctx, message{Kind: kindTerminate, User: userID}); err != nil {
		return fmt.Errorf("terminate the connections of a user: %w", err)
	}
	return nil
}
