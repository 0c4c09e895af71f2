package vet

import "slices"

// Rule is one thing that a script must not do, or that somebody should look at.
type Rule struct {
	ID       string // kebab-case; stands in findings
	Severity Severity
	Why      string // what can happen
	Mend     string // what to write instead
	Bad      string // a script that breaks the rule
	Good     string // one like it that does not
}

// Rules returns all rules: those that deny, then those that flag.
func Rules() []Rule { return slices.Concat(sourceRules, accessRules, conductRules, flagRules) }

func ruleOf(id string) Rule {
	for _, list := range [][]Rule{sourceRules, accessRules, conductRules, flagRules} {
		for _, r := range list {
			if r.ID == id {
				return r
			}
		}
	}
	return Rule{ID: id, Severity: Deny}
}
