package breaker

import (
	"slices"
	"strings"
	"sync"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// maxBreakers bounds a Registry: a process has a breaker for each dependency and each model that it ever asked.
const maxBreakers = 1000

// Registry knows the breakers of a process by name. It is safe for concurrent use.
type Registry struct {
	mu sync.Mutex
	by map[string]*Breaker
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry { return &Registry{by: map[string]*Breaker{}} }

// Add makes a breaker known. A name that is taken is a Conflict; beyond 1,000 breakers it is Unavailable.
func (r *Registry) Add(b *Breaker) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.by[b.Name()]; taken {
		return fault.New(fault.Conflict, "there is a breaker %s already", b.Name())
	}
	if len(r.by) >= maxBreakers {
		return fault.New(fault.Unavailable, "the breaker %s is one more than %d", b.Name(), maxBreakers)
	}
	r.by[b.Name()] = b
	return nil
}

// States returns the state of every breaker, sorted by name; an empty slice when there is none.
func (r *Registry) States() []State {
	r.mu.Lock()
	all := make([]*Breaker, 0, len(r.by))
	for _, b := range r.by {
		all = append(all, b)
	}
	r.mu.Unlock()
	states := make([]State, len(all))
	for i, b := range all {
		states[i] = b.State()
	}
	slices.SortFunc(states, func(a, b State) int { return strings.Compare(a.Name, b.Name) })
	return states
}

// Reset closes the breaker of this name. An unknown name is NotFound.
func (r *Registry) Reset(name string) error {
	r.mu.Lock()
	b, ok := r.by[name]
	r.mu.Unlock()
	if !ok {
		return fault.New(fault.NotFound, "there is no breaker of that name")
	}
	b.Reset()
	return nil
}
