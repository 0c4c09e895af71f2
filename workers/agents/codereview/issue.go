package codereview

import (
	"cmp"
	"slices"
	"strings"

	"github.com/toolboxai/orchestrator/workers/agents/lesson"
)

// Severity says how grave an issue is.
type Severity string

// The severities.
const (
	Critical Severity = "critical"
	High     Severity = "high"
	Medium   Severity = "medium"
	Low      Severity = "low"
	Info     Severity = "info"
)

// severities from the gravest on.
var severities = []Severity{Critical, High, Medium, Low, Info}

// Who found an issue.
const (
	byRule  = "rule"
	byModel = "model"
)

// Issue is one place in the code that should change.
type Issue struct {
	Severity   Severity `json:"severity"`
	Category   string   `json:"category"`
	Message    string   `json:"message"`
	Line       int      `json:"line"`
	Suggestion string   `json:"suggestion"`
	Source     string   `json:"source"` // "rule" or "model"
	Rule       string   `json:"rule,omitempty"`
}

// everyday words stand in the issues of any subject. Each stands between spaces, cut as lesson.Words does.
const everyday = " call called calls code script line client server player value values functi variab servic roblox anybod someth should " +
	"instea runs game check checks data "

// subject returns the words that say what an issue is about.
func (i Issue) subject() []string {
	return slices.DeleteFunc(lesson.Words(i.Message+" "+i.Rule), func(w string) bool { return strings.Contains(everyday, " "+w+" ") })
}

// same reports whether two issues are about the same thing on the same line.
func (i Issue) same(o Issue) bool {
	if i.Line != o.Line {
		return false
	}
	words := o.subject()
	return slices.ContainsFunc(i.subject(), func(w string) bool { return slices.Contains(words, w) })
}

// merge puts the model's issues behind those of the rules, without those that say again what a rule or the model said, and returns
// all with the gravest first.
func merge(rules, model []Issue) []Issue {
	all := slices.Clone(rules)
	for _, issue := range model {
		again := func(o Issue) bool {
			if o.Source == byRule {
				return issue.same(o)
			}
			return issue.Line == o.Line && issue.Message == o.Message
		}
		if !slices.ContainsFunc(all, again) {
			all = append(all, issue)
		}
	}
	slices.SortStableFunc(all, func(a, b Issue) int {
		return cmp.Or(cmp.Compare(slices.Index(severities, a.Severity), slices.Index(severities, b.Severity)), cmp.Compare(a.Line, b.Line))
	})
	return all
}
