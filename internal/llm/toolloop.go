package llm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Callable is a tool that CompleteWithTools can call.
type Callable struct {
	Tool
	// Server is whose tool it is, when it is somebody else's; for the record.
	Server string
	// Masked is set where who does it is not to know who people are: see ToolCall.Masked.
	Masked bool
	// Call does what the tool does. arguments satisfy Tool.Parameters. What it returns is the model's to read, also beside
	// ErrReported; so is the message of an error that is a fault, and of any other error only that there was one. It must end
	// with ctx: nothing else ends it.
	Call func(ctx context.Context, arguments json.RawMessage) (string, error)
}

// ErrReported is what a Call returns beside its result when the tool itself says in that that it failed.
var ErrReported = errors.New("the tool reports a failure")

// ToolLimits bounds what a model may do with tools in one CompleteWithTools. Zero fields take the defaults.
type ToolLimits struct {
	Rounds  int           // answers that ask for tools; 4
	Calls   int           // in all rounds; 8
	Timeout time.Duration // of one call; 10 s
	Result  int           // of one call, in bytes, what is beyond is cut; 32 KiB
	Total   time.Duration // of all calls; 1 minute
}

func (l ToolLimits) withDefaults() ToolLimits {
	setZero(&l.Rounds, 4)
	setZero(&l.Calls, 8)
	setZero(&l.Timeout, 10*time.Second)
	setZero(&l.Result, 32<<10)
	setZero(&l.Total, time.Minute)
	return l
}

// ToolTrace says what became of one call of a tool, for the record. It holds nothing of what was said.
type ToolTrace struct {
	Server    string        `json:"server,omitempty"`
	Name      string        `json:"name"`
	Arguments int           `json:"arguments"` // bytes
	Result    int           `json:"result"`    // bytes, before it was cut
	Duration  time.Duration `json:"duration"`
	OK        bool          `json:"ok"`
	// Reason says why not: "arguments", "limit", "timeout", "reported", or the kind of the tool's fault.
	Reason string `json:"reason,omitempty"`
}

// CompleteWithTools calls c and the tools that it asks for, in the order in which it asks for them, until it answers with text.
// Arguments are validated against the tool's schema; what is wrong with them, and a tool's failure, is the call's result, so that
// the model may correct itself. So is, once, an answer that asks for a tool wrongly. At a limit the model is told so, and asked
// once more without tools.
//
// The Response is the last answer, with the Usage of all. OnDelta hears the text of every round, also what the model says before
// it asks for tools. The trace has an entry for each call that the model asked for, also beside an error.
//
// Errors are those of c, with the Usage of the rounds before in the Response; Invalid for tools that cannot be offered.
func CompleteWithTools(ctx context.Context, c Client, req Request, tools []Callable, limits ToolLimits) (Response, []ToolTrace, error) {
	box, err := newToolbox(tools, limits.withDefaults())
	if err != nil {
		return Response{}, nil, err
	}
	req.Messages, req.Tools = slices.Clone(req.Messages), box.offered
	usage, corrected := Usage{CostKnown: true}, false
	for round := 0; ; round++ {
		if round >= box.limits.Rounds || box.exhausted() {
			req.Tools = nil
		}
		resp, err := c.Complete(ctx, req)
		var bad *InvalidOutputError
		switch {
		case errors.As(err, &bad) && errors.Is(err, ErrToolCall) && len(req.Tools) > 0 && !corrected:
			corrected = true
			usage = usage.Add(bad.Usage)
			req = follow(req, Message{Role: RoleUser, Text: correction(bad)})
			continue
		case errors.As(err, &bad):
			bad.Usage = usage.Add(bad.Usage)
			return Response{Usage: bad.Usage}, box.trace, err
		case err != nil:
			return Response{Usage: paid(usage, round)}, box.trace, err
		}
		usage = usage.Add(resp.Usage)
		if len(resp.Calls) == 0 || len(req.Tools) == 0 {
			resp.Usage, resp.Calls = usage, nil
			return resp, box.trace, nil
		}
		results, err := box.callAll(ctx, resp.Calls)
		if err != nil {
			return Response{Usage: usage}, box.trace, err
		}
		req = follow(req, append([]Message{{Role: RoleAssistant, Text: resp.Text, Calls: resp.Calls}}, results...)...)
	}
}

func paid(u Usage, rounds int) Usage {
	if rounds == 0 {
		return Usage{}
	}
	return u
}

// follow makes the prompt a turn of the conversation, which goes on with turns.
func follow(req Request, turns ...Message) Request {
	if req.Prompt != "" {
		req.Messages = append(req.Messages, Message{Role: RoleUser, Text: req.Prompt})
		req.Prompt = ""
	}
	req.Messages = append(req.Messages, turns...)
	if last := turns[len(turns)-1]; last.Role == RoleUser {
		req.Prompt, req.Messages = last.Text, req.Messages[:len(req.Messages)-1]
	}
	return req
}

func correction(bad *InvalidOutputError) string {
	var b strings.Builder
	b.WriteString("Your last answer asked for a tool in a way that cannot be served:\n")
	for _, d := range bad.Details {
		fmt.Fprintf(&b, "- %s %s\n", d.Field, d.Reason)
	}
	b.WriteString("Ask again with the name of a tool that is offered and one JSON object as its arguments, or answer without tools.")
	return b.String()
}

// toolbox calls tools within limits, for one model, one after the other.
type toolbox struct {
	limits  ToolLimits
	offered []Tool
	tools   map[string]checkedTool
	trace   []ToolTrace
	spent   time.Duration
}

func newToolbox(tools []Callable, limits ToolLimits) (*toolbox, error) {
	b := &toolbox{limits: limits, tools: map[string]checkedTool{}}
	for _, t := range tools {
		b.offered = append(b.offered, t.Tool)
	}
	if err := checkTools(b.offered); err != nil {
		return nil, err
	}
	for i, t := range tools {
		schema, err := compileSchema(parametersOf(t.Tool))
		if err != nil || t.Call == nil {
			return nil, fault.InvalidField(fmt.Sprintf("tools[%d]", i), "%q has no usable schema or nothing to call: %v", t.Name, err)
		}
		b.tools[t.Name] = checkedTool{t, schema}
	}
	return b, nil
}

func (b *toolbox) exhausted() bool {
	return len(b.trace) >= b.limits.Calls || b.spent >= b.limits.Total
}

// callAll returns the results of calls. It fails only when ctx has ended.
func (b *toolbox) callAll(ctx context.Context, calls []ToolCall) ([]Message, error) {
	var results []Message
	for _, c := range calls {
		text := b.callMasked(ctx, c)
		if ctx.Err() != nil {
			return nil, endedFault(ctx, "the tool "+c.Name)
		}
		results = append(results, Message{Role: RoleTool, Call: c.ID, Text: text})
	}
	return results, nil
}

// callMasked calls a tool with what it may be told.
func (b *toolbox) callMasked(ctx context.Context, c ToolCall) string {
	if c.Masked == nil || !b.tools[c.Name].tool.Masked {
		return b.call(ctx, c)
	}
	c.Arguments = c.Masked.Arguments
	return c.Masked.Restore(b.call(ctx, c))
}

func (b *toolbox) call(ctx context.Context, c ToolCall) string {
	tool := b.tools[c.Name] // the Client has made sure that it was offered
	trace := ToolTrace{Server: tool.tool.Server, Name: c.Name, Arguments: len(c.Arguments)}
	defer func() { b.trace = append(b.trace, trace) }()
	if b.exhausted() {
		trace.Reason = "limit"
		return "This tool was not called: no more calls are allowed. Answer with what you have."
	}
	if wrong := tool.wrong(c.Arguments); wrong != "" {
		trace.Reason = "arguments"
		return "This tool was not called: its arguments are not valid.\n" + wrong
	}
	limit := min(b.limits.Timeout, b.limits.Total-b.spent)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	start := time.Now()
	result, err := tool.tool.Call(ctx, c.Arguments)
	trace.Duration = time.Since(start)
	b.spent += trace.Duration
	reported := errors.Is(err, ErrReported)
	switch {
	case reported:
		trace.Reason = "reported"
	case err != nil && ctx.Err() != nil:
		trace.Reason = "timeout"
		return fmt.Sprintf("This tool failed: it did not answer within %s.", limit)
	case err != nil:
		trace.Reason = fault.KindOf(err).String()
		return "This tool failed: " + clip(told(err), b.limits.Result)
	}
	trace.OK, trace.Result = !reported, len(result)
	if len(result) > b.limits.Result {
		return clip(result, b.limits.Result) + fmt.Sprintf("\n[cut: %d of %d bytes]", b.limits.Result, len(result))
	}
	return result
}

// told is what a model may know of a tool's error: a fault's own message, not what lies behind it.
func told(err error) string {
	var known *fault.Error
	if !errors.As(err, &known) || known.Kind == fault.Internal || known.Message == "" {
		return "something went wrong"
	}
	text := known.Message
	for _, d := range known.Details {
		text += "; " + strings.TrimSpace(d.Field+" "+d.Reason)
	}
	return text
}
