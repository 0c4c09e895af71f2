package events

import "slices"

// Bounds of what is kept of calls of tools in one event. A task makes fewer.
const (
	MaxToolCalls = 32
	maxToolName  = 128 // bytes
)

// ToolOutcome says what came of a call.
type ToolOutcome string

// The outcomes.
const (
	ToolOK      ToolOutcome = "ok"
	ToolRefused ToolOutcome = "refused" // by us: the tool was not called
	ToolFailed  ToolOutcome = "failed"  // also where the tool says so itself
)

// ToolCall says that a model had a tool of an MCP server called. It holds nothing of what was said.
type ToolCall struct {
	Server        string      `json:"server,omitempty"` // as the operator calls it
	Tool          string      `json:"tool"`
	Outcome       ToolOutcome `json:"outcome"`
	Reason        string      `json:"reason,omitempty"` // why not ok: "arguments", "limit", "timeout", "reported" by the tool, or a fault's kind
	DurationMS    int64       `json:"duration_ms"`
	ArgumentBytes int         `json:"argument_bytes"`
	ResultBytes   int         `json:"result_bytes"` // before the result was cut
}

// KeepToolCalls returns what is kept of calls, the oldest first: MaxToolCalls, those that were refused being the first to go, then the
// oldest. It does not change the list that it is given.
func KeepToolCalls(list []ToolCall) []ToolCall {
	if len(list) == 0 {
		return nil
	}
	over := len(list) - MaxToolCalls
	kept := slices.DeleteFunc(slices.Clone(list), func(c ToolCall) bool {
		goes := over > 0 && c.Outcome == ToolRefused
		if goes {
			over--
		}
		return goes
	})
	kept = kept[max(0, len(kept)-MaxToolCalls):]
	for i := range kept {
		c := &kept[i]
		c.Server, c.Tool, c.Reason = cutText(c.Server, maxToolName), cutText(c.Tool, maxToolName), cutText(c.Reason, maxToolName)
	}
	return kept
}
