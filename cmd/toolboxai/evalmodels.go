package main

import (
	"context"
	"fmt"

	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/composer"
	"github.com/toolboxai/orchestrator/internal/policy"
)

// models returns the clients to evaluate, each behind limits of its own: those of its provider are waited out as in a worker.
func (c *evalCommand) models(ctx context.Context, cfg Config) ([]llm.Client, error) {
	if len(c.Model) == 0 {
		client, err := llm.Select(ctx, cfg.models())
		if err != nil {
			return nil, err
		}
		own, err := cfg.modelKinds()
		if err != nil {
			return nil, err
		}
		governed, err := alone(cfg, client, own)
		return []llm.Client{governed}, err
	}
	clients := make([]llm.Client, 0, len(c.Model))
	for _, name := range c.Model {
		client, err := openModel(cfg, name)
		if err == nil {
			client, err = alone(cfg, client, nil)
		}
		if err != nil {
			return nil, fmt.Errorf("--model %s: %w", name, err)
		}
		clients = append(clients, client)
	}
	return clients, nil
}

func openModel(cfg Config, name string) (llm.Client, error) {
	if name == composer.Provider || name == composer.Provider+"/"+composer.Model {
		return composer.New(), nil
	}
	m, err := llm.ParseModel(name)
	if err != nil {
		return nil, err
	}
	return llm.Opener(cfg.models())(m)
}

// alone governs a client whose calls nobody else counts, under a policy without limits.
func alone(cfg Config, client llm.Client, own llm.Kinds) (llm.Client, error) {
	meter, err := llm.NewLocalMeter(llm.LocalConfig{})
	if err != nil {
		return nil, err
	}
	return llm.Govern(llm.GovernConfig{
		Client: client, Open: llm.Opener(cfg.models()), Meter: meter, Policy: func() policy.Policy { return policy.Policy{} }, Kinds: own,
	})
}
