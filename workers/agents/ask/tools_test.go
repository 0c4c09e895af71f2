package ask_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers/agents/ask"
	"github.com/toolboxai/orchestrator/workers/workerstest"
)

// box offers one tool to poems, and counts its calls.
type box struct {
	calls int
	err   error // of each call
}

func (b *box) Tools(_ context.Context, kind string) []llm.Callable {
	if kind != "poem" {
		return nil
	}
	return []llm.Callable{{
		Server: "ext",
		Tool:   llm.Tool{Name: "ext_rhyme", Description: "Rhymes.", Parameters: json.RawMessage(`{"type":"object"}`)},
		Call: func(context.Context, json.RawMessage) (string, error) {
			b.calls++
			return "moon, June", b.err
		},
	}}
}

// toolUser asks for a tool until it has had its result wants times, then answers.
type toolUser struct {
	wants int
	says  string // the answer; a good one when empty
	asked []llm.Request
}

func (c *toolUser) Describe() string { return "caller" }

func (c *toolUser) Complete(_ context.Context, req llm.Request) (llm.Response, error) {
	c.asked = append(c.asked, req)
	resp := llm.Response{Provider: "openai", Model: "m", Usage: llm.Usage{InputTokens: 1, OutputTokens: 1, CostKnown: true}}
	if len(req.Tools) > 0 && len(c.asked) <= c.wants {
		resp.Calls = []llm.ToolCall{{ID: fmt.Sprint("c", len(c.asked)), Name: "ext_rhyme", Arguments: json.RawMessage(`{}`)}}
		return resp, nil
	}
	if resp.Text = c.says; resp.Text == "" {
		resp.Text = `{"lines":["moon","June"]}`
	}
	return resp, nil
}

func TestAsk_CallsToolsThatAreOfferedAndPutsThatOnRecord(t *testing.T) {
	t.Parallel()
	c, b := &toolUser{wants: 2}, &box{}
	got, history := workerstest.Work(t, poet(t, ask.WithTools(c, b)), []byte(input))
	if got.State != task.Completed || b.calls != 2 || got.Usage.ToolCalls != 2 || got.Usage.Calls != 3 || got.Usage.InputTokens != 3 {
		t.Errorf("state %s, %d calls, usage %+v, %d events", got.State, b.calls, got.Usage, len(history))
	}
	var tools []events.ToolCall
	for _, e := range history {
		if s, err := events.DataAs[events.Step](e); err == nil && e.Type == events.TypeStep {
			tools = append(tools, s.Tools...)
		}
		if bytes.Contains(e.Data, []byte("June, ")) || bytes.Contains(e.Data, []byte("moon, ")) {
			t.Errorf("what the tool said is on record: %s", e.Data)
		}
	}
	want := events.ToolCall{Server: "ext", Tool: "rhyme", Outcome: events.ToolOK, ArgumentBytes: 2, ResultBytes: len("moon, June")}
	if len(tools) != 2 || tools[0] != want || tools[1] != want {
		t.Errorf("on record are %+v", tools)
	}
	last := c.asked[2].Messages
	if len(last) == 0 || last[len(last)-1].Role != llm.RoleTool || last[len(last)-1].Text != "moon, June" {
		t.Errorf("the model is told %+v", last)
	}
}

func TestAsk_OffersNothingUnlessConfigured(t *testing.T) {
	t.Parallel()
	c := &toolUser{wants: 2}
	got, _ := workerstest.Work(t, poet(t, c), []byte(input))
	if got.State != task.Completed || len(c.asked) != 1 || len(c.asked[0].Tools) != 0 || got.Usage.ToolCalls != 0 {
		t.Errorf("state %s, %d calls, usage %+v", got.State, len(c.asked), got.Usage)
	}
}

func TestAsk_BoundsTheCallsOfTools(t *testing.T) {
	t.Parallel()
	c, b := &toolUser{wants: 100}, &box{}
	got, _ := workerstest.Work(t, poet(t, ask.WithTools(c, b)), []byte(input))
	if got.State != task.Completed || b.calls > 8 || b.calls < 2 {
		t.Errorf("state %s, %d calls", got.State, b.calls)
	}
}

// What a model had called is on record also where the step came to nothing, and says what came of it.
func TestAsk_PutsCallsOnRecordWhoseStepFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want events.ToolCall
	}{
		"Answered": {nil, events.ToolCall{Outcome: events.ToolOK, ResultBytes: 10}},
		"Reported": {llm.ErrReported, events.ToolCall{Outcome: events.ToolFailed, Reason: "reported", ResultBytes: 10}},
		"Away":     {fault.New(fault.Unavailable, "away"), events.ToolCall{Outcome: events.ToolFailed, Reason: "unavailable"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &toolUser{wants: 1, says: `{"lines":"none"}`}
			got, history := workerstest.Work(t, poet(t, ask.WithTools(m, &box{err: c.err})), []byte(input))
			f, err := events.DataAs[events.Failed](history[len(history)-1])
			c.want.Server, c.want.Tool, c.want.ArgumentBytes = "ext", "rhyme", 2
			if got.State != task.Failed || err != nil || len(f.Tools) != 1 || f.Tools[0] != c.want {
				t.Errorf("state %s, on record %+v, %v", got.State, f.Tools, err)
			}
		})
	}
}
