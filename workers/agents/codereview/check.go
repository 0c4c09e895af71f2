package codereview

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/workers/agents/lesson"
	"github.com/toolboxai/orchestrator/workers/agents/quality"
)

// Bounds of texts, in characters, as output.schema.json has them.
const (
	maxMessage    = 1000
	maxSuggestion = 2000
)

// Answer is what the model says.
type Answer struct {
	Summary   string   `json:"summary"`
	Strengths []string `json:"strengths"`
	Issues    []Issue  `json:"issues"`
}

// checkAnswer tidies an answer and says what is wrong with it.
func checkAnswer(req Request, a *Answer) []fault.Detail {
	var details []fault.Detail
	broken := func(field, format string, args ...any) {
		details = append(details, fault.Detail{Field: field, Reason: fmt.Sprintf(format, args...)})
	}
	text := func(field, s string) string {
		if s = tidy(s); s == "" {
			broken(field, "is blank")
		}
		details = append(details, quality.Safe(field, s)...)
		return s
	}
	a.Summary = text("answer.summary", a.Summary)
	a.Strengths = lesson.CleanAll(a.Strengths)
	for i, s := range a.Strengths {
		details = append(details, quality.Safe(fmt.Sprintf("answer.strengths[%d]", i), s)...)
	}
	lines := len(req.lines())
	for i := range a.Issues {
		issue, at := &a.Issues[i], fmt.Sprintf("answer.issues[%d]", i)
		issue.Source, issue.Rule = byModel, ""
		issue.Message = text(at+".message", issue.Message)
		issue.Suggestion = text(at+".suggestion", issue.Suggestion)
		if issue.Line < 1 || issue.Line > lines {
			broken(at+".line", "is %d, but the code has the lines 1 to %d", issue.Line, lines)
		}
	}
	return details
}

// tidy removes what cannot be seen from a text, which keeps its lines.
func tidy(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsGraphic(r) {
			return r
		}
		return -1
	}, s))
}

func clip(s string, n int) string { return lesson.Clip(s, n) }
