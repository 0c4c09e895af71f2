package ask_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers/agents/ask"
	"github.com/toolboxai/orchestrator/workers/workerstest"
)

// box offers one tool to poems, and counts its calls.
type box struct{ calls int }

func (b *box) Tools(_ context.Context, kind string) []llm.Callable {
	if kind != "poem" {
		return nil
	}
	return []llm.Callable{{
		Tool: llm.Tool{Name: "ext_rhyme", Description: "Rhymes.", Parameters: json.RawMessage(`{"type":"object"}`)},
		Call: func(context.Context, json.RawMessage) (string, error) {
			b.calls++
			return "moon, June", nil
		},
	}}
}

// toolUser asks for a tool until it has had its result wants times, then answers.
type toolUser struct {
	wants int
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
	resp.Text = `{"lines":["moon","June"]}`
	return resp, nil
}

func TestAsk_CallsToolsThatAreOfferedAndPutsThatOnRecord(t *testing.T) {
	t.Parallel()
	c, b := &toolUser{wants: 2}, &box{}
	got, history := workerstest.Work(t, poet(t, ask.WithTools(c, b)), []byte(input))
	if got.State != task.Completed || b.calls != 2 || got.Usage.ToolCalls != 2 || got.Usage.Calls != 3 || got.Usage.InputTokens != 3 {
		t.Errorf("state %s, %d calls, usage %+v, %d events", got.State, b.calls, got.Usage, len(history))
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
