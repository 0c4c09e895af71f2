package dispatch

import (
	"maps"
	"slices"
	"time"
)

// Gate says what the dispatcher holds, so that whoever submits knows what may go straight to the queue. Its JSON form is the
// document that the dispatcher publishes. The lists are sorted; see Sorted.
//
// What a limit counts always passes the dispatcher: only who counts can keep to a limit.
type Gate struct {
	At      time.Time `json:"at"`
	Full    bool      `json:"full,omitempty"`    // no more than what there is may be taken in; see BoardConfig.MaxOpen
	Closed  bool      `json:"closed,omitempty"`  // all is held
	Paused  []string  `json:"paused,omitempty"`  // kinds of which none may begin
	Kinds   []string  `json:"kinds,omitempty"`   // kinds without a free slot, or of which others wait already
	Tenants []string  `json:"tenants,omitempty"` // who has used up its share
	Limits  []Match   `json:"limits,omitempty"`  // what is counted
}

// Match chooses tasks. Empty fields choose all.
type Match struct {
	Kind   string            `json:"kind,omitempty"`
	Tenant string            `json:"tenant,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
}

// MaxGateNames bounds how many names a gate lists. One that would list more is closed.
const MaxGateNames = 5000

// GateAge is how old a gate may be. A dispatcher repeats it every GateAge/4; when none comes the dispatcher is away, and what it
// said of slots and shares no longer counts: work goes on to begin, in the order in which it comes.
const GateAge = 20 * time.Second

// Sorted returns g as it is published: sorted, each name once, and closed when it would list too much.
func (g Gate) Sorted() Gate {
	for _, list := range []*[]string{&g.Paused, &g.Kinds, &g.Tenants} {
		sorted := slices.Clone(*list)
		slices.Sort(sorted)
		*list = slices.Compact(sorted)
	}
	if len(g.Paused)+len(g.Kinds)+len(g.Tenants) > MaxGateNames {
		g = Gate{At: g.At, Full: g.Full, Closed: true, Paused: g.Paused, Limits: g.Limits}
	}
	return g
}

// Direct reports whether a task may go straight to the queue, now. g is as Sorted returned it. The zero gate
// holds nothing; one without a time does not age.
func (g Gate) Direct(tenant, kind string, labels map[string]string) bool {
	if listed(g.Paused, kind) || slices.ContainsFunc(g.Limits, func(m Match) bool { return m.fits(tenant, kind, labels) }) {
		return false
	}
	return g.Aged() || !g.Closed && !listed(g.Kinds, kind) && !listed(g.Tenants, tenant)
}

// Refuses reports whether there is so much work that no more is to be taken in, now.
func (g Gate) Refuses() bool { return g.Full && !g.Aged() }

// Aged reports whether g is so old that the dispatcher must be away.
func (g Gate) Aged() bool { return !g.At.IsZero() && time.Since(g.At) > GateAge }

func listed(sorted []string, name string) bool {
	_, ok := slices.BinarySearch(sorted, name)
	return ok
}

func (m Match) fits(tenant, kind string, labels map[string]string) bool {
	if m.Kind != "" && m.Kind != kind || m.Tenant != "" && m.Tenant != tenant {
		return false
	}
	for name, value := range m.Labels {
		if have, ok := labels[name]; !ok || have != value {
			return false
		}
	}
	return true
}

// same reports whether two gates say the same, whenever they do.
func (g Gate) same(other Gate) bool {
	return g.Full == other.Full && g.Closed == other.Closed && slices.Equal(g.Paused, other.Paused) && slices.Equal(g.Kinds, other.Kinds) &&
		slices.Equal(g.Tenants, other.Tenants) && slices.EqualFunc(g.Limits, other.Limits, func(a, b Match) bool {
		return a.Kind == b.Kind && a.Tenant == b.Tenant && maps.Equal(a.Labels, b.Labels)
	})
}

// Gate returns what is to be held. Ask for it when Next has nothing more to release.
func (b *Board) Gate(now time.Time) Gate {
	g := Gate{At: now.UTC(), Full: b.cfg.MaxOpen > 0 && b.open >= b.cfg.MaxOpen}
	for kind := range b.policy.Paused {
		g.Paused = append(g.Paused, kind)
	}
	for _, p := range b.pools {
		p.space.measure(p, b.cfg.IdleWindow, at(now))
		for i, k := range p.kinds {
			waiting := 0
			for l := range k.queues {
				waiting += k.queues[l].ready.len()
			}
			if waiting > 0 || !p.space.may(i) {
				g.Kinds = append(g.Kinds, k.name)
			}
		}
	}
	for _, t := range b.tenants {
		if t.active+t.front.len()+t.back.len() >= t.share {
			g.Tenants = append(g.Tenants, t.name)
		}
	}
	for _, l := range b.policy.Limits {
		g.Limits = append(g.Limits, Match{l.Kind, l.Tenant, l.Labels})
	}
	return g.Sorted()
}
