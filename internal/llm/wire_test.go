package llm_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
)

func TestRemote_AsksAsTheModelWants(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		open        func(llm.Endpoint) (*llm.Remote, error)
		dialect     llmtest.Dialect
		model, base string
		temperature string // "" where none is sent
		limit       string
	}{
		{"OpenAI", llm.NewOpenAI, llmtest.OpenAI, "gpt-4.1", "", "0.2", `"max_completion_tokens":500`},
		{"OpenAIReasoner", llm.NewOpenAI, llmtest.OpenAI, "gpt-6-luna", "", "1", `"max_completion_tokens":16884`},
		{"OpenAIReasonerThatLangchaingoKnows", llm.NewOpenAI, llmtest.OpenAI, "gpt-5-mini", "", "", `"max_completion_tokens":16884`},
		{"Compatible", llm.NewOpenAI, llmtest.OpenAI, "mistral-small", "http://vllm:8000/v1/", "0.2", `"max_tokens":500`},
		{"CompatibleReasoner", llm.NewOpenAI, llmtest.OpenAI, "openai/o4-mini", "http://router/v1", "1", `"max_completion_tokens":16884`},
		{"Google", llm.NewGoogle, llmtest.OpenAI, "", "", "1", `"max_tokens":16884`},
		{"Anthropic", llm.NewAnthropic, llmtest.Anthropic, "claude-haiku-4-5-20251001", "", "0.2", `"max_tokens":500`},
		{"AnthropicReasoner", llm.NewAnthropic, llmtest.Anthropic, "", "", "1", `"max_tokens":16884`},
		{"Ollama", llm.NewOllama, llmtest.Ollama, "llama3.2:3b", "", "0.2", `"max_tokens":500`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := llmtest.New(t, c.dialect, llmtest.Compliant)
			client, err := c.open(llm.Endpoint{Key: llmtest.Key, Model: c.model, Base: c.base, Transport: to(s)})
			if err != nil {
				t.Fatal(err)
			}
			req := llmtest.Requests()[1]
			req.MaxTokens = 500
			if _, err := client.Complete(t.Context(), req); err != nil {
				t.Fatal(err)
			}
			call := s.Calls()[0]
			if got := fmt.Sprint(deref(call.Temperature)); got != c.temperature {
				t.Errorf("temperature is %q, want %q", got, c.temperature)
			}
			if !strings.Contains(string(call.Body), c.limit) {
				t.Errorf("the body lacks %s: %s", c.limit, call.Body)
			}
			if call.Schema == nil || !strings.Contains(string(call.Schema), `"additionalProperties":false`) {
				t.Errorf("the answer is not held to a closed schema: %s", call.Schema)
			}
			if !strings.Contains(call.System, "JSON Schema") || !strings.Contains(call.System, `"required":["title"]`) || !strings.Contains(call.System, req.System) {
				t.Errorf("the system text is %q", call.System)
			}
			if call.Prompt != req.Prompt {
				t.Errorf("the prompt is %q", call.Prompt)
			}
		})
	}
}

func deref(f *float64) any {
	if f == nil {
		return ""
	}
	return *f
}

func TestRemote_ReadsGooglesErrors(t *testing.T) {
	t.Parallel()
	body := `[{"error":{"code":429,"message":"Quota exceeded","status":"RESOURCE_EXHAUSTED",
		"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34s"}]}}]`
	s := llmtest.NewOpenAI(t, func(llmtest.Call) llmtest.Reply { return llmtest.Reply{Status: 429, Raw: body} })
	client, err := llm.NewGoogle(llm.Endpoint{Key: llmtest.Key, Transport: to(s)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Complete(t.Context(), plain(false))
	if !fault.Is(err, fault.RateLimited) || fault.RetryAfter(err) != 34*time.Second {
		t.Errorf("got %v after %v", err, fault.RetryAfter(err))
	}
	if want := "google answered 429 (RESOURCE_EXHAUSTED): Quota exceeded"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

func TestRemote_NoticesTextThatLangchaingoDrops(t *testing.T) {
	t.Parallel()
	// langchaingo cannot decode the second event, because of its "created", and passes over it without a word.
	raw := `data: {"choices":[{"delta":{"content":"The sky is "}}]}

data: {"created":"today","choices":[{"delta":{"content":"not "}}]}

data: {"choices":[{"delta":{"content":"green."},"finish_reason":"stop"}]}

data: [DONE]

`
	s := llmtest.NewOpenAI(t, func(llmtest.Call) llmtest.Reply { return llmtest.Reply{Raw: raw} })
	client, err := llm.NewOpenAI(llm.Endpoint{Base: s.Base(), Model: "local"})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Complete(t.Context(), plain(true))
	if !fault.Is(err, fault.Unavailable) || resp.Text != "" {
		t.Errorf("got %q, %v", resp.Text, err)
	}
}

func TestRemote_PassesOverEventsOfLaterVersions(t *testing.T) {
	t.Parallel()
	raw := `event: message_start
data: {"type":"message_start","message":{"id":"m","model":"claude-next","content":[],"usage":{"input_tokens":3,"output_tokens":1}}}

event: weather
data: {"type":"weather","secret":"of the user"}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"x"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Yes."}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}

event: message_stop
data: {"type":"message_stop"}

`
	s := llmtest.New(t, llmtest.Anthropic, func(llmtest.Call) llmtest.Reply { return llmtest.Reply{Raw: raw} })
	client, err := llm.NewAnthropic(llm.Endpoint{Key: llmtest.Key, Base: s.Base()})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Complete(t.Context(), plain(true))
	if err != nil || resp.Text != "Yes." || resp.Model != "claude-next" || resp.Usage.OutputTokens != 9 {
		t.Errorf("got %+v, %v", resp, err)
	}
}

// FuzzRemote_Stream holds that whatever a provider streams, there is no text beside an error, and no answer without a stop
// reason among what it sent.
func FuzzRemote_Stream(f *testing.F) {
	for _, seed := range []string{
		"data: {\"choices\":[{\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
		"data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n",
		": ping\r\ndata: [DONE]\r\n", "data: {\"error\":{\"message\":\"no\"}}\n", "event: x\nid: 1\nretry: 2\ndata:{}\n", "data: null\n", "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		client, err := llm.NewOpenAI(llm.Endpoint{Base: "http://provider/v1", Model: "m", Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body))}, nil
		})})
		if err != nil {
			t.Fatal(err)
		}
		deltas := ""
		req := plain(false)
		req.OnDelta = func(d string) { deltas += d }
		resp, err := client.Complete(t.Context(), req)
		switch {
		case err != nil && resp.Text != "":
			t.Errorf("the text %q came with %v", resp.Text, err)
		case err == nil && (resp.Text == "" || resp.Text != deltas):
			t.Errorf("the answer is %q, the deltas make %q", resp.Text, deltas)
		case err == nil && !saysWhyItStopped(body):
			t.Errorf("an answer without a stop reason: %q", body)
		}
	})
}

func saysWhyItStopped(body []byte) bool {
	for line := range bytes.Lines(body) {
		var v struct {
			Choices []struct {
				FinishReason string `json:"finish_reason"`
			}
		}
		data, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("data:"))
		if ok && json.Unmarshal(bytes.TrimSpace(data), &v) == nil && len(v.Choices) > 0 && v.Choices[0].FinishReason != "" {
			return true
		}
	}
	return false
}
