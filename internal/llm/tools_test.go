package llm_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
)

// talk is a conversation in which two tools were called at once.
func talk() llm.Request {
	req := llmtest.ToolRequest()
	req.Messages = []llm.Message{
		{Role: llm.RoleUser, Text: "How warm is it in Oslo and Rome?"},
		{Role: llm.RoleAssistant, Text: "I look. ", Calls: []llm.ToolCall{
			{ID: "a:1", Name: "weather", Arguments: json.RawMessage(`{"city":"Oslo"}`)},
			{ID: "b-2", Name: "weather", Arguments: json.RawMessage(`{"city":"Rome"}`)},
		}},
		{Role: llm.RoleTool, Call: "a:1", Text: "4 degrees"},
		{Role: llm.RoleTool, Call: "b-2", Text: "17 degrees"},
	}
	req.Prompt = ""
	return req
}

func TestRemote_CarriesAConversation(t *testing.T) {
	t.Parallel()
	for name, p := range providers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := llmtest.New(t, p.dialect, llmtest.Say("Rome is warmer."))
			client := p.open(t, s.Base())
			req := talk()
			if _, err := client.Complete(t.Context(), req); err != nil {
				t.Fatal(err)
			}
			req.Prompt, req.Tools = "And in Bergen?", nil
			if _, err := client.Complete(t.Context(), req); err != nil {
				t.Fatal(err)
			}
			first, second := s.Calls()[0], s.Calls()[1]
			if first.System != req.System || len(first.Tools) != 1 || first.Tools[0].Name != "weather" {
				t.Errorf("got the instructions %q and tools %+v", first.System, first.Tools)
			}
			id := "a:1"
			want := "user:How warm is it in Oslo and Rome?|assistant:I look. [%s b-2]|tool:(%s=4 degrees)|tool:(b-2=17 degrees)"
			end := "|user:And in Bergen?"
			if p.dialect == llmtest.Anthropic {
				id, want = "a_1", "user:How warm is it in Oslo and Rome?|assistant:I look.[%s b-2]|user:%[3]s(%[2]s=4 degrees)(b-2=17 degrees)"
				end = ""
				if got, want := turns(second.Turns), fmt.Sprintf(want, id, id, "And in Bergen?"); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
				if !second.NoTools || len(second.Tools) != 1 {
					t.Errorf("a conversation with calls needs a list of tools: %+v", second.Tools)
				}
				want = fmt.Sprintf(want, id, id, "")
				if got := turns(first.Turns); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
				return
			}
			want = fmt.Sprintf(want, id, id)
			if got := turns(first.Turns); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if got := turns(second.Turns); got != want+end || len(second.Tools) != 0 {
				t.Errorf("got %s with %d tools", got, len(second.Tools))
			}
		})
	}
}

func turns(list []llmtest.Turn) string {
	var out []string
	for _, t := range list {
		line := t.Role + ":" + t.Text
		var ids []string
		for _, c := range t.Calls {
			ids = append(ids, c.ID)
		}
		if ids != nil {
			line += fmt.Sprint(ids)
		}
		for _, r := range t.Results {
			line += "(" + r.Call + "=" + r.Text + ")"
		}
		out = append(out, line)
	}
	return strings.Join(out, "|")
}

func TestRemote_ReturnsWhatTheProviderWantsBack(t *testing.T) {
	t.Parallel()
	signature := json.RawMessage(`{"google":{"thought_signature":"c2ln"}}`)
	for name, p := range providers() {
		for _, stream := range []bool{false, true} {
			t.Run(name+"/"+llmtest.Mode(stream), func(t *testing.T) {
				t.Parallel()
				s := llmtest.New(t, p.dialect, func(c llmtest.Call) llmtest.Reply {
					if c.N > 0 {
						return llmtest.Reply{Text: "Warm."}
					}
					return llmtest.Reply{Calls: []llm.ToolCall{{ID: "c1", Name: "weather", Arguments: json.RawMessage(`{"city":"Oslo"}`), State: signature}}}
				})
				client, req := p.open(t, s.Base()), llmtest.ToolRequest()
				if stream {
					req.OnDelta = func(d string) { t.Errorf("streamed %q", d) }
				}
				resp, err := client.Complete(t.Context(), req)
				if err != nil || len(resp.Calls) != 1 {
					t.Fatal(resp, err)
				}
				stored, err := json.Marshal(resp.Calls) // as who keeps a conversation does
				if err != nil || json.Unmarshal(stored, &resp.Calls) != nil {
					t.Fatal(err)
				}
				req.Messages = []llm.Message{{Role: llm.RoleUser, Text: req.Prompt}, {Role: llm.RoleAssistant, Calls: resp.Calls}, {Role: llm.RoleTool, Call: "c1", Text: "4"}}
				req.Prompt, req.OnDelta = "", nil
				if _, err := client.Complete(t.Context(), req); err != nil {
					t.Fatal(err)
				}
				if got := s.Calls()[1].Turns[1].Calls[0].State; string(got) != string(signature) {
					t.Errorf("got %s back, want %s", got, signature)
				}
			})
		}
	}
}

func TestRemote_KeepsStateFromOtherProviders(t *testing.T) {
	t.Parallel()
	req := talk()
	req.Messages[1].Calls[0].State = json.RawMessage(`{"elsewhere":{"secret":"thought"}}`)
	for name, p := range providers() {
		s := llmtest.New(t, p.dialect, llmtest.Say("Warm."))
		if _, err := p.open(t, s.Base()).Complete(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		body := string(s.Calls()[0].Body)
		if strings.Contains(body, "secret") {
			t.Errorf("%s got the state of another provider", name)
		}
		if unsigned := strings.Contains(body, "skip_thought_signature_validator"); unsigned != (name == "Google") {
			t.Errorf("%s: calls of another model are marked: %v", name, unsigned)
		}
	}
}

func TestRemote_PutsPiecesOfCallsTogether(t *testing.T) {
	t.Parallel()
	call := func(pieces ...string) []string { return pieces }
	for _, c := range []struct {
		name   string
		pieces []string // of "tool_calls", one event each
		want   []string // name and arguments
	}{
		{"AsOpenAIDoes", call(`{"index":0,"id":"1","type":"function","function":{"name":"weather","arguments":""}}`, `{"index":0,"function":{"arguments":"{\"city\":"}}`,
			`{"index":1,"id":"2","type":"function","function":{"name":"weather","arguments":""}}`, `{"index":0,"function":{"arguments":"\"Oslo\"}"}}`,
			`{"index":1,"function":{"arguments":"{\"city\":\"Rome\"}"}}`), []string{`weather {"city":"Oslo"}`, `weather {"city":"Rome"}`}},
		{"WithoutIndexes", call(`{"id":"1","function":{"name":"weather","arguments":"{\"city\":"}}`, `{"function":{"arguments":"\"Oslo\"}"}}`),
			[]string{`weather {"city":"Oslo"}`}},
		{"WholeAndWithoutIndexes", call(`{"id":"1","function":{"name":"weather","arguments":"{}"}}`, `{"id":"2","function":{"name":"weather","arguments":"{}"}}`),
			[]string{"weather {}", "weather {}"}},
		{"WholeWithoutAnything", call(`{"function":{"name":"weather","arguments":"{}"}}`, `{"function":{"name":"weather","arguments":"{}"}}`),
			[]string{"weather {}", "weather {}"}},
		{"IndexAlwaysZero", call(`{"index":0,"id":"1","function":{"name":"weather","arguments":"{}"}}`, `{"index":0,"id":"2","function":{"name":"weather","arguments":"{}"}}`),
			[]string{"weather {}", "weather {}"}},
		{"EmptyIdsBehindTheFirst", call(`{"index":0,"id":"1","function":{"name":"weather","arguments":""}}`, `{"index":0,"id":"","function":{"arguments":"{}"}}`),
			[]string{"weather {}"}},
		{"TheNameInEveryPiece", call(`{"index":0,"function":{"name":"weather","arguments":"{\"city\":"}}`, `{"index":0,"function":{"name":"weather","arguments":"\"Oslo\"}"}}`),
			[]string{`weather {"city":"Oslo"}`}},
		{"NoArguments", call(`{"index":0,"id":"1","function":{"name":"weather"}}`), []string{"weather {}"}},
		{"NullArguments", call(`{"index":0,"id":"1","function":{"name":"weather","arguments":null}}`), []string{"weather {}"}},
		{"ArgumentsThatAreNoString", call(`{"index":0,"id":"1","function":{"name":"weather","arguments":{"city":"Oslo"}}}`), []string{`weather {"city":"Oslo"}`}},
		{"TheSameIdTwice", call(`{"index":0,"id":"1","function":{"name":"weather","arguments":"{}"}}`, `{"index":1,"id":"1","function":{"name":"weather","arguments":"{}"}}`),
			[]string{"weather {}", "weather {}"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			raw := ""
			for _, p := range c.pieces {
				raw += `data: {"choices":[{"delta":{"content":"","tool_calls":[` + p + `]}}]}` + "\n\n"
			}
			raw += `data: {"choices":[{"delta":{},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n"
			s := llmtest.NewOpenAI(t, func(llmtest.Call) llmtest.Reply { return llmtest.Reply{Raw: raw} })
			client, err := llm.NewOpenAI(llm.Endpoint{Base: s.Base(), Model: "local"})
			if err != nil {
				t.Fatal(err)
			}
			req := llmtest.ToolRequest()
			req.OnDelta = func(d string) { t.Errorf("streamed %q", d) }
			resp, err := client.Complete(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			ids := map[string]bool{}
			for _, call := range resp.Calls {
				got = append(got, call.Name+" "+string(call.Arguments))
				ids[call.ID] = true
			}
			if !cmp.Equal(got, c.want) || len(ids) != len(c.want) || ids[""] {
				t.Errorf("got %q with the ids %v, want %q", got, ids, c.want)
			}
		})
	}
}

func TestRemote_RefusesRequestsThatNoProviderUnderstands(t *testing.T) {
	t.Parallel()
	client, err := llm.NewOpenAI(llm.Endpoint{Base: "http://127.0.0.1:1", Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	user := llm.Message{Role: llm.RoleUser, Text: "Hello."}
	ask := llm.Message{Role: llm.RoleAssistant, Calls: []llm.ToolCall{{ID: "1", Name: "weather", Arguments: json.RawMessage(`{}`)}}}
	for name, c := range map[string]struct {
		req  llm.Request
		want string
	}{
		"NoPromptBehindAUser":     {llm.Request{Messages: []llm.Message{user}}, "prompt is empty"},
		"AResultNobodyAskedFor":   {llm.Request{Messages: []llm.Message{user, {Role: llm.RoleTool, Call: "1"}}}, "messages[1].call"},
		"AResultThatIsMissing":    {llm.Request{Prompt: "p", Messages: []llm.Message{user, ask}}, "messages end before"},
		"AUserInBetween":          {llm.Request{Prompt: "p", Messages: []llm.Message{user, ask, user}}, "messages[2] comes before"},
		"AnotherRole":             {llm.Request{Prompt: "p", Messages: []llm.Message{{Role: "system", Text: "x"}}}, "messages[0].role"},
		"TheAssistantBegins":      {llm.Request{Prompt: "p", Messages: []llm.Message{{Role: llm.RoleAssistant, Text: "x"}}}, "begins with the user"},
		"AnEmptyTurn":             {llm.Request{Prompt: "p", Messages: []llm.Message{{Role: llm.RoleUser}}}, "messages[0].text"},
		"TooMuch":                 {llm.Request{Prompt: "p", Messages: []llm.Message{{Role: llm.RoleUser, Text: strings.Repeat("x", 3<<20)}}}, "hold"},
		"TooMany":                 {llm.Request{Prompt: "p", Messages: make([]llm.Message, 1001)}, "more than 1000"},
		"AToolWithoutAName":       {llm.Request{Prompt: "p", Tools: []llm.Tool{{}}}, "tools[0].name"},
		"TwoToolsOfOneName":       {llm.Request{Prompt: "p", Tools: []llm.Tool{{Name: "a"}, {Name: "a"}}}, "tools[1].name"},
		"ParametersThatAreNoJSON": {llm.Request{Prompt: "p", Tools: []llm.Tool{{Name: "a", Parameters: json.RawMessage(`[]`)}}}, "tools[0].parameters"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := client.Complete(t.Context(), c.req)
			var bad *llm.InvalidOutputError
			if !fault.Is(err, fault.Invalid) || errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an Invalid fault about %q", err, c.want)
			}
		})
	}
}
