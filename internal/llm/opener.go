package llm

import (
	"context"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Opener returns a function that opens any model of the providers that cfg has the keys of: what GovernConfig.Open wants. It
// does no I/O. Errors are Invalid and name the variables to set; the offline composer cannot be opened.
func Opener(cfg Config) func(Model) (Client, error) {
	return func(m Model) (Client, error) {
		switch m.Provider {
		case "openai":
			return client(NewOpenAI(cfg.OpenAI.of(m)))
		case "anthropic":
			return client(NewAnthropic(cfg.Anthropic.of(m)))
		case "google":
			return client(NewGoogle(cfg.Google.of(m)))
		case "ollama":
			return client(NewOllama(cfg.Ollama.of(m)))
		}
		return nil, fault.New(fault.Invalid, "%q is none of the providers openai, anthropic, google and ollama", m.Provider)
	}
}

func (e Endpoint) of(m Model) Endpoint {
	e.Model = m.Name
	return e
}

// CheckFallbacks returns an error for each entry of policy.Fallbacks that cannot stand in for another model, for the log of a
// start. It asks an Ollama whether the model is installed, 3 s at most, and nobody else.
func CheckFallbacks(ctx context.Context, cfg Config, fallbacks []string) []error {
	open := Opener(cfg)
	var unusable []error
	for _, entry := range fallbacks {
		m, err := ParseModel(entry)
		if err == nil {
			_, err = open(m)
		}
		if err == nil && m.Provider == "ollama" {
			_, err = selectOllama(ctx, cfg.Ollama.of(m), askedTimeout)
		}
		if err != nil {
			unusable = append(unusable, fault.New(fault.Invalid, "%s cannot stand in: %w", entry, err))
		}
	}
	return unusable
}
