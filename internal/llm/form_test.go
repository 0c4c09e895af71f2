package llm_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
)

func TestRemote_AsksForLessWhereAFormIsRefused(t *testing.T) {
	t.Parallel()
	const noSchema, noForm = `{"error":"'response_format.type' must be 'json_object' or 'text'"}`, `{"error":{"message":"response_format: unknown field"}}`
	for _, c := range []struct {
		name    string
		dialect llmtest.Dialect
		open    func(llm.Endpoint) (*llm.Remote, error)
		refuses func(llmtest.Call) string
		asked   int // requests of the first call
	}{
		{"NoSchema", llmtest.OpenAI, llm.NewOpenAI, func(c llmtest.Call) string {
			if c.Schema != nil {
				return noSchema
			}
			return ""
		}, 2},
		{"NoForm", llmtest.OpenAI, llm.NewOpenAI, func(c llmtest.Call) string {
			if c.Schema != nil || c.JSONMode {
				return noForm
			}
			return ""
		}, 3},
		{"AnOlderClaude", llmtest.Anthropic, llm.NewAnthropic, func(c llmtest.Call) string {
			if c.Schema != nil {
				return `{"type":"error","error":{"type":"invalid_request_error","message":"this model does not support output_config.format"}}`
			}
			return ""
		}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := llmtest.New(t, c.dialect, func(call llmtest.Call) llmtest.Reply {
				if raw := c.refuses(call); raw != "" {
					return llmtest.Reply{Status: 400, Raw: raw}
				}
				return llmtest.Compliant(call)
			})
			client, err := c.open(llm.Endpoint{Key: llmtest.Key, Base: s.Base()})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if _, err := client.Complete(t.Context(), llmtest.Requests()[1]); err != nil {
					t.Fatal(err)
				}
			}
			if n := len(s.Calls()); n != c.asked+1 {
				t.Errorf("%d requests were made, want %d for the first call and 1 for the second", n, c.asked)
			}
		})
	}
}

func TestRemote_DoesNotRepeatARequestThatIsWrongOtherwise(t *testing.T) {
	t.Parallel()
	s := llmtest.NewOpenAI(t, func(llmtest.Call) llmtest.Reply {
		return llmtest.Reply{Status: 400, Raw: `{"error":{"message":"the prompt is longer than the context"}}`}
	})
	client, err := llm.NewOpenAI(llm.Endpoint{Base: s.Base(), Model: "local"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Complete(t.Context(), llmtest.Requests()[1]); err == nil || len(s.Calls()) != 1 {
		t.Errorf("%v after %d requests", err, len(s.Calls()))
	}
}

func TestRemote_AsksForTheFormThatFits(t *testing.T) {
	t.Parallel()
	tool := []llm.Tool{{Name: "look"}}
	strict := json.RawMessage(`{"type":"object","required":["a"],"properties":{"a":{"type":"string","maxLength":9}}}`)
	partial := json.RawMessage(`{"type":"object","properties":{"a":{"type":"string"}}}`)
	for _, c := range []struct {
		name        string
		open        func(llm.Endpoint) (*llm.Remote, error)
		dialect     llmtest.Dialect
		model, base string
		schema      json.RawMessage
		tools       []llm.Tool
		want        string
	}{
		{"OpenAIStrict", llm.NewOpenAI, llmtest.OpenAI, "gpt-4.1", "", strict, nil, "strict"},
		{"OpenAIWithTools", llm.NewOpenAI, llmtest.OpenAI, "gpt-4.1", "", strict, tool, "strict"},
		{"OpenAIThatMayLackSome", llm.NewOpenAI, llmtest.OpenAI, "gpt-4.1", "", partial, nil, "object"},
		{"AnotherServer", llm.NewOpenAI, llmtest.OpenAI, "m", "http://vllm/v1", partial, nil, "schema"},
		{"AnotherServerWithTools", llm.NewOpenAI, llmtest.OpenAI, "m", "http://vllm/v1", strict, tool, "none"},
		{"Google", llm.NewGoogle, llmtest.OpenAI, "", "", strict, nil, "strict"},
		{"GoogleWithTools", llm.NewGoogle, llmtest.OpenAI, "", "", strict, tool, "none"},
		{"Ollama", llm.NewOllama, llmtest.Ollama, "m", "", strict, nil, "strict"},
		{"Claude", llm.NewAnthropic, llmtest.Anthropic, "", "", partial, tool, "schema"},
		{"ClaudeBefore45", llm.NewAnthropic, llmtest.Anthropic, "claude-sonnet-4-20250514", "", partial, nil, "none"},
		{"ClaudeAndAnOpenObject", llm.NewAnthropic, llmtest.Anthropic, "", "", json.RawMessage(`{"type":"object"}`), nil, "none"},
		{"NoObject", llm.NewOpenAI, llmtest.OpenAI, "gpt-4.1", "", json.RawMessage(`{"type":"array"}`), nil, "none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := llmtest.New(t, c.dialect, llmtest.Say(`{"a":"b"}`))
			client, err := c.open(llm.Endpoint{Key: llmtest.Key, Model: c.model, Base: c.base, Transport: to(s)})
			if err != nil {
				t.Fatal(err)
			}
			req := llm.Request{Purpose: "quiz.draft", Prompt: "Go on.", Schema: c.schema, Tools: c.tools}
			_, err = client.Complete(t.Context(), req)
			if err != nil && c.want != "none" {
				t.Fatal(err)
			}
			call, got := s.Calls()[0], "none"
			switch {
			case call.JSONMode:
				got = "object"
			case call.Strict:
				got = "strict"
			case call.Schema != nil:
				got = "schema"
			}
			if got != c.want {
				t.Errorf("asked for %s, want %s: %s", got, c.want, call.Body)
			}
			if !strings.Contains(call.System, `"a"`) && c.want != "none" {
				t.Errorf("the instructions lack the schema: %s", call.System)
			}
		})
	}
}

func TestWireSchema(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, schema, openai, anthropic string }{ // "" where it cannot be told
		{
			"LeavesOutBounds", `{"type":"object","required":["a"],"properties":{"a":{"type":"array","minItems":3,"maxItems":5,"items":{"type":"string","minLength":1,"maxLength":9}}}}`,
			`{"type":"object","required":["a"],"additionalProperties":false,"properties":{"a":{"type":"array","minItems":3,"maxItems":5,"items":{"type":"string"}}}}`,
			`{"type":"object","required":["a"],"additionalProperties":false,"properties":{"a":{"type":"array","minItems":1,"items":{"type":"string"}}}}`,
		},
		{
			"MayLackProperties", `{"type":"object","properties":{"a":{"type":"integer","minimum":1}}}`,
			"", `{"type":"object","additionalProperties":false,"properties":{"a":{"type":"integer"}}}`,
		},
		{"OpenObject", `{"type":"object","additionalProperties":true,"properties":{}}`, "", ""},
		{"FreeObject", `{"type":"object"}`, "", ""},
		{"MapOfTexts", `{"type":"object","properties":{},"additionalProperties":{"type":"string"}}`, "", ""},
		{"OneOf", `{"type":"object","required":["a"],"properties":{"a":{"oneOf":[{"type":"string"}]}}}`, "", ""},
		{"Anything", `{"type":"object","required":["a"],"properties":{"a":{}}}`, "", ""},
		{"NoSchema", `[1]`, "", ""},
		{
			"AnyOf", `{"type":"object","required":["a"],"properties":{"a":{"anyOf":[{"type":"string"},{"type":"null"}]}}}`,
			`{"type":"object","required":["a"],"additionalProperties":false,"properties":{"a":{"anyOf":[{"type":"string"},{"type":"null"}]}}}`,
			`{"type":"object","required":["a"],"additionalProperties":false,"properties":{"a":{"anyOf":[{"type":"string"},{"type":"null"}]}}}`,
		},
		{"TooDeep", strings.Repeat(`{"type":"array","items":`, 60) + `{"type":"string"}` + strings.Repeat("}", 60), "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for provider, want := range map[string]string{"openai": c.openai, "anthropic": c.anthropic} {
				got, strict := llm.WireSchema(provider, json.RawMessage(c.schema))
				if strict != (want != "") {
					t.Errorf("%s: strict is %v", provider, strict)
				}
				if want == "" {
					want = c.schema
				}
				var a, b any
				if json.Unmarshal(got, &a) != nil || json.Unmarshal([]byte(want), &b) != nil || !cmp.Equal(a, b) {
					t.Errorf("%s: got %s, want %s", provider, got, want)
				}
			}
		})
	}
}
