package llm_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
)

// offline stands for the composer.
type offline struct{}

func (offline) Complete(context.Context, llm.Request) (llm.Response, error) {
	return llm.Response{Text: "{}", Provider: "offline", Model: "composer", Offline: true, Usage: llm.Usage{CostKnown: true}}, nil
}
func (offline) Describe() string { return "offline composer" }

// nowhere is the Transport of an Ollama that is not running.
var nowhere = roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") })

func TestSelect_TakesTheFirstThatIsThere(t *testing.T) {
	t.Parallel()
	local := llmtest.New(t, llmtest.Ollama, llmtest.Compliant)
	local.Install("nomic-embed-text:latest", "qwen2.5:7b", "llama3.2:3b")
	empty := llmtest.New(t, llmtest.Ollama, llmtest.Compliant)
	empty.Install("nomic-embed-text:latest")
	key := llm.Endpoint{Key: llmtest.Key}
	for _, c := range []struct {
		name string
		cfg  llm.Config
		want string
	}{
		{"OpenAIBeforeTheOthers", llm.Config{OpenAI: key, Anthropic: key, Google: key}, "openai gpt-6-luna at https://api.openai.com/v1"},
		{"OpenAICompatibleServerWithoutAKey", llm.Config{OpenAI: llm.Endpoint{Base: "http://vllm:8000/v1/", Model: "m"}, Anthropic: key}, "openai m at http://vllm:8000/v1"},
		{"AnthropicBeforeGoogle", llm.Config{Anthropic: key, Google: key}, "anthropic claude-sonnet-5-5 at https://api.anthropic.com/v1"},
		{"GoogleBeforeOllama", llm.Config{Google: key, Ollama: llm.Endpoint{Base: local.Base()}},
			"google gemini-3.8-flash at https://generativelanguage.googleapis.com/v1beta/openai"},
		{"OllamaWithTheFirstModelThatWrites", llm.Config{Ollama: llm.Endpoint{Base: local.Base()}}, "ollama qwen2.5:7b at " + local.URL + "/v1"},
		{"OllamaWithTheModelAskedFor", llm.Config{Ollama: llm.Endpoint{Base: local.Base(), Model: "llama3.2:3b"}}, "ollama llama3.2:3b at " + local.URL + "/v1"},
		{"OfflineWithoutAnOllama", llm.Config{Ollama: llm.Endpoint{Transport: nowhere}}, "offline composer"},
		{"OfflineWithoutAnInstalledModel", llm.Config{Ollama: llm.Endpoint{Base: empty.Base()}}, "offline composer"},
		{"TheProviderAskedFor", llm.Config{Provider: "google", OpenAI: key, Google: key},
			"google gemini-3.8-flash at https://generativelanguage.googleapis.com/v1beta/openai"},
		{"AnthropicAskedFor", llm.Config{Provider: "anthropic", OpenAI: key, Anthropic: key}, "anthropic claude-sonnet-5-5 at https://api.anthropic.com/v1"},
		{"OpenAIAskedFor", llm.Config{Provider: "openai", OpenAI: llm.Endpoint{Key: llmtest.Key, Model: "gpt-4.1"}}, "openai gpt-4.1 at https://api.openai.com/v1"},
		{"OllamaAskedFor", llm.Config{Provider: "ollama", OpenAI: key, Ollama: llm.Endpoint{Base: local.Base()}}, "ollama qwen2.5:7b at " + local.URL + "/v1"},
		{"OfflineAskedFor", llm.Config{Provider: "offline", OpenAI: key}, "offline composer"},
		{"InProduction", llm.Config{Production: true, Anthropic: key}, "anthropic claude-sonnet-5-5 at https://api.anthropic.com/v1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.cfg.Offline = offline{}
			client, err := llm.Select(t.Context(), c.cfg)
			if err != nil {
				t.Fatal(err)
			}
			if got := client.Describe(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestSelect_NamesWhatToSet(t *testing.T) {
	t.Parallel()
	local := llmtest.New(t, llmtest.Ollama, llmtest.Compliant)
	absent := llm.Endpoint{Transport: nowhere}
	for _, c := range []struct {
		name string
		cfg  llm.Config
		want []string
	}{
		{"UnknownProvider", llm.Config{Provider: "openia"}, []string{"LLM_PROVIDER", `"openia"`, "anthropic"}},
		{"OpenAIWithoutAKey", llm.Config{Provider: "openai"}, []string{"OPENAI_API_KEY"}},
		{"AnthropicWithoutAKey", llm.Config{Provider: "anthropic"}, []string{"ANTHROPIC_API_KEY"}},
		{"GoogleWithoutAKey", llm.Config{Provider: "google"}, []string{"GOOGLE_API_KEY"}},
		{"OllamaThatIsNotThere", llm.Config{Provider: "ollama", Ollama: absent}, []string{"OLLAMA_HOST"}},
		{"OllamaWithoutTheModel", llm.Config{Ollama: llm.Endpoint{Base: local.Base(), Model: "gemma"}}, []string{"OLLAMA_MODEL", `"gemma"`}},
		{"ProductionWithoutAModel", llm.Config{Production: true, Ollama: absent},
			[]string{"production", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY", "OLLAMA_HOST"}},
		{"ProductionAskedForOffline", llm.Config{Production: true, Provider: "offline"}, []string{"production", "OPENAI_API_KEY"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.cfg.Offline = offline{}
			client, err := llm.Select(t.Context(), c.cfg)
			if client != nil || !fault.Is(err, fault.Invalid) {
				t.Fatalf("got %v, %v; want an Invalid fault", client, err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %s", err, want)
				}
			}
		})
	}
}

func TestSelect_NeedsAnOfflineClient(t *testing.T) {
	t.Parallel()
	if client, err := llm.Select(t.Context(), llm.Config{Provider: "offline"}); client != nil || err == nil {
		t.Errorf("got %v, %v", client, err)
	}
}

// hangs is the Transport of an Ollama that accepts connections and says nothing.
var hangs = roundTrip(func(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
})

func TestSelect_DoesNotWaitForAnOllamaThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		client, err := llm.Select(t.Context(), llm.Config{Offline: offline{}, Ollama: llm.Endpoint{Transport: hangs}})
		if err != nil || client.Describe() != "offline composer" {
			t.Errorf("got %v, %v", client, err)
		}
		if took := time.Since(began); took != 300*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}

func TestSelect_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	client, err := llm.Select(ctx, llm.Config{Offline: offline{}, Ollama: llm.Endpoint{Transport: hangs}})
	if client != nil || !fault.Is(err, fault.Canceled) {
		t.Errorf("got %v, %v", client, err)
	}
}

func TestOllamaURL(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"":                           "http://127.0.0.1:11434",
		"gpu-box":                    "http://gpu-box:11434",
		"gpu-box:8080":               "http://gpu-box:8080",
		":8080":                      "http://127.0.0.1:8080",
		"0.0.0.0":                    "http://127.0.0.1:11434",
		"0.0.0.0:8080":               "http://127.0.0.1:8080",
		"[::]:8080":                  "http://127.0.0.1:8080",
		"[::1]":                      "http://[::1]:11434",
		"http://gpu-box":             "http://gpu-box:80",
		"https://ollama.school.org/": "https://ollama.school.org:443",
		"https://host/ollama":        "https://host:443/ollama",
	} {
		if got, err := llm.OllamaURL(host); err != nil || got != want {
			t.Errorf("%q: got %q, %v; want %q", host, got, err, want)
		}
	}
}
