package api

import (
	"context"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// ListAgents implements StrictServerInterface.
func (s *Server) ListAgents(ctx context.Context, _ ListAgentsRequestObject) (ListAgentsResponseObject, error) {
	list := Agents{Agents: []AgentSummary{}}
	for _, k := range s.cfg.Catalog.Kinds() {
		list.Agents = append(list.Agents, AgentSummary{
			Kind: k.Name, Title: k.Title, Description: k.Description, Aliases: orEmpty(k.Aliases), Routes: typedRoutes(k), URL: agentURL(k),
		})
	}
	return ListAgents200JSONResponse(success(ctx, list, "ok")), nil
}

// GetAgent implements StrictServerInterface.
func (s *Server) GetAgent(ctx context.Context, r GetAgentRequestObject) (GetAgentResponseObject, error) {
	k, err := s.cfg.Catalog.Resolve(r.Kind)
	if err != nil {
		return nil, fault.New(fault.NotFound, "there is no kind %q; GET %s/agents lists them", clip(r.Kind), prefix)
	}
	return GetAgent200JSONResponse(success(ctx, Agent{
		Kind: k.Name, Title: k.Title, Description: k.Description, Aliases: orEmpty(k.Aliases), Routes: typedRoutes(k), URL: agentURL(k),
		InputSchema: k.InputSchema, OutputSchema: k.OutputSchema, Example: k.Example,
	}, "ok")), nil
}

func agentURL(k task.Kind) string { return prefix + "/agents/" + k.Name }

func typedRoutes(k task.Kind) []string {
	routes := make([]string, len(k.Routes))
	for i, r := range k.Routes {
		routes[i] = prefix + r
	}
	return routes
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
