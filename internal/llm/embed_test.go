package llm_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
)

// embedders are all that speak to a server, by their provider.
func embedders() map[string]struct {
	dialect llmtest.Dialect
	open    llmtest.EmbedOpener
} {
	type remote = struct {
		dialect llmtest.Dialect
		open    llmtest.EmbedOpener
	}
	out := map[string]remote{}
	for provider, dialect := range map[string]llmtest.Dialect{"openai": llmtest.OpenAI, "google": llmtest.OpenAI, "ollama": llmtest.Ollama} {
		out[provider] = remote{dialect, func(t testing.TB, base string) llm.Embedder {
			at := llm.Endpoint{Key: llmtest.Key, Base: base}
			e, err := llm.NewRemoteEmbedder(llm.Config{OpenAI: at, Google: at, Ollama: at}, llm.Model{Provider: provider, Name: "embeds"})
			if err != nil {
				t.Fatal(err)
			}
			return e
		}}
	}
	return out
}

func TestEmbedder_KeepsItsPromises(t *testing.T) {
	t.Parallel()
	t.Run("offline", func(t *testing.T) {
		t.Parallel()
		llmtest.RunEmbedder(t, func(*testing.T) llm.Embedder { return llm.OfflineEmbedder{} })
	})
	for name, e := range embedders() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			llmtest.RunEmbedder(t, func(t *testing.T) llm.Embedder {
				return e.open(t, llmtest.New(t, e.dialect, llmtest.Say("")).Base())
			})
			llmtest.RunEmbedFaults(t, e.dialect, e.open)
		})
	}
}

func TestRemoteEmbedder_CutsAndCounts(t *testing.T) {
	t.Parallel()
	s := llmtest.NewOpenAI(t, func(llmtest.Call) llmtest.Reply { return llmtest.Reply{InputTokens: 1_000_000} })
	e, err := llm.NewRemoteEmbedder(llm.Config{OpenAI: llm.Endpoint{Key: llmtest.Key, Transport: to(s)}}, llm.Model{Provider: "openai", Name: "text-embedding-3-small"})
	if err != nil {
		t.Fatal(err)
	}
	_, usage, err := e.Embed(t.Context(), []string{strings.Repeat("é", 5000)})
	if want := (llm.Usage{InputTokens: 1_000_000, CostUSD: 0.02, CostKnown: true}); err != nil || usage != want {
		t.Errorf("%+v, %v", usage, err)
	}
	call := s.Calls()[0]
	if call.Path != "/v1/embeddings" || call.Model != "text-embedding-3-small" || call.Texts[0] != strings.Repeat("é", llm.MaxEmbedText/2) ||
		call.Header.Get("Authorization") != "Bearer "+llmtest.Key {
		t.Errorf("%s of %s with %d bytes", call.Path, call.Model, len(call.Texts[0]))
	}
}

func TestRemoteEmbedder_TakesTheOrderWhereNothingIsNumbered(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"NoIndex":    `{"data":[{"embedding":[1,0]},{"embedding":[0,2]}]}`,
		"AlwaysZero": `{"data":[{"index":0,"embedding":[1,0]},{"index":0,"embedding":[0,2]}]}`,
		"Reversed":   `{"data":[{"index":1,"embedding":[0,2]},{"index":0,"embedding":[1,0]}]}`,
	} {
		s := llmtest.NewOpenAI(t, func(llmtest.Call) llmtest.Reply { return llmtest.Reply{Raw: raw} })
		v, usage, err := embedders()["openai"].open(t, s.Base()).Embed(t.Context(), []string{"a", "b"})
		if err != nil || v[0][0] != 1 || v[1][1] != 1 || usage.CostKnown {
			t.Errorf("%s: %v, %+v, %v", name, v, usage, err)
		}
	}
}

func TestOfflineEmbedder_TellsNearDuplicates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b     string
		min, max float64
	}{
		{"A quiz about photosynthesis for grade 5", "a quiz about Photosynthesis, for grade 5!", 0.999, 1.001},
		{"A quiz about photosynthesis in plants for grade 5", "A quiz for grade 5 about photosynthesis in plants", 0.8, 0.999},
		{"A quiz about photosynthesis for grade 5", "A quiz about photosynthesis for grade 6", 0, 0.85},
		{"A quiz about photosynthesis for grade 5", "A lesson on the Roman empire", -0.3, 0.3},
		{"Ein Quiz über Vulkane", "Ein Quiz über den Vulkan", 0.4, 0.95},
	} {
		v, _, err := llm.OfflineEmbedder{}.Embed(t.Context(), []string{c.a, c.b})
		if err != nil {
			t.Fatal(err)
		}
		if got := llmtest.Cosine(v[0], v[1]); got < c.min || got > c.max {
			t.Errorf("%q and %q: %.3f, want %v to %v", c.a, c.b, got, c.min, c.max)
		}
	}
}

// The name hash-1 stands for its rules: vectors that are stored must not change under it.
func TestOfflineEmbedder_IsWhatItsNameSays(t *testing.T) {
	t.Parallel()
	v, _, err := llm.OfflineEmbedder{}.Embed(t.Context(), []string{"A quiz about photosynthesis, grade 5: leaves and leaves – 空"})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	for _, f := range v[0] {
		_ = binary.Write(sum, binary.BigEndian, int32(math.Round(float64(f)*1e5)))
	}
	const want = "333aceabbb7f555f"
	if got := hex.EncodeToString(sum.Sum(nil))[:16]; got != want {
		t.Errorf("got %s, want %s: vectors have changed, so the model needs another name", got, want)
	}
}

func TestOfflineEmbedder_Property(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(1, 200, -1).Filter(func(s string) bool { return strings.TrimSpace(s) != "" }).Draw(t, "text")
		if strings.TrimSpace(strings.ToValidUTF8(text, "")) == "" {
			return
		}
		v, _, err := llm.OfflineEmbedder{}.Embed(t.Context(), []string{text, text})
		if err != nil || len(v[0]) != 512 || math.Abs(llmtest.Cosine(v[0], v[1])-1) > 1e-4 {
			t.Fatalf("%v for %q", err, text)
		}
	})
}

func TestSelectEmbedder(t *testing.T) {
	t.Parallel()
	key := llm.Endpoint{Key: llmtest.Key}
	for _, c := range []struct {
		name string
		cfg  llm.Config
		want string // the model, or part of the error
	}{
		{"Nothing", llm.Config{}, "offline/hash-1"},
		{"ByTheKey", llm.Config{OpenAI: key}, "openai/text-embedding-3-small"},
		{"OpenAIBeforeGoogle", llm.Config{OpenAI: key, Google: key}, "openai/text-embedding-3-small"},
		{"GooglesKey", llm.Config{Google: key}, "google/gemini-embedding-001"},
		{"AnthropicHasNone", llm.Config{Anthropic: key, Google: key}, "offline/hash-1"},
		{"AnotherServer", llm.Config{OpenAI: llm.Endpoint{Base: "http://127.0.0.1:1234/v1"}}, "offline/hash-1"},
		{"OfflineBesideAKey", llm.Config{Provider: "offline", OpenAI: key}, "offline/hash-1"},
		{"Named", llm.Config{Provider: "anthropic", Anthropic: key, OpenAI: key, Embedding: "openai/text-embedding-3-large"}, "openai/text-embedding-3-large"},
		{"NamedOffline", llm.Config{OpenAI: key, Embedding: "offline"}, "offline/hash-1"},
		{"NamedOfOllama", llm.Config{Embedding: "ollama/nomic-embed-text"}, "ollama/nomic-embed-text"},
		{"NamedOfAnotherServer", llm.Config{OpenAI: llm.Endpoint{Base: "http://h/v1"}, Embedding: "openai/bge-m3"}, "openai/bge-m3"},
		{"Anthropic", llm.Config{Anthropic: key, Embedding: "anthropic/claude"}, "EMBEDDING_MODEL names anthropic, which has no embeddings"},
		{"WithoutAKey", llm.Config{Embedding: "openai/text-embedding-3-small"}, "OPENAI_API_KEY is not set"},
		{"AnotherProvider", llm.Config{Embedding: "cohere/embed"}, `EMBEDDING_MODEL names "cohere"`},
		{"NoModel", llm.Config{Embedding: "openai"}, `EMBEDDING_MODEL is "openai"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e, err := llm.SelectEmbedder(c.cfg)
			switch {
			case err != nil && (!fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %s", err, c.want)
			case err == nil && e.EmbeddingModel().String() != c.want:
				t.Errorf("got %s, want %s", e.EmbeddingModel(), c.want)
			}
		})
	}
}
