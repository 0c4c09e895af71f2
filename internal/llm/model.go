package llm

import (
	"strings"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// offlineProvider is the composer's name in Response.Provider and Model.Provider.
const offlineProvider = "offline"

// Model names one model of one provider.
type Model struct {
	Provider string // as in Response.Provider
	Name     string // as the provider knows it; may hold slashes
}

// String returns "provider/name", which ParseModel reads.
func (m Model) String() string { return m.Provider + "/" + m.Name }

// ParseModel reads "provider/name". Errors are Invalid.
func ParseModel(s string) (Model, error) {
	provider, name, ok := strings.Cut(s, "/")
	if !ok || provider == "" || name == "" {
		return Model{}, fault.New(fault.Invalid, "%q is not of the form provider/model", s)
	}
	return Model{Provider: provider, Name: name}, nil
}

// Identified is a Client that knows which model it asks.
type Identified interface {
	Model() Model
}

// modelOf returns which model c asks: what it says itself, else the first two words of what it is described as.
func modelOf(c Client) (Model, bool) {
	if known, ok := c.(Identified); ok {
		return known.Model(), true
	}
	words := strings.Fields(c.Describe())
	if len(words) < 2 {
		return Model{}, false
	}
	return Model{Provider: words[0], Name: words[1]}, true
}

// Model returns the model that r was made for; the provider may answer with a dated name of it.
func (r *Remote) Model() Model { return Model{Provider: r.provider, Name: r.endpoint.Model} }

// toldTo returns req as c tells it to the model.
func toldTo(c Client, req Request) Request {
	if k, ok := c.(interface{ told(Request) Request }); ok {
		return k.told(req)
	}
	return req
}

// routeOf returns which model c asks first for a purpose.
func routeOf(c Client, purpose string) Model {
	if r, ok := c.(interface{ ModelFor(purpose string) Model }); ok {
		return r.ModelFor(purpose)
	}
	m, _ := modelOf(c)
	return m
}
