package llm

import (
	"strings"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// What SelectEmbedder takes of each provider that has embeddings and is not told which.
const (
	openaiEmbedding = "text-embedding-3-small"
	googleEmbedding = "gemini-embedding-001"
)

// SelectEmbedder returns the Embedder of cfg.Embedding (EMBEDDING_MODEL): "provider/model" of openai, google or ollama, or
// "offline". Where that is empty it goes with the provider that answers (LLM_PROVIDER, else the key that is set): OpenAI's
// text-embedding-3-small, Google's gemini-embedding-001, and the offline embedder for everything else: Anthropic has no embeddings,
// and of Ollama and other servers nobody knows which model they have. It does no I/O.
//
// The choice is made once: an embedder that fails is not replaced, because vectors of two models cannot be compared. Errors are
// Invalid and name the variables to set.
func SelectEmbedder(cfg Config) (Embedder, error) {
	switch named := strings.TrimSpace(cfg.Embedding); named {
	case "":
		return embedderOf(cfg)
	case offlineProvider, offlineProvider + "/" + hashModel:
		return OfflineEmbedder{}, nil
	default:
		m, err := ParseModel(named)
		if err != nil {
			return nil, fault.InvalidField("EMBEDDING_MODEL", "is %q, neither provider/model nor offline", clip(named, 100))
		}
		return embedder(NewRemoteEmbedder(cfg, m))
	}
}

func embedderOf(cfg Config) (Embedder, error) {
	openai := cfg.OpenAI.Key != "" && (cfg.OpenAI.Base == "" || cfg.OpenAI.Base == openaiBase)
	switch {
	case openai && (cfg.Provider == "openai" || cfg.Provider == ""):
		return embedder(NewRemoteEmbedder(cfg, Model{"openai", openaiEmbedding}))
	case cfg.Provider == "google", cfg.Provider == "" && answers(cfg) == "google":
		return embedder(NewRemoteEmbedder(cfg, Model{"google", googleEmbedding}))
	}
	return OfflineEmbedder{}, nil
}

// answers is the provider that selectPresent takes by its key or base.
func answers(cfg Config) string {
	switch {
	case cfg.OpenAI.Key != "" || cfg.OpenAI.Base != "":
		return "openai"
	case cfg.Anthropic.Key != "":
		return "anthropic"
	case cfg.Google.Key != "":
		return "google"
	}
	return ""
}

// embedder keeps a nil *RemoteEmbedder from becoming an Embedder that is not nil.
func embedder(e *RemoteEmbedder, err error) (Embedder, error) {
	if err != nil {
		return nil, err
	}
	return e, nil
}
