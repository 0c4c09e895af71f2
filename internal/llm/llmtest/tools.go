package llmtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
)

// ToolRequest offers one tool.
func ToolRequest() llm.Request {
	return llm.Request{
		Purpose: "chat.answer", System: "You answer questions about the weather.", Prompt: "How warm is it in Oslo?",
		Tools: []llm.Tool{{
			Name: "weather", Description: "Returns the temperature in a city.",
			Parameters: json.RawMessage(`{"type":"object","required":["city"],"properties":{"city":{"type":"string"}}}`),
		}},
	}
}

func weather(id, arguments string) llm.ToolCall {
	return llm.ToolCall{ID: id, Name: "weather", Arguments: json.RawMessage(arguments)}
}

// oslo asks for two calls behind some text; the arguments of one are long enough for several events.
var oslo = Reply{Text: "I look that up – é, 空.", Calls: []llm.ToolCall{
	weather("call-1", `{"city":"Oslo, the capital of Norway, at the end of its fjord"}`), weather("call-2", `{"city":"Rome"}`),
}}

// toolFaults are those of answers that ask for tools.
func toolFaults() []Fault {
	return []Fault{
		{"ToolCalls", checkToolCalls},
		brokenCall("ToolCallsWithoutAStopReason", ToolRequest(), Reply{Calls: oslo.Calls, End: NoStop}, fault.Unavailable),
		brokenCall("ToolCallsThatEndInTheMiddle", ToolRequest(), Reply{Calls: oslo.Calls, End: Truncated}, fault.Unavailable),
		brokenCall("ToolCallsCutInTheMiddle", ToolRequest(), Reply{Calls: oslo.Calls, End: Cut}, fault.Unavailable),
		{"ToolCallsAtTheTokenLimit", checkCallsAtLimit},
		badCall("ToolThatIsNotOffered", ToolRequest(), Reply{Calls: []llm.ToolCall{{ID: "1", Name: "rm_rf", Arguments: json.RawMessage(`{}`)}}}),
		badCall("ToolWhereNoneIsOffered", Requests()[0], oslo),
		badCall("TooManyToolCalls", ToolRequest(), Reply{Calls: many(17)}),
		badCall("HugeToolArguments", ToolRequest(), Reply{Delta: 4 << 10, Calls: []llm.ToolCall{weather("1", `{"city":"`+strings.Repeat("x", 65<<10)+`"}`)}}),
		badCall("ToolArgumentsThatAreNoObject", ToolRequest(), Reply{Calls: []llm.ToolCall{weather("1", `["Oslo"]`)}}),
		{"ToolArgumentsThatAreNoJSON", checkBrokenArguments},
		{"ToolStopWithoutACall", checkNoCall},
	}
}

func many(n int) []llm.ToolCall {
	var calls []llm.ToolCall
	for i := range n {
		calls = append(calls, weather(fmt.Sprintf("call-%d", i), `{"city":"Oslo"}`))
	}
	return calls
}

func checkToolCalls(t testing.TB, d Dialect, stream bool, open Opener) error {
	p := play(t, d, stream, open, ToolRequest(), oslo)
	switch {
	case p.err != nil:
		return p.err
	case p.resp.Text != oslo.Text || stream && p.deltas != oslo.Text:
		return fmt.Errorf("the text is %q, the deltas make %q, want %q", p.resp.Text, p.deltas, oslo.Text)
	case len(p.resp.Calls) != len(oslo.Calls):
		return fmt.Errorf("%d calls, want %d", len(p.resp.Calls), len(oslo.Calls))
	case p.resp.Usage.InputTokens == 0 || p.resp.Usage.OutputTokens == 0:
		return fmt.Errorf("the usage is lost: %+v", p.resp.Usage)
	}
	for i, c := range p.resp.Calls {
		if want := oslo.Calls[i]; c.ID != want.ID || c.Name != want.Name || string(c.Arguments) != string(want.Arguments) {
			return fmt.Errorf("call %d is %+v, want %+v", i, c, want)
		}
	}
	p = play(t, d, stream, open, ToolRequest(), Reply{Calls: oslo.Calls[:1]}) // and nothing besides
	if p.err != nil || p.resp.Text != "" || p.deltas != "" || len(p.resp.Calls) != 1 || p.resp.Usage.OutputTokens == 0 {
		return fmt.Errorf("an answer that is a call only: %+v, deltas %q, %w", p.resp, p.deltas, p.err)
	}
	return nil
}

func brokenCall(name string, req llm.Request, reply Reply, kind fault.Kind) Fault {
	return Fault{name, func(t testing.TB, d Dialect, stream bool, open Opener) error {
		p := play(t, d, stream, open, req, reply)
		if len(p.resp.Calls) > 0 {
			return fmt.Errorf("%d calls came with %w", len(p.resp.Calls), p.err)
		}
		return p.failedWith(kind)
	}}
}

// badCall plays an answer whose calls cannot be served.
func badCall(name string, req llm.Request, reply Reply) Fault {
	return Fault{name, func(t testing.TB, d Dialect, stream bool, open Opener) error {
		return play(t, d, stream, open, req, reply).failedForCalls()
	}}
}

func (p played) failedForCalls() error {
	if err := p.failedWith(fault.Invalid); err != nil {
		return err
	}
	var bad *llm.InvalidOutputError
	switch {
	case len(p.resp.Calls) > 0:
		return fmt.Errorf("%d calls came with %w", len(p.resp.Calls), p.err)
	case !errors.Is(p.err, llm.ErrToolCall) || !errors.As(p.err, &bad) || len(bad.Details) == 0:
		return fmt.Errorf("not an InvalidOutputError for ErrToolCall: %w", p.err)
	}
	return nil
}

func checkCallsAtLimit(t testing.TB, d Dialect, stream bool, open Opener) error {
	p := play(t, d, stream, open, ToolRequest(), Reply{Calls: oslo.Calls, Stop: limitStop(d)})
	if err := p.failedWith(fault.Invalid); err != nil {
		return err
	}
	if !errors.Is(p.err, llm.ErrTruncated) || len(p.resp.Calls) > 0 {
		return fmt.Errorf("%d calls and %w, want ErrTruncated", len(p.resp.Calls), p.err)
	}
	return nil
}

func limitStop(d Dialect) string {
	if d == Anthropic {
		return "max_tokens"
	}
	return "length"
}

// checkBrokenArguments plays arguments that end in the middle although the model says that it is done. A whole answer of
// Anthropic's cannot hold such.
func checkBrokenArguments(t testing.TB, d Dialect, stream bool, open Opener) error {
	if d == Anthropic && !stream {
		return nil
	}
	call := Call{Stream: stream}
	reply := Reply{Calls: []llm.ToolCall{weather("1", `{"city":"Oslo"}`)}, Delta: 64, Model: "m", OutputTokens: 1, InputTokens: 1}
	var b strings.Builder
	for _, f := range frames(d, call, reply) {
		b.WriteString(strings.ReplaceAll(f.data, `\"Oslo\"}`, `\"Os`))
	}
	return play(t, d, stream, open, ToolRequest(), Reply{Raw: b.String()}).failedForCalls()
}

// checkNoCall plays an answer that says it waits for a tool, and not for which.
func checkNoCall(t testing.TB, d Dialect, stream bool, open Opener) error {
	stop := "tool_calls"
	if d == Anthropic {
		stop = "tool_use"
	}
	return play(t, d, stream, open, ToolRequest(), Reply{Text: sentence, Stop: stop}).failedWith(fault.Unavailable)
}

// Weather answers the calls of ToolRequest; it is the callable form of its tool.
func Weather(answer string) llm.Callable {
	return llm.Callable{Tool: ToolRequest().Tools[0], Call: func(context.Context, json.RawMessage) (string, error) { return answer, nil }}
}
