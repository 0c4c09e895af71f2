// Package agents lists our agents. Each kind has a folder with its schemas, its versioned prompts, its steps and its rules; a
// new kind is one more folder and one more line in All.
package agents

import (
	"fmt"

	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/agents/analytics"
	"github.com/toolboxai/orchestrator/workers/agents/asset"
	"github.com/toolboxai/orchestrator/workers/agents/codereview"
	"github.com/toolboxai/orchestrator/workers/agents/content"
	"github.com/toolboxai/orchestrator/workers/agents/quiz"
	"github.com/toolboxai/orchestrator/workers/agents/robloxtesting"
	"github.com/toolboxai/orchestrator/workers/agents/script"
	"github.com/toolboxai/orchestrator/workers/agents/terrain"
)

// All returns an agent of every kind, in the order in which they are shown. They share client, which must be safe for
// concurrent use.
func All(client llm.Client) ([]workers.Agent, error) {
	var all []workers.Agent
	for _, open := range []func(llm.Client) (workers.Agent, error){
		content.New,
		quiz.New,
		terrain.New,
		script.New,
		codereview.New,
		asset.New,
		robloxtesting.New,
		analytics.New,
	} {
		agent, err := open(client)
		if err != nil {
			return nil, fmt.Errorf("agents: %w", err)
		}
		all = append(all, agent)
	}
	return all, nil
}
