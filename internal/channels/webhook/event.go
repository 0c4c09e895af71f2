package webhook

import (
	"encoding/json"

	"github.com/toolboxai/orchestrator/internal/channels"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Event is one thing that a webhook tells of. What a kind of event has not is empty.
type Event struct {
	Name     string `json:"name"` // the kind: channel_occupied …
	Channel  string `json:"channel"`
	UserID   string `json:"user_id,omitempty"`
	Event    string `json:"event,omitempty"` // the name of a client event
	Data     string `json:"data,omitempty"`
	SocketID string `json:"socket_id,omitempty"`
	Count    *int   `json:"subscription_count,omitempty"`
}

// payload is the body of a webhook.
type payload[E any] struct {
	TimeMS int64 `json:"time_ms"`
	Events []E   `json:"events"`
}

const (
	occupied = "channel_occupied"
	vacated  = "channel_vacated"
	added    = "member_added"
	removed  = "member_removed"
	counted  = "subscription_count"
	client   = "client_event"
	missed   = "cache_miss"
)

// encode returns o as an event in JSON. Invalid for a kind that no webhook tells of.
func encode(o channels.Occurrence) (json.RawMessage, error) {
	e := Event{Name: o.Kind, Channel: o.Channel}
	switch o.Kind {
	case occupied, vacated, missed:
	case added, removed:
		e.UserID = o.UserID
	case client:
		e.UserID, e.Event, e.Data, e.SocketID = o.UserID, o.Event, o.Data, o.SocketID
	case counted:
		e.Count = &o.Count
	default:
		return nil, fault.InvalidField("kind", "%.40q is no webhook", o.Kind)
	}
	return json.Marshal(e)
}

// absence is what a removal and its opposite have in common.
type absence struct{ kind, channel, user string }

// absenceOf returns what o begins or ends, and which of the two; false for all other kinds.
func absenceOf(o channels.Occurrence) (a absence, begins, ok bool) {
	switch o.Kind {
	case occupied, vacated:
		return absence{vacated, o.Channel, ""}, o.Kind == vacated, true
	case added, removed:
		return absence{removed, o.Channel, o.UserID}, o.Kind == removed, true
	}
	return absence{}, false, false
}
