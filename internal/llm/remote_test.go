package llm_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// providers are all clients that speak to a server, by the format that they speak.
func providers() map[string]struct {
	dialect llmtest.Dialect
	open    llmtest.Opener
} {
	type provider = struct {
		dialect llmtest.Dialect
		open    llmtest.Opener
	}
	return map[string]provider{
		"OpenAI": {llmtest.OpenAI, func(t testing.TB, base string) llm.Client {
			return must(llm.NewOpenAI(llm.Endpoint{Key: llmtest.Key, Base: base, Model: "gpt-4.1-mini"}))(t)
		}},
		"Compatible": {llmtest.Compatible, func(t testing.TB, base string) llm.Client {
			return must(llm.NewOpenAI(llm.Endpoint{Key: llmtest.Key, Base: base, Model: "qwen3-8b-instruct"}))(t)
		}},
		"Google": {llmtest.OpenAI, func(t testing.TB, base string) llm.Client {
			return must(llm.NewGoogle(llm.Endpoint{Key: llmtest.Key, Base: base}))(t)
		}},
		"Anthropic": {llmtest.Anthropic, func(t testing.TB, base string) llm.Client {
			return must(llm.NewAnthropic(llm.Endpoint{Key: llmtest.Key, Base: base}))(t)
		}},
		"Ollama": {llmtest.Ollama, func(t testing.TB, base string) llm.Client {
			return must(llm.NewOllama(llm.Endpoint{Key: llmtest.Key, Base: base, Model: "llama3.2:3b"}))(t)
		}},
	}
}

func must(r *llm.Remote, err error) func(testing.TB) llm.Client {
	return func(t testing.TB) llm.Client {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
}

func TestRemote_KeepsThePromisesOfAClient(t *testing.T) {
	t.Parallel()
	for name, p := range providers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			llmtest.Run(t, func(t *testing.T) llm.Client {
				return p.open(t, llmtest.New(t, p.dialect, llmtest.Compliant).Base())
			})
		})
	}
}

func TestRemote_TurnsEveryFaultIntoAnError(t *testing.T) {
	t.Parallel()
	for name, p := range providers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			llmtest.RunFaults(t, p.dialect, p.open)
		})
	}
}

func TestRemote_CountsTokensOfEveryFormat(t *testing.T) {
	t.Parallel()
	for name, p := range providers() {
		if name == "Compatible" {
			continue // it counts nothing
		}
		for _, stream := range []bool{false, true} {
			t.Run(name+"/"+llmtest.Mode(stream), func(t *testing.T) {
				t.Parallel()
				s := llmtest.New(t, p.dialect, func(llmtest.Call) llmtest.Reply {
					return llmtest.Reply{Text: "Yes.", InputTokens: 123, OutputTokens: 45, Model: "the-model-that-answered"}
				})
				resp, err := p.open(t, s.Base()).Complete(t.Context(), plain(stream))
				if err != nil {
					t.Fatal(err)
				}
				if resp.Usage.InputTokens != 123 || resp.Usage.OutputTokens != 45 {
					t.Errorf("got %+v", resp.Usage)
				}
				if resp.Model != "the-model-that-answered" || resp.Provider != strings.ToLower(name) {
					t.Errorf("got model %q of %q", resp.Model, resp.Provider)
				}
				if known := name == "Ollama"; resp.Usage.CostKnown != known || resp.Usage.CostUSD != 0 {
					t.Errorf("the cost of a server that is not the provider's own is %+v", resp.Usage)
				}
			})
		}
	}
}

func plain(stream bool) llm.Request {
	req := llmtest.Requests()[0]
	if stream {
		req.OnDelta = func(string) {}
	}
	return req
}

func TestRemote_CountsReasoningThatTheCompletionLeavesOut(t *testing.T) {
	t.Parallel()
	body := `{"model":"gemini-3.8-flash","choices":[{"message":{"role":"assistant","content":"Yes."},"finish_reason":"stop"}],
		"usage":{"prompt_tokens":100,"completion_tokens":20,"total_tokens":700}}`
	s := llmtest.NewOpenAI(t, func(llmtest.Call) llmtest.Reply { return llmtest.Reply{Raw: body} })
	client, err := llm.NewGoogle(llm.Endpoint{Key: llmtest.Key, Transport: to(s)})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Complete(t.Context(), plain(false))
	if err != nil {
		t.Fatal(err)
	}
	want := llm.Usage{InputTokens: 100, OutputTokens: 600, CostUSD: (100*0.75 + 600*3.75) / 1e6, CostKnown: true}
	if resp.Usage != want {
		t.Errorf("got %+v, want %+v", resp.Usage, want)
	}
}

// to sends every request to s, whatever its host.
func to(s *llmtest.Server) http.RoundTripper {
	return roundTrip(func(req *http.Request) (*http.Response, error) {
		target, err := url.Parse(s.URL)
		if err != nil {
			return nil, err
		}
		req = req.Clone(req.Context())
		req.URL.Scheme, req.URL.Host = target.Scheme, target.Host
		return http.DefaultTransport.RoundTrip(req)
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
