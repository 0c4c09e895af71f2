package api

import (
	"time"

	"github.com/toolboxai/orchestrator/internal/auth"
)

// accessKey marks in the document who may do an operation.
const accessKey = "x-access"

// The ways to say who one is, as the document's securitySchemes have them.
const (
	schemeBearer = "bearer"
	schemeKey    = "apiKey"
)

// describeAccess says at each operation of doc who may, how far they reach, what an API key needs and what is counted; and at each that
// an API key may do that it is another way to say who one is.
func describeAccess(doc object, rules map[string]auth.Rule) error {
	schemes := doc["components"].(object)["securitySchemes"].(object)
	schemes[schemeKey] = object{
		"type": "apiKey", "in": "header", "name": headerAPIKey,
		"description": "A key that acts for a user within its scopes. It may also be sent as a bearer token, but not both.",
	}
	for _, item := range doc["paths"].(object) {
		for _, method := range methods {
			operation, ok := item.(object)[method].(object)
			if !ok {
				continue
			}
			rule, err := ruleOf(operation, rules)
			if err != nil {
				return err
			}
			kind, _ := operation[kindKey].(string)
			operation[accessKey] = describeRule(rule, kindScope(kind))
			if rule.Scope != "" && !rule.StepUp {
				operation["security"] = []any{object{schemeBearer: []any{}}, object{schemeKey: []any{}}}
			}
		}
	}
	return nil
}

func describeRule(r auth.Rule, further auth.Scope) object {
	limits := []any{}
	if r.Class != "" {
		limits = append(limits, r.Class)
	}
	if r.Public {
		return object{"public": true, "limits": limits}
	}
	roles := object{}
	for _, role := range auth.Roles() {
		if reach, err := r.Decide(auth.Principal{Role: role, Dev: true}, time.Time{}); err == nil {
			roles[string(role)] = reach.String()
		}
	}
	scopes := []any{}
	if r.Scope != "" && !r.StepUp {
		scopes = append(scopes, string(r.Scope))
		if further != "" {
			scopes = append(scopes, string(further))
		}
	}
	return object{
		"roles": roles, "scopes": scopes, "step_up": r.StepUp, "before_enrolment": r.Enroll, "limits": limits,
	}
}
