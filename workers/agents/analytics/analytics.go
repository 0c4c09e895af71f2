// Package analytics is the agent for figures from places and classes: who learns what, how players behave, how a place runs.
//
// All figures are computed here, by the formulas that their functions name. A model gets the figures, never the records, and writes what they
// mean: each number in its words must be one of them, and each insight names those that it rests on, or the answer is refused with the sentence
// that breaks the rule. Names and ids of people never reach the model: it reads of "student 1", and only the tables of the result, which are
// made here, say who that is.
package analytics

import (
	"context"
	"embed"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/agents/ask"
)

//go:embed *.json prompts
var files embed.FS

// promptVersion is raised with every change of a prompt or of a step's schema.
const promptVersion = 1

// The types of data.
const (
	PlayerBehavior = "player_behavior"
	Performance    = "performance"
	Learning       = "learning"
)

// New returns the agent of kind roblox_analytics.
func New(client llm.Client) (workers.Agent, error) {
	return ask.NewAgent(client, files, promptVersion, task.Kind{
		Name:        "roblox_analytics",
		Aliases:     []string{"analyze_data"},
		Title:       "Roblox analytics",
		Description: "Computes figures, tables and charts from records of players, performance or learning, and says what they mean.",
		Routes:      []string{"/agents/roblox/analytics"},
	}, work)
}

type reportInput struct {
	Request Request `json:"request"`
}

func work(ctx context.Context, run *workers.Run, author *ask.Author, in Input) (Result, error) {
	run.Progress(ctx, 5, "Computing the figures")
	study, err := compute(in)
	if err != nil {
		return Result{}, err
	}
	req := study.request()
	report, err := ask.Ask(ctx, run, author, ask.Question[Report]{
		Prompt: "report", Input: reportInput{req}, Doing: "Writing what the figures mean", From: 15, To: 90, Length: 3000, MaxTokens: 4000,
		Creative: 0.2, Check: func(r *Report) []fault.Detail { return checkReport(req, r) },
	})
	if err != nil {
		return Result{}, err
	}
	run.Progress(ctx, 95, "Drawing the charts")
	return assemble(study, report), nil
}
