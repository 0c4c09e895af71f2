package api_test

import (
	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/internal/agentcontext"
)

// newContexts keeps agent contexts in memory.
func newContexts() api.AgentContexts {
	s, err := agentcontext.NewService(agentcontext.Config{Store: &agentcontext.Memory{}})
	if err != nil {
		panic(err)
	}
	return s
}
