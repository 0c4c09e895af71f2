package main

import (
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/events"
)

func TestPrintRefused_ShowsTheTextAndNoTerminalCommands(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	printRefused(&b, []events.Refusal{{
		Attempt: 1, Step: "draft_1", Round: 2, GeneratedBy: "openai/m", PromptVersion: "quiz/1", More: 3, Bytes: 900,
		Reasons: []events.Reason{{Field: "answer.questions", Reason: "has 2 questions, must have exactly 3"}}, Text: "one\x1b[2J\ntwo\u202e",
	}})
	want := `refused      attempt 1, step draft_1, round 2 by openai/m (prompt quiz/1):
  - answer.questions: has 2 questions, must have exactly 3
  - and 3 more
  | one\x1b[2J
  | two\u202e
  | … 886 more bytes
`
	if b.String() != want {
		t.Errorf("%s\nwant\n%s", b.String(), want)
	}
}
