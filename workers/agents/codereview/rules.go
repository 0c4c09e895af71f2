package codereview

import (
	"cmp"
	"strings"
	"unicode"
	"unicode/utf8"

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
			Category: category(f.Rule), Message: cmp.Or(clip(sentence(f.Why), maxMessage), "Breaks the rule "+f.Rule+"."), Line: min(max(f.Line, 1), lines),
			Suggestion: cmp.Or(clip(sentence(f.Mend), maxSuggestion), "Remove it."), Source: byRule, Rule: f.Rule, Severity: gravity(f),
		}
		if f.Rule != syntax && !req.lists(issue.Category) {
			found.LeftOut++
			continue
		}
		found.Issues = append(found.Issues, issue)
	}
	return found
}

// category says what a rule is about. Whatever is not named here is about security.
func category(rule string) string {
	switch rule {
	case syntax, "data-store-unprotected":
		return "correctness"
	case "endless-loop", "unbounded-instances", "heartbeat-work":
		return performance
	}
	return security
}

// gravity turns a finding's severity into an issue's. What is denied and not named here is critical.
func gravity(f vet.Finding) Severity {
	switch f.Rule {
	case "global-table", "newproxy", "debug-library", "require-computed", "require-alias", "dynamic-service", "computed-access", "game-handed-on",
		"teleport-service", "marketplace-service", "privileged-service", "nocheck", "escaped-text", "encoded-data", "too-long":
		if f.Severity == vet.Deny {
			return High
		}
	case "endless-loop": // nobody can play where it runs
		return High
	case "nolint", "heartbeat-work", "data-store-write":
		if f.Severity == vet.Flag {
			return Low
		}
	}
	if f.Severity == vet.Deny {
		return Critical
	}
	return Medium
}

// sentence makes a rule's words one.
func sentence(s string) string {
	s = tidy(s)
	if s == "" {
		return ""
	}
	first, size := utf8.DecodeRuneInString(s)
	s = string(unicode.ToUpper(first)) + s[size:]
	if !strings.ContainsAny(s[len(s)-1:], ".!?") {
		s += "."
	}
	return s
}
