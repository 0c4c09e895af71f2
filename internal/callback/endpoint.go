package callback

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Limits of endpoints.
const (
	MaxEndpoints   = 10  // of a tenant
	MaxDescription = 200 // characters
	MaxOverlap     = 7 * 24 * time.Hour
)

// State says whether an endpoint is told anything.
type State string

const (
	Active   State = "active"
	Disabled State = "disabled" // by an admin, or because the receiver answered 410 Gone; Endpoint.Reason says which
)

// Endpoint is a receiver that a tenant registered.
type Endpoint struct {
	ID          string        `json:"id"`
	Tenant      string        `json:"tenant_id"`
	URL         string        `json:"url"`
	Description string        `json:"description,omitempty"`
	Events      []events.Type `json:"events"` // sorted; empty: all of Lifecycle
	State       State         `json:"state"`
	Reason      string        `json:"reason,omitempty"` // why it is disabled
	CreatedAt   time.Time     `json:"created_at"`       // events from before are not told
	UpdatedAt   time.Time     `json:"updated_at"`
	Version     int64         `json:"version"` // grows with every change

	// RotatingUntil is when the secret before the current one ends; nil: there is but one.
	RotatingUntil *time.Time `json:"rotating_until,omitempty"`
	// Secrets are those that sign its messages, sealed.
	Secrets Secrets `json:"-"`
}

// wants reports whether an endpoint is told of an event.
func (e Endpoint) wants(t events.Type, at time.Time) bool {
	return e.State == Active && (len(e.Events) == 0 || slices.Contains(e.Events, t)) && !at.Before(e.CreatedAt)
}

// Lifecycle returns the types of events that endpoints can be told of: those that move a task to another state, and task.discarded.
func Lifecycle() []events.Type {
	return []events.Type{
		events.TypeQueued, events.TypeStarted, events.TypeRetrying, events.TypeWaiting, events.TypeCompleted, events.TypeFailed,
		events.TypeCancelled, events.TypeDiscarded,
	}
}

// Spec is what an admin says of an endpoint.
type Spec struct {
	URL         string
	Description string        // at most MaxDescription characters, none of them a control character
	Events      []events.Type // of Lifecycle; empty: all
	Disabled    bool          // tell it nothing for now
}

// tidy returns s in the form in which it is kept, or an Invalid fault that names every field that is wrong.
func (s Spec) tidy(allow *Allow) (Spec, error) {
	var wrong []fault.Detail
	u, why := checkURL(s.URL, allow)
	if why != "" {
		wrong = append(wrong, fault.Detail{Field: "url", Reason: why})
	} else {
		s.URL = u.String()
	}
	s.Description = strings.TrimSpace(s.Description)
	if utf8.RuneCountInString(s.Description) > MaxDescription || !utf8.ValidString(s.Description) || strings.ContainsFunc(s.Description, unicode.IsControl) {
		wrong = append(wrong, fault.Detail{Field: "description", Reason: "must have at most 200 characters, none of them a control character"})
	}
	if len(s.Events) > 4*len(Lifecycle()) || slices.ContainsFunc(s.Events, func(t events.Type) bool { return !slices.Contains(Lifecycle(), t) }) {
		wrong = append(wrong, fault.Detail{Field: "events", Reason: "must be among " + listed(Lifecycle())})
	}
	if wrong != nil {
		return Spec{}, fault.InvalidFields(wrong)
	}
	s.Events = slices.Compact(slices.Sorted(slices.Values(s.Events)))
	return s, nil
}

func listed(types []events.Type) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = string(t)
	}
	return strings.Join(names, ", ")
}
