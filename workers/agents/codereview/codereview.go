// Package codereview is the agent that reviews source code: fixed rules read it first, then one call to a model looks for what
// rules cannot see.
//
// What the rules find (package vet; Luau, and Lua as far as it parses as Luau) stands in the result whatever the model says. A
// finding of severity Deny is critical or high, one of severity Flag medium or low, see gravity. A model's issue about the same
// thing on the same line is dropped in favour of the rule's.
//
// The score begins at 100 and loses for every issue
//
//	critical  45
//	high      26
//	medium     8
//	low        3
//	info       0
//
// down to 0. Of one rule, and of the model's issues of one severity and category, at most three count, so that a habit is not
// taken for many faults. 90 and above is excellent, 75 good, 60 fair, and less poor: one critical issue makes code poor, and a high
// one keeps it from being good.
//
// A review of type security lists the category security, one of type performance the category performance, and a comprehensive
// one every category. That the code does not parse stands in each.
package codereview

import (
	"context"
	"embed"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/roblox/luau/vet"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/agents/ask"
)

//go:embed *.json prompts
var files embed.FS

// promptVersion is raised with every change of a prompt or of a step's schema.
const promptVersion = 1

// New returns the agent of kind code_review.
func New(client llm.Client) (workers.Agent, error) { return newAgent(client, vet.Check) }

// check is vet.Check, or what a test puts in its place.
type check func(source string, where vet.Context) []vet.Finding

func newAgent(client llm.Client, rules check) (workers.Agent, error) {
	return ask.NewAgent(client, files, promptVersion, task.Kind{
		Name:        "code_review",
		Aliases:     []string{"code_reviewer", "review_code", "review"},
		Title:       "Code review",
		Description: "Reviews source code by fixed rules and by a model, with a score that is computed from what was found.",
		Routes:      []string{"/agents/code/review"},
	}, func(ctx context.Context, run *workers.Run, author *ask.Author, in Input) (Result, error) {
		req, err := in.request()
		if err != nil {
			return Result{}, err
		}
		found := look(req, rules)
		answer, err := ask.Ask(ctx, run, author, ask.Question[Answer]{
			Prompt: "review", Input: question{req, found.Issues}, Doing: "Reviewing the code", From: 10, To: 90, Length: 4000,
			MaxTokens: 8000, Creative: 0.1, Check: func(a *Answer) []fault.Detail { return checkAnswer(req, a) },
		})
		if err != nil {
			return Result{}, err
		}
		run.Progress(ctx, 95, "Working out the score")
		return assemble(req, found, answer), nil
	})
}
