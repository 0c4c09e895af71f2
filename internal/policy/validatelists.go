package policy

import (
	"fmt"
	"slices"
	"strings"
)

func (c *check) limits(limits []Limit) {
	c.count("limits", len(limits), MaxLimits)
	names := map[string]bool{}
	for i, l := range limits {
		at := fmt.Sprintf("limits[%d]", i)
		c.token(at+".name", l.Name)
		if names[l.Name] {
			c.add(at+".name", "%q is taken", clip(l.Name))
		}
		names[l.Name] = true
		if l.Kind != "" {
			c.kind(at+".kind", l.Kind)
		}
		if l.Tenant != "" {
			c.token(at+".tenant", l.Tenant)
		}
		c.count(at+".labels", len(l.Labels), maxLabels)
		for _, name := range sortedKeys(l.Labels) {
			c.text(at+".labels."+clip(name), name, 1, maxLabel)
			c.text(at+".labels."+clip(name), l.Labels[name], 0, maxLabel)
		}
		c.per(at+".per", l.Per)
		if l.Max < 0 || l.Max > MaxAtOnce {
			c.add(at+".max", "is %d, must be 0 to %d", l.Max, MaxAtOnce)
		}
	}
}

func (c *check) per(field string, per []string) {
	c.count(field, len(per), maxLabels)
	for i, value := range per {
		at := fmt.Sprintf("%s[%d]", field, i)
		label, isLabel := strings.CutPrefix(value, PerLabel)
		switch {
		case isLabel:
			c.text(at, label, 1, maxLabel)
		case value != PerKind && value != PerTenant && value != PerUser:
			c.add(at, "is %q, must be %s, %s, %s or %s<name>", clip(value), PerKind, PerTenant, PerUser, PerLabel)
		}
		if slices.Contains(per[:i], value) {
			c.add(at, "is there twice")
		}
	}
}

// account is what budgets and top-ups count together.
type account struct {
	scope      Scope
	tenant, id string
	period     Period
}

func (c *check) account(at string, a account) {
	if !a.scope.Valid() {
		c.add(at+".scope", "is %q, must be %s, %s or %s", clip(string(a.scope)), ScopeTenant, ScopeUser, ScopeWorkflow)
	}
	if !a.period.Valid() {
		c.add(at+".period", "is %q, must be %s or %s", clip(string(a.period)), Day, Month)
	}
	c.text(at+".id", a.id, 1, maxID)
	if a.tenant != "" {
		c.token(at+".tenant", a.tenant)
		if a.scope == ScopeTenant && a.tenant != a.id {
			c.add(at+".tenant", "must be empty: the id says which tenant")
		}
	}
}

func (c *check) budgets(budgets []Budget) {
	c.count("budgets", len(budgets), MaxBudgets)
	seen := map[account]bool{}
	for i, b := range budgets {
		at, a := fmt.Sprintf("budgets[%d]", i), account{b.Scope, b.Tenant, b.ID, b.Period}
		c.account(at, a)
		c.money(at, b.USD, b.Tokens)
		if seen[a] {
			c.add(at, "is there twice")
		}
		seen[a] = true
	}
}

func (c *check) topUps(topUps []TopUp) {
	c.count("top_ups", len(topUps), MaxTopUps)
	for i, t := range topUps {
		at := fmt.Sprintf("top_ups[%d]", i)
		c.account(at, account{t.Scope, t.Tenant, t.ID, t.Period})
		c.money(at, t.USD, t.Tokens)
		if t.ID == Everyone {
			c.add(at+".id", "must name one tenant, user or workflow")
		}
		if start, _ := t.Period.Bounds(t.From); t.Period.Valid() && !t.From.Equal(start) {
			c.add(at+".from", "is %s, must be the first moment of a %s in UTC", t.From.UTC().Format("2006-01-02T15:04:05Z07:00"), t.Period)
		}
		c.text(at+".by", t.By, 0, maxID)
		c.text(at+".reason", t.Reason, 0, maxReason)
	}
}
