package llm

import (
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	maxMessages     = 1000
	maxConversation = 2 << 20  // of all turns, in bytes
	maxTools        = 128      // what the providers take
	maxParameters   = 64 << 10 // of one tool's schema, in bytes
	maxStateBytes   = 256 << 10
)

var toolName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// checkRequest refuses what no provider understands. Errors are Invalid and name the field.
func checkRequest(req Request) error {
	if req.Prompt == "" && (len(req.Messages) == 0 || req.Messages[len(req.Messages)-1].Role != RoleTool) {
		return fault.InvalidField("prompt", "is empty")
	}
	if err := checkMessages(req.Messages); err != nil {
		return err
	}
	return checkTools(req.Tools)
}

// checkMessages holds the turns to what all formats have in common: the user begins, and every call of an assistant's turn is
// answered by the tool's turns that follow it, each once.
func checkMessages(messages []Message) error {
	if len(messages) > maxMessages {
		return fault.InvalidField("messages", "are %d, more than %d", len(messages), maxMessages)
	}
	size, open := 0, map[string]bool{}
	for i, m := range messages {
		field := fmt.Sprintf("messages[%d]", i)
		if len(open) > 0 && m.Role != RoleTool {
			return fault.InvalidField(field, "comes before the results of all tools that were asked for")
		}
		switch {
		case m.Role != RoleUser && m.Role != RoleAssistant && m.Role != RoleTool:
			return fault.InvalidField(field+".role", "is %q, which is none of user, assistant and tool", m.Role)
		case i == 0 && m.Role != RoleUser:
			return fault.InvalidField(field+".role", "is %q: a conversation begins with the user", m.Role)
		case m.Role == RoleTool && !open[m.Call]:
			return fault.InvalidField(field+".call", "%q is no call that waits for its result", m.Call)
		case m.Role != RoleTool && m.Text == "" && len(m.Calls) == 0:
			return fault.InvalidField(field+".text", "is empty")
		case m.Role != RoleAssistant && len(m.Calls) > 0:
			return fault.InvalidField(field+".calls", "are in a turn that is not the assistant's")
		}
		delete(open, m.Call)
		size += len(m.Text)
		for j, c := range m.Calls {
			if c.ID == "" || open[c.ID] || !toolName.MatchString(c.Name) || !isObject(c.Arguments) {
				return fault.InvalidField(fmt.Sprintf("%s.calls[%d]", field, j), "lacks an id of its own, a tool's name or an object of arguments")
			}
			open[c.ID] = true
			size += len(c.Arguments) + len(c.State)
		}
	}
	if len(open) > 0 {
		return fault.InvalidField("messages", "end before the results of all tools that were asked for")
	}
	if size > maxConversation {
		return fault.InvalidField("messages", "hold %d bytes, more than %d", size, maxConversation)
	}
	return nil
}

func checkTools(tools []Tool) error {
	if len(tools) > maxTools {
		return fault.InvalidField("tools", "are %d, more than %d", len(tools), maxTools)
	}
	seen := map[string]bool{}
	for i, t := range tools {
		field := fmt.Sprintf("tools[%d]", i)
		switch {
		case !toolName.MatchString(t.Name):
			return fault.InvalidField(field+".name", "is %q, not 1 to 64 letters, digits, _ and -", clip(t.Name, 100))
		case seen[t.Name]:
			return fault.InvalidField(field+".name", "%q is taken", t.Name)
		case len(t.Parameters) > maxParameters || len(t.Parameters) > 0 && !isObject(t.Parameters):
			return fault.InvalidField(field+".parameters", "is no JSON Schema of at most %d bytes", maxParameters)
		}
		seen[t.Name] = true
	}
	return nil
}

// isObject reports whether raw is one JSON object.
func isObject(raw json.RawMessage) bool {
	var object map[string]json.RawMessage
	return json.Unmarshal(raw, &object) == nil && object != nil
}

// parametersOf returns the schema of t's arguments.
func parametersOf(t Tool) json.RawMessage {
	if len(t.Parameters) == 0 {
		return json.RawMessage(`{"type":"object","properties":{}}`)
	}
	return t.Parameters
}

// conversationBytes is how much of a request its turns and tools are.
func conversationBytes(req Request) int {
	n := 0
	for _, m := range req.Messages {
		n += len(m.Text)
		for _, c := range m.Calls {
			n += len(c.Name) + len(c.Arguments)
		}
	}
	for _, t := range req.Tools {
		n += len(t.Name) + len(t.Description) + len(t.Parameters)
	}
	return n
}

// stateOf returns what provider said of c, nil when another one said it.
func stateOf(c ToolCall, provider string) json.RawMessage {
	var by map[string]json.RawMessage
	if json.Unmarshal(c.State, &by) != nil {
		return nil
	}
	return by[provider]
}

// stateFrom is the State of a call of which provider says raw.
func stateFrom(provider string, raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 || len(raw) > maxStateBytes {
		return nil
	}
	state, err := json.Marshal(map[string]json.RawMessage{provider: raw})
	if err != nil {
		return nil
	}
	return state
}
