package llm_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
)

// scripted is a client that answers with one response after the other, and keeps what it was asked.
type scripted struct {
	answers []func(llm.Request) (llm.Response, error)
	asked   []llm.Request
}

func (s *scripted) Describe() string { return "scripted model" }

func (s *scripted) Complete(_ context.Context, req llm.Request) (llm.Response, error) {
	s.asked = append(s.asked, req)
	return s.answers[min(len(s.asked), len(s.answers))-1](req)
}

func calls(list ...llm.ToolCall) func(llm.Request) (llm.Response, error) {
	return func(llm.Request) (llm.Response, error) {
		return llm.Response{Calls: list, Usage: llm.Usage{InputTokens: 10, OutputTokens: 1, CostUSD: 0.5, CostKnown: true}}, nil
	}
}

func says(text string) func(llm.Request) (llm.Response, error) {
	return func(llm.Request) (llm.Response, error) {
		return llm.Response{Text: text, Usage: llm.Usage{InputTokens: 10, OutputTokens: 1, CostUSD: 0.5, CostKnown: true}}, nil
	}
}

func inOslo(id string) llm.ToolCall {
	return llm.ToolCall{ID: id, Name: "weather", Arguments: json.RawMessage(`{"city":"Oslo"}`)}
}

func TestCompleteWithTools_CallsUntilThereIsText(t *testing.T) {
	t.Parallel()
	for name, p := range providers() {
		for _, stream := range []bool{false, true} {
			t.Run(name+"/"+llmtest.Mode(stream), func(t *testing.T) {
				t.Parallel()
				s := llmtest.New(t, p.dialect, func(c llmtest.Call) llmtest.Reply {
					if c.N == 0 {
						return llmtest.Reply{Calls: []llm.ToolCall{inOslo("c1"), inOslo("c2")}, InputTokens: 10, OutputTokens: 2}
					}
					return llmtest.Reply{Text: "It is 4 degrees.", InputTokens: 20, OutputTokens: 5}
				})
				req, heard := llmtest.ToolRequest(), ""
				if stream {
					req.OnDelta = func(d string) { heard += d }
				}
				resp, trace, err := llm.CompleteWithTools(t.Context(), p.open(t, s.Base()), req, []llm.Callable{llmtest.Weather("4 degrees")}, llm.ToolLimits{})
				if err != nil || resp.Text != "It is 4 degrees." || name != "Compatible" && (resp.Usage.InputTokens != 30 || resp.Usage.OutputTokens != 7) {
					t.Fatalf("%+v, %v", resp, err)
				}
				if stream && heard != resp.Text {
					t.Errorf("heard %q", heard)
				}
				if len(trace) != 2 || !trace[0].OK || trace[0].Name != "weather" || trace[0].Arguments != 15 || trace[0].Result != 9 {
					t.Errorf("%+v", trace)
				}
				said := turns(s.Calls()[1].Turns)
				if !strings.Contains(said, "(c1=4 degrees)") || !strings.Contains(said, "(c2=4 degrees)") || !strings.HasPrefix(said, "user:How warm") {
					t.Error(said)
				}
			})
		}
	}
}

func TestCompleteWithTools_TellsTheModelWhatFailed(t *testing.T) {
	t.Parallel()
	tool := llmtest.Weather("4")
	for name, c := range map[string]struct {
		arguments string
		call      func(context.Context, json.RawMessage) (string, error)
		want      string // in the result
		reason    string
	}{
		"Arguments": {`{"town":"Oslo"}`, tool.Call, "missing property 'city'", "arguments"},
		"AnErrorOfOurs": {`{"city":"x"}`, func(context.Context, json.RawMessage) (string, error) {
			return "", errors.New("dial 10.0.0.7: secret")
		}, "something went wrong", "internal"},
		"AFault": {`{"city":"x"}`, func(context.Context, json.RawMessage) (string, error) {
			return "", &fault.Error{Kind: fault.NotFound, Message: "there is no such city", Err: errors.New("secret")}
		}, "there is no such city", "not_found"},
		"TooLong": {`{"city":"x"}`, func(context.Context, json.RawMessage) (string, error) {
			return strings.Repeat("é", 20_000), nil
		}, "[cut: 32768 of 40000 bytes]", ""},
		"AFailureThatTheToolReports": {`{"city":"x"}`, func(context.Context, json.RawMessage) (string, error) {
			return "no such city, says the server", llm.ErrReported
		}, "no such city, says the server", "reported"},
		"Slow": {`{"city":"x"}`, func(ctx context.Context, _ json.RawMessage) (string, error) {
			<-ctx.Done()
			return "", context.Cause(ctx)
		}, "did not answer within 10s", "timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				model := &scripted{answers: []func(llm.Request) (llm.Response, error){
					calls(llm.ToolCall{ID: "1", Name: "weather", Arguments: json.RawMessage(c.arguments)}), says("So be it."),
				}}
				tool := tool
				tool.Call = c.call
				resp, trace, err := llm.CompleteWithTools(t.Context(), model, llmtest.ToolRequest(), []llm.Callable{tool}, llm.ToolLimits{})
				if err != nil || resp.Text != "So be it." || len(trace) != 1 || trace[0].Reason != c.reason || trace[0].OK != (c.reason == "") {
					t.Fatalf("%+v, %+v, %v", resp, trace, err)
				}
				result := model.asked[1].Messages[2]
				if !strings.Contains(result.Text, c.want) || strings.Contains(result.Text, "secret") || len(result.Text) > 33<<10 {
					t.Errorf("the model was told %.200q", result.Text)
				}
			})
		})
	}
}

func TestCompleteWithTools_EndsAtItsLimits(t *testing.T) {
	t.Parallel()
	slow := llmtest.Weather("4")
	slow.Call = func(ctx context.Context, _ json.RawMessage) (string, error) {
		select {
		case <-time.After(8 * time.Second):
			return "4", nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	for name, c := range map[string]struct {
		limits llm.ToolLimits
		tool   llm.Callable
		each   int // calls of a round
		asked  int
		called int
	}{
		"Rounds": {llm.ToolLimits{}, llmtest.Weather("4"), 1, 5, 4},
		"Calls":  {llm.ToolLimits{}, llmtest.Weather("4"), 5, 3, 8},
		"Total":  {llm.ToolLimits{Total: 20 * time.Second}, slow, 1, 4, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var list []llm.ToolCall
				for i := range c.each {
					list = append(list, inOslo(string(rune('a'+i))))
				}
				model := &scripted{answers: []func(llm.Request) (llm.Response, error){func(req llm.Request) (llm.Response, error) {
					if len(req.Tools) == 0 {
						return says("Enough.")(req)
					}
					return calls(list...)(req)
				}}}
				resp, trace, err := llm.CompleteWithTools(t.Context(), model, llmtest.ToolRequest(), []llm.Callable{c.tool}, c.limits)
				if err != nil || resp.Text != "Enough." || len(model.asked) != c.asked || resp.Usage.InputTokens != 10*c.asked {
					t.Fatalf("%+v, %v after %d rounds", resp, err, len(model.asked))
				}
				called := 0
				for _, call := range trace {
					if call.OK {
						called++
					}
				}
				if called != c.called {
					t.Errorf("%d calls, want %d: %+v", called, c.called, trace)
				}
			})
		})
	}
}

func TestCompleteWithTools_CorrectsAModelOnce(t *testing.T) {
	t.Parallel()
	bad := func(llm.Request) (llm.Response, error) {
		return llm.Response{}, &llm.InvalidOutputError{
			Details: []fault.Detail{{Field: "calls[0].name", Reason: `"wheather" is no tool that is offered`}}, Reason: llm.ErrToolCall,
			Usage: llm.Usage{InputTokens: 7, OutputTokens: 1},
		}
	}
	tools := []llm.Callable{llmtest.Weather("4")}
	model := &scripted{answers: []func(llm.Request) (llm.Response, error){bad, says("Cold.")}}
	resp, _, err := llm.CompleteWithTools(t.Context(), model, llmtest.ToolRequest(), tools, llm.ToolLimits{})
	if err != nil || resp.Text != "Cold." || resp.Usage.InputTokens != 17 || !strings.Contains(model.asked[1].Prompt, "wheather") {
		t.Errorf("%+v, %v", resp, err)
	}
	model = &scripted{answers: []func(llm.Request) (llm.Response, error){bad}}
	resp, _, err = llm.CompleteWithTools(t.Context(), model, llmtest.ToolRequest(), tools, llm.ToolLimits{})
	if !errors.Is(err, llm.ErrToolCall) || len(model.asked) != 2 || resp.Usage.InputTokens != 14 {
		t.Errorf("%+v, %v after %d rounds", resp, err, len(model.asked))
	}
}

func TestCompleteWithTools_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	tool := llmtest.Weather("4")
	tool.Call = func(ctx context.Context, _ json.RawMessage) (string, error) { cancel(); return "", ctx.Err() }
	model := &scripted{answers: []func(llm.Request) (llm.Response, error){calls(inOslo("1")), says("Late.")}}
	resp, trace, err := llm.CompleteWithTools(ctx, model, llmtest.ToolRequest(), []llm.Callable{tool}, llm.ToolLimits{})
	if !fault.Is(err, fault.Canceled) || resp.Text != "" || len(trace) != 1 || len(model.asked) != 1 || resp.Usage.InputTokens != 10 {
		t.Errorf("%+v, %+v, %v", resp, trace, err)
	}
}

func TestCompleteWithTools_RefusesToolsThatCannotBeOffered(t *testing.T) {
	t.Parallel()
	for name, schema := range map[string]string{
		"NoSchema": `{"type":"nonsense"}`, "ASchemaElsewhere": `{"$ref":"file:///etc/passwd"}`, "NoObject": `[]`,
	} {
		tool := llmtest.Weather("4")
		tool.Parameters = json.RawMessage(schema)
		if _, _, err := llm.CompleteWithTools(t.Context(), &scripted{}, llmtest.ToolRequest(), []llm.Callable{tool}, llm.ToolLimits{}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
