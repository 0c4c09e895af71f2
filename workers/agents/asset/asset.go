// Package asset is the agent for Roblox assets. It makes a plan that a person, or a client of Open Cloud, can carry out: checked metadata, the
// request that the Assets API would get, what Roblox's published limits say about the file, and what is left to do by hand.
//
// It sends nothing. Which action is taken, on which asset, and the request itself follow from the input alone; a model writes names,
// descriptions and advice, and is refused when it speaks of an asset that the input does not name or claims that something was done.
package asset

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

// New returns the agent of kind roblox_asset.
func New(client llm.Client) (workers.Agent, error) {
	return ask.NewAgent(client, files, promptVersion, task.Kind{
		Name:        "roblox_asset",
		Aliases:     []string{"manage_asset"},
		Title:       "Roblox asset",
		Description: "Plans how an asset is created, updated, archived or assessed on Roblox, and holds it against Roblox's limits. Sends nothing.",
		Routes:      []string{"/agents/roblox/asset"},
	}, work)
}

type planInput struct {
	Request Request `json:"request"`
}

func work(ctx context.Context, run *workers.Run, author *ask.Author, in Input) (Result, error) {
	req, err := in.request()
	if err != nil {
		return Result{}, err
	}
	advice, err := ask.Ask(ctx, run, author, ask.Question[Advice]{
		Prompt: "plan", Input: planInput{req}, Doing: "Describing the asset", From: 10, To: 85, Length: 1800, MaxTokens: 3000,
		Creative: 0.4, Code: req.given(), Check: func(v *Advice) []fault.Detail { return checkAdvice(req, v) },
	})
	if err != nil {
		return Result{}, err
	}
	run.Progress(ctx, 95, "Checking the asset against the limits")
	return assemble(req, advice), nil
}
