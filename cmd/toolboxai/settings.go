package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/composer"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/nats"
)

const (
	// drainMargin is how much longer the router waits than the subscriber drains: what is cut off then still has to settle.
	drainMargin = 15 * time.Second
	// recordBatch is how many events one transaction of the recorder holds at most.
	recordBatch = 4000
	// devLease is how long a dispatcher that was killed keeps the next one out where both run on one machine.
	devLease = 3 * time.Second
	// notifyWait is how long the notifier waits for more events before it sends what it has: subscribers are watching.
	notifyWait = 10 * time.Millisecond
)

func (c Config) agentTimeout() time.Duration { return time.Duration(c.AgentTimeout) * time.Second }

// writePatience returns how long a worker holds on to what it paid for while the broker is away: for most of the time after which its task is
// given to another, up to half a minute.
func (c Config) writePatience() time.Duration {
	return max(task.Patience, min(30*time.Second, c.TaskAckWait*2/3))
}

// models returns the models that may be chosen from.
func (c Config) models() llm.Config {
	return llm.Config{
		Provider:   c.LLMProvider,
		OpenAI:     llm.Endpoint{Key: c.OpenAIKey, Model: c.OpenAIModel, Base: c.OpenAIBase},
		Anthropic:  llm.Endpoint{Key: c.AnthropicKey, Model: c.AnthropicModel, Base: c.AnthropicBase},
		Google:     llm.Endpoint{Key: c.GoogleKey, Model: c.GoogleModel},
		Ollama:     llm.Endpoint{Base: c.OllamaHost, Model: c.OllamaModel},
		Embedding:  c.EmbeddingModel,
		Offline:    composer.New(),
		Production: c.production(),
	}
}

// modelKinds returns what models and temperatures kinds have of their own.
func (c Config) modelKinds() (llm.Kinds, error) {
	all, err := kinds()
	if err != nil {
		return nil, err
	}
	return llm.ParseKinds(c.LLMKinds, names(all))
}

// checkModels says what is wrong with the models of single kinds, with that of embeddings, and with the kinds that tools are for.
func (c Config) checkModels() error {
	if _, err := c.modelKinds(); err != nil {
		return err
	}
	if _, err := llm.SelectEmbedder(c.models()); err != nil {
		return err
	}
	servers, _, err := c.mcpServers()
	if err != nil {
		return err
	}
	all, err := kinds()
	if err != nil {
		return err
	}
	known := names(all)
	for _, server := range servers {
		for _, kind := range server.Kinds {
			if !slices.Contains(known, kind) {
				return fmt.Errorf("MCP_SERVERS server %q: there is no kind %q, there are %s", server.Name, kind, strings.Join(known, ", "))
			}
		}
	}
	return nil
}

// topology returns how streams and consumers are to be.
func (c Config) topology(kinds []string) nats.Topology {
	t := nats.Topology{Kinds: kinds, Replicas: c.NATSReplicas, TasksMaxMsgs: c.TaskQueueLimit, AckWait: c.TaskAckWait}
	if c.dev {
		t.LeaseTTL = devLease
	}
	return t
}
