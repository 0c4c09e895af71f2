package policy

import "time"

// Everyone as a Budget's ID stands for each tenant, user or workflow apart.
const Everyone = "*"

// Allowance is what a budget allows one caller in one period. What counts against it is all spending of the same Scope, Tenant and
// ID from Start to End.
type Allowance struct {
	Scope  Scope
	Tenant string // of the caller
	ID     string // of the caller's tenant, user or workflow: never Everyone
	Period Period
	Start  time.Time // in UTC
	End    time.Time // the first moment that is not in it
	USD    float64   // with the period's top-ups; 0 sets no limit
	Tokens int64     // with the period's top-ups; 0 sets no limit
}

// BudgetsFor returns what holds for a caller at a time: at most one Allowance for each scope and period, in the order tenant,
// user, workflow, day before month. A budget that names the caller replaces that of everyone, and of two that are alike in this
// the one for the caller's tenant replaces that for any. A top-up raises only a limit that is set.
func (p Policy) BudgetsFor(f Facts, now time.Time) []Allowance {
	var all []Allowance
	for _, scope := range []Scope{ScopeTenant, ScopeUser, ScopeWorkflow} {
		id := f.id(scope)
		if id == "" {
			continue
		}
		for _, period := range []Period{Day, Month} {
			b, ok := p.budget(scope, period, f.Tenant, id)
			if !ok {
				continue
			}
			a := Allowance{Scope: scope, Tenant: f.Tenant, ID: id, Period: period, USD: b.USD, Tokens: b.Tokens}
			a.Start, a.End = period.Bounds(now)
			all = append(all, p.topUp(a))
		}
	}
	return all
}

// id returns whose spending a scope counts.
func (f Facts) id(s Scope) string {
	switch s {
	case ScopeTenant:
		return f.Tenant
	case ScopeUser:
		return f.User
	case ScopeWorkflow:
		return f.Workflow
	}
	return ""
}

// budget returns the most particular budget that fits.
func (p Policy) budget(scope Scope, period Period, tenant, id string) (best Budget, ok bool) {
	rank := 0
	for _, b := range p.Budgets {
		if b.Scope != scope || b.Period != period || b.ID != id && b.ID != Everyone || b.Tenant != "" && b.Tenant != tenant {
			continue
		}
		own := 1
		if b.ID == id {
			own += 2
		}
		if b.Tenant != "" {
			own++
		}
		if own > rank {
			best, rank = b, own
		}
	}
	return best, rank > 0
}

func (p Policy) topUp(a Allowance) Allowance {
	for _, t := range p.TopUps {
		if t.Scope != a.Scope || t.Period != a.Period || t.ID != a.ID || t.Tenant != "" && t.Tenant != a.Tenant || !t.From.Equal(a.Start) {
			continue
		}
		if a.USD > 0 {
			a.USD += t.USD
		}
		if a.Tokens > 0 {
			a.Tokens += t.Tokens
		}
	}
	return a
}
