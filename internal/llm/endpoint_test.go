package llm_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
)

func TestRemote_KeepsTheKeyToItself(t *testing.T) {
	t.Parallel()
	e := llm.Endpoint{Key: llmtest.Key, Model: "m", Base: "http://127.0.0.1:1"}
	client, err := llm.NewOpenAI(e)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(llm.Config{OpenAI: e})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		client.Describe(), fmt.Sprintf("%v %+v %#v", client, client, client), fmt.Sprintf("%v %+v %#v", e, e, e),
		fmt.Sprintf("%v %+v %#v", llm.Config{OpenAI: e}, llm.Config{OpenAI: e}, llm.Config{OpenAI: e}), string(encoded),
	} {
		if strings.Contains(s, llmtest.Key) {
			t.Errorf("the key is in %q", s)
		}
	}
}

func TestRemote_KeepsMaskedKeysToItself(t *testing.T) {
	t.Parallel()
	for words, want := range map[string]string{
		"Incorrect API key provided: " + llmtest.Key[:8] + "***" + llmtest.Key[len(llmtest.Key)-4:]: "openai answered 401 (invalid_api_key)",
		"User location is not supported": "openai answered 401 (invalid_api_key): User location is not supported",
	} {
		s := llmtest.NewOpenAI(t, func(llmtest.Call) llmtest.Reply {
			return llmtest.Reply{Status: 401, Raw: `{"error":{"code":"invalid_api_key","message":"` + words + `"}}`}
		})
		client, err := llm.NewOpenAI(llm.Endpoint{Key: llmtest.Key, Base: s.Base()})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = client.Complete(t.Context(), plain(false)); err == nil || err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	}
}

func TestRemote_TakesNothingFromTheEnvironment(t *testing.T) {
	for name, value := range map[string]string{
		"OPENAI_API_KEY": "sk-of-the-environment", "OPENAI_BASE_URL": "http://127.0.0.1:1", "OPENAI_API_BASE": "http://127.0.0.1:1",
		"OPENAI_MODEL": "model-of-the-environment", "OPENAI_ORGANIZATION": "org-of-the-environment",
	} {
		t.Setenv(name, value)
	}
	s := llmtest.NewOpenAI(t, llmtest.Compliant)
	client, err := llm.NewOpenAI(llm.Endpoint{Base: s.Base()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Complete(t.Context(), plain(false)); err != nil {
		t.Fatal(err)
	}
	call := s.Calls()[0]
	if call.Model != "gpt-6-luna" || call.Header.Get("Authorization") != "Bearer none" || call.Header.Get("OpenAI-Organization") != "" {
		t.Errorf("got model %q and headers %v", call.Model, call.Header)
	}
}

func TestNew_RefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, want string
		open       func(llm.Endpoint) (*llm.Remote, error)
		e          llm.Endpoint
	}{
		{"NoOpenAIKey", "OPENAI_API_KEY is not set", llm.NewOpenAI, llm.Endpoint{}},
		{"NoAnthropicKey", "ANTHROPIC_API_KEY is not set", llm.NewAnthropic, llm.Endpoint{Key: " \n"}},
		{"NoGoogleKey", "GOOGLE_API_KEY is not set", llm.NewGoogle, llm.Endpoint{}},
		{"KeyWithABreak", "OPENAI_API_KEY holds a character", llm.NewOpenAI, llm.Endpoint{Key: "sk-1\nsk-2"}},
		{"BaseWithoutAScheme", "OPENAI_API_BASE is no URL", llm.NewOpenAI, llm.Endpoint{Base: "localhost:8000"}},
		{"BaseWithAPassword", "OPENAI_API_BASE is no URL", llm.NewOpenAI, llm.Endpoint{Base: "https://me:secret@host/v1"}},
		{"BaseWithAQuery", "OPENAI_API_BASE is no URL", llm.NewOpenAI, llm.Endpoint{Base: "https://host/v1?key=secret"}},
		{"NoOllamaModel", "OLLAMA_MODEL", llm.NewOllama, llm.Endpoint{}},
		{"OllamaHostOfAnotherSort", "OLLAMA_HOST is neither", llm.NewOllama, llm.Endpoint{Base: "unix:///run/ollama.sock", Model: "m"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := c.open(c.e)
			if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want an Invalid fault that says %q", err, c.want)
			}
		})
	}
}

func TestRemote_RefusesAnEmptyPrompt(t *testing.T) {
	t.Parallel()
	client, err := llm.NewOpenAI(llm.Endpoint{Base: "http://127.0.0.1:1", Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Complete(t.Context(), llm.Request{System: "You write."}); !fault.Is(err, fault.Invalid) {
		t.Errorf("got %v", err)
	}
}
