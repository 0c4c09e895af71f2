package main

import (
	"fmt"
	"strings"

	"github.com/toolboxai/orchestrator/internal/breaker"
	"github.com/toolboxai/orchestrator/internal/callback"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/mcpclient"
	"github.com/toolboxai/orchestrator/workers/agents/ask"
)

// mcpServers returns the MCP servers whose tools agents may call, and the exceptions from the rule that these are public.
func (c Config) mcpServers() ([]mcpclient.Server, *callback.Allow, error) {
	allow, err := callback.ParseAllow(strings.Join(c.MCPAllow, ","))
	if err != nil {
		return nil, nil, fmt.Errorf("MCP_ALLOW: %w", err)
	}
	servers, err := mcpclient.ParseServers(c.MCPServers, allow)
	if err != nil {
		return nil, nil, fmt.Errorf("MCP_SERVERS %w", err)
	}
	return servers, allow, nil
}

// equip returns client with the tools that are configured, or as it is when there are none, and what closes them.
func (s *system) equip(client llm.Client, breakers *breaker.Registry) (llm.Client, func(), error) {
	servers, allow, err := s.cfg.mcpServers()
	if err != nil {
		return nil, nil, &usageError{err}
	}
	if len(servers) == 0 {
		return client, func() {}, nil
	}
	tools, err := mcpclient.New(mcpclient.Config{Servers: servers, Allow: allow, Breakers: breakers, Version: version, Logger: s.logger})
	if err != nil {
		return nil, nil, err
	}
	return ask.WithTools(client, tools), tools.Close, nil
}
