package llm_test

import (
	"encoding/json"
	"math"
	"strconv"
	"testing"

	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
)

// Some servers give every call of an answer the same id. Each is a call of its own all the same, with an id that no other has.
func TestRemote_TellsCallsOfTheSameIDApart(t *testing.T) {
	t.Parallel()
	raw := `{"choices":[{"finish_reason":"tool_calls","message":{"role":"assistant","content":null,"tool_calls":[
		{"id":"call_0","type":"function","function":{"name":"find","arguments":"{\"q\":1}"}},
		{"id":"call_0","type":"function","function":{"name":"find","arguments":"{\"q\":2}"}},
		{"index":0,"id":"call_0","type":"function","function":{"name":"find","arguments":"{\"q\":3}"}}]}}]}`
	s := llmtest.NewOpenAI(t, func(llmtest.Call) llmtest.Reply { return llmtest.Reply{Raw: raw} })
	client, err := llm.NewOpenAI(llm.Endpoint{Base: s.Base(), Model: "local"})
	if err != nil {
		t.Fatal(err)
	}
	req := plain(false)
	req.Tools = []llm.Tool{{Name: "find", Parameters: json.RawMessage(`{"type":"object"}`)}}
	resp, err := client.Complete(t.Context(), req)
	if err != nil || len(resp.Calls) != 3 {
		t.Fatalf("got %+v, %v", resp.Calls, err)
	}
	ids := map[string]bool{}
	for i, c := range resp.Calls {
		ids[c.ID] = true
		if want := `{"q":` + strconv.Itoa(i+1) + `}`; string(c.Arguments) != want {
			t.Errorf("call %d has %s, want %s", i, c.Arguments, want)
		}
	}
	if len(ids) != 3 {
		t.Errorf("the ids are %v", ids)
	}
}

// What a provider counts is bounded: sums of it stay sums, and nobody is paid for asking.
func TestRemote_BoundsWhatAProviderCounts(t *testing.T) {
	t.Parallel()
	huge := strconv.Itoa(math.MaxInt)
	for dialect, raw := range map[llmtest.Dialect]string{
		llmtest.OpenAI: `{"choices":[{"finish_reason":"stop","message":{"content":"blue"}}],"usage":{"prompt_tokens":` + huge + `,"completion_tokens":` + huge +
			`,"prompt_tokens_details":{"cached_tokens":` + huge + `}}}`,
		llmtest.Anthropic: `{"type":"message","role":"assistant","model":"m","stop_reason":"end_turn","content":[{"type":"text","text":"blue"}],"usage":{"input_tokens":` + huge +
			`,"cache_creation_input_tokens":` + huge + `,"cache_read_input_tokens":` + huge + `,"output_tokens":` + huge + `}}`,
	} {
		s := llmtest.New(t, dialect, func(llmtest.Call) llmtest.Reply { return llmtest.Reply{Raw: raw} })
		open := llm.NewOpenAI
		if dialect == llmtest.Anthropic {
			open = llm.NewAnthropic
		}
		client, err := open(llm.Endpoint{Key: llmtest.Key, Base: s.Base(), Model: "m"})
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Complete(t.Context(), plain(false))
		if sum := resp.Usage.InputTokens + resp.Usage.OutputTokens; err != nil || resp.Usage.InputTokens <= 0 || sum <= 0 || sum > 1<<40 {
			t.Errorf("%v: counted %+v, %v", dialect, resp.Usage, err)
		}
	}
}
