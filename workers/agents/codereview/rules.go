package codereview

import (
	"cmp"
	"slices"
	"strings"

	"github.com/toolboxai/orchestrator/internal/roblox/luau/vet"
)

// How much of the code the rules have read.
const (
	full    = "full"
	partial = "partial" // it does not parse as Luau
	none    = "none"    // it is in another language
)

// findings is what the rules found.
type findings struct {
	Issues  []Issue // those that the review lists
	LeftOut int     // of other categories
	Run     string  // full, partial or none
}

// syntax is the rule of vet for what does not parse.
const syntax = "syntax"

// look reads the code with the rules.
func look(req Request, rules check) findings {
	found := findings{Issues: []Issue{}, Run: none}
	if !req.luau() {
		return found
	}
	found.Run = full
	lines := len(req.lines())
	for _, f := range rules(req.Code, req.ScriptType) {
		if f.Rule == syntax {
			found.Run = partial
			if req.Language == "lua" {
				continue // Lua has words that Luau has not: it is no fault of the code
			}
		}
		issue := Issue{
			Category: category(f.Rule), Message: cmp.Or(clip(tidy(f.Why), maxMessage), "Breaks the rule "+f.Rule+"."), Line: min(max(f.Line, 1), lines),
			Suggestion: cmp.Or(clip(tidy(f.Mend), maxSuggestion), "Remove it."), Source: byRule, Rule: f.Rule, Severity: gravity(f),
		}
		if f.Rule != syntax && !req.lists(issue.Category) {
			found.LeftOut++
			continue
		}
		found.Issues = append(found.Issues, issue)
	}
	return found
}

// slow are the parts of the names of those rules that are about speed.
var slow = []string{"loop", "yield", "heartbeat", "frame", "unbounded", "clone", "instance"}

func category(rule string) string {
	switch {
	case rule == syntax:
		return "correctness"
	case slices.ContainsFunc(slow, func(part string) bool { return strings.Contains(rule, part) }):
		return performance
	}
	return security
}

// gravity turns a finding's severity into an issue's.
func gravity(f vet.Finding) Severity {
	switch {
	case f.Severity == vet.Deny && lesser(f.Rule):
		return High
	case f.Severity == vet.Deny:
		return Critical
	case category(f.Rule) == performance:
		return Low
	}
	return Medium
}

// lesser reports whether a denied thing opens no door by itself.
func lesser(rule string) bool {
	return strings.Contains(rule, "global") || strings.Contains(rule, "nocheck")
}
