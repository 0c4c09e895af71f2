package policy

import "strings"

// Values that a Limit's Per may hold.
const (
	PerKind   = "kind"
	PerTenant = "tenant"
	PerUser   = "user"
	PerLabel  = "label:" // followed by the label's name
)

// Fits reports whether the limit counts tasks of which the facts are true.
func (l Limit) Fits(f Facts) bool {
	if l.Kind != "" && l.Kind != f.Kind || l.Tenant != "" && l.Tenant != f.Tenant {
		return false
	}
	for name, value := range l.Labels {
		if have, ok := f.Labels[name]; !ok || have != value {
			return false
		}
	}
	return true
}

// Key returns the name of the count that a task is in, the same for tasks that share a count and different for all others, also
// those of other limits. It is false for a task that the limit does not count. A task without the label that Per names is in
// the count of those that have none.
func (l Limit) Key(f Facts) (key string, ok bool) {
	if !l.Fits(f) {
		return "", false
	}
	var b strings.Builder
	part(&b, l.Name)
	for _, per := range l.Per {
		switch name, label := strings.CutPrefix(per, PerLabel); {
		case label:
			value, has := f.Labels[name]
			if !has {
				b.WriteByte('-')
				continue
			}
			part(&b, value)
		case per == PerKind:
			part(&b, f.Kind)
		case per == PerTenant:
			part(&b, f.Tenant)
		case per == PerUser: // users are their tenant's
			part(&b, f.Tenant)
			part(&b, f.User)
		}
	}
	return b.String(), true
}

var escaper = strings.NewReplacer(`\`, `\\`, `/`, `\/`)

// part adds one value of a key, so that no two lists of values look alike, those with missing ones included.
func part(b *strings.Builder, value string) {
	b.WriteByte('=')
	_, _ = escaper.WriteString(b, value) // a Builder takes everything
	b.WriteByte('/')
}

// ModelLimitFor returns what holds for a model: the first entry that fits, and whether there is one. An entry without a model
// counts each model of its provider apart.
func (p Policy) ModelLimitFor(provider, model string) (ModelLimit, bool) {
	for _, l := range p.Models {
		if l.Provider == provider && (l.Model == "" || l.Model == model) {
			return l, true
		}
	}
	return ModelLimit{}, false
}
