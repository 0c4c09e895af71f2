package lesson

import (
	"strings"

	"github.com/toolboxai/orchestrator/workers/agents/quality"
)

// Prose returns what a student reads of a question in sentences: not its options, which are mostly single words. A matching and an ordering
// have none: they name and explain a list.
func (q Question) Prose() string {
	if q.Type == Matching || q.Type == Ordering {
		return ""
	}
	return q.Text + "\n\n" + q.Explanation
}

// Reading rates how hard questions are to read; given are the teacher's own words.
func Reading(questions []Question, given []string) quality.Reading {
	texts := make([]string, len(questions))
	for i, q := range questions {
		texts[i] = q.Prose()
	}
	return quality.Read(strings.Join(texts, "\n\n"), given...)
}
