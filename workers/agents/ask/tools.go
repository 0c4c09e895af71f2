package ask

import (
	"context"
	"strings"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/workers"
)

// maxToolCalls is how many calls of tools one task may make in all of its steps and attempts.
const maxToolCalls = 24

// Tools offers tools of others to agents. *mcpclient.Client has it; see there.
type Tools interface {
	// Tools returns what agents of a kind may call now. None is the rule.
	Tools(ctx context.Context, kind string) []llm.Callable
}

// WithTools returns client for agents that may call tools: the Author of a kind takes the tools out of it.
func WithTools(client llm.Client, tools Tools) llm.Client { return equipped{client, tools} }

type equipped struct {
	llm.Client
	tools Tools
}

// withTools is a client that calls tools when the model asks for them. A step that is on record asks no model, and calls none.
type withTools struct {
	llm.Client
	tools []llm.Callable
	left  int
	extra int             // calls of the model beyond one for each Complete
	trace []llm.ToolTrace // of all
}

// equip returns the client of a step: with the tools of a's kind, within what is left for the task, or, where there are none, as it is, caches included.
func (a *Author) equip(ctx context.Context, run *workers.Run) (llm.Client, *withTools) {
	w := &withTools{Client: a.client, left: maxToolCalls}
	if used := run.Task().Usage; used != nil {
		w.left -= used.ToolCalls
	}
	if a.tools != nil && w.left > 0 {
		w.tools = a.tools.Tools(ctx, a.kind)
	}
	if len(w.tools) == 0 {
		return a.client, w
	}
	return w, w
}

// Complete implements llm.Client.
func (w *withTools) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	if w.left <= 0 {
		return w.Client.Complete(ctx, req)
	}
	counted := &counting{Client: w.Client}
	resp, trace, err := llm.CompleteWithTools(ctx, counted, req, w.tools, llm.ToolLimits{Calls: min(w.left, 8)})
	w.extra += max(counted.calls-1, 0)
	w.left -= len(trace)
	w.trace = append(w.trace, trace...)
	return resp, err
}

// counting counts the calls of a model.
type counting struct {
	llm.Client
	calls int
}

func (c *counting) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	if c.calls++; c.calls > 1 && req.OnStart != nil {
		req.OnStart() // what was said beside a call of a tool is not the answer
	}
	return c.Client.Complete(ctx, req)
}

// calls returns what is put on record of the calls.
func (w *withTools) calls() []events.ToolCall {
	var all []events.ToolCall
	for _, t := range w.trace {
		c := events.ToolCall{
			Server: t.Server, Tool: t.Name, Outcome: events.ToolOK, Reason: t.Reason,
			DurationMS: t.Duration.Milliseconds(), ArgumentBytes: t.Arguments, ResultBytes: t.Result,
		}
		if t.Server != "" {
			c.Tool = strings.TrimPrefix(t.Name, t.Server+"_")
		}
		switch {
		case t.Reason == "limit", t.Reason == "arguments":
			c.Outcome = events.ToolRefused
		case !t.OK:
			c.Outcome = events.ToolFailed
		}
		all = append(all, c)
	}
	return all
}
