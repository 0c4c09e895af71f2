package llm

import (
	"encoding/json"
	"slices"
	"strings"
)

type anthropicTurn struct {
	Role    string           `json:"role"`
	Content []anthropicBlock `json:"content"`
}

// anthropicBlock is a part of a turn: raw, or what its type wants.
type anthropicBlock struct {
	Type      string          `json:"type"`
	Text      string          `json:"text,omitempty"`
	ID        string          `json:"id,omitempty"`
	Name      string          `json:"name,omitempty"`
	Input     json.RawMessage `json:"input,omitempty"`
	ToolUseID string          `json:"tool_use_id,omitempty"`
	Content   string          `json:"content,omitempty"`

	raw json.RawMessage // what the provider said, as it came
}

func (b anthropicBlock) MarshalJSON() ([]byte, error) {
	if b.raw != nil {
		return b.raw, nil
	}
	type plain anthropicBlock
	return json.Marshal(plain(b))
}

type anthropicTool struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	InputSchema json.RawMessage `json:"input_schema"`
}

func (anthropicFormat) amend(body map[string]json.RawMessage, a ask) error {
	set := setter{body: body}
	if len(a.req.Messages) > 0 {
		set.field("messages", anthropicTurns(a))
	}
	if tools := a.req.Tools; len(tools) > 0 {
		set.field("tools", anthropicTools(tools))
	} else if told := toldTools(a.req.Messages); len(told) > 0 {
		// A conversation in which tools were called is refused without a list of tools.
		set.field("tools", anthropicTools(told))
		set.field("tool_choice", map[string]string{"type": "none"})
	}
	if a.form == formSchema {
		schema, _ := wireSchema(a.req.Schema, anthropicKeywords)
		set.field("output_config", map[string]any{"format": map[string]any{"type": "json_schema", "schema": schema}})
	}
	return set.err
}

func anthropicTools(tools []Tool) []anthropicTool {
	out := make([]anthropicTool, len(tools))
	for i, t := range tools {
		out[i] = anthropicTool{t.Name, t.Description, parametersOf(t)}
	}
	return out
}

// toldTools are the tools that a conversation speaks of.
func toldTools(messages []Message) []Tool {
	var out []Tool
	for _, m := range messages {
		for _, c := range m.Calls {
			if !slices.ContainsFunc(out, func(t Tool) bool { return t.Name == c.Name }) {
				out = append(out, Tool{Name: c.Name})
			}
		}
	}
	return out
}

// anthropicTurns joins what one side says in a row: the results of all calls of a turn must come in one.
func anthropicTurns(a ask) []anthropicTurn {
	var out []anthropicTurn
	say := func(role string, blocks ...anthropicBlock) {
		if n := len(out); n > 0 && out[n-1].Role == role {
			out[n-1].Content = append(out[n-1].Content, blocks...)
			return
		}
		out = append(out, anthropicTurn{role, blocks})
	}
	for _, m := range a.req.Messages {
		switch m.Role {
		case RoleUser:
			say("user", anthropicBlock{Type: "text", Text: m.Text})
		case RoleTool:
			say("user", anthropicBlock{Type: "tool_result", ToolUseID: anthropicID(m.Call), Content: m.Text})
		case RoleAssistant:
			say("assistant", anthropicSaid(a.provider, m)...)
		}
	}
	if a.req.Prompt != "" {
		say("user", anthropicBlock{Type: "text", Text: a.req.Prompt})
	}
	return out
}

// anthropicSaid puts the model's thoughts first, as it does itself, then its words, then its calls.
func anthropicSaid(provider string, m Message) []anthropicBlock {
	var out []anthropicBlock
	for _, c := range m.Calls {
		var thoughts []json.RawMessage
		if json.Unmarshal(stateOf(c, provider), &thoughts) == nil {
			for _, raw := range thoughts {
				out = append(out, anthropicBlock{raw: raw})
			}
		}
	}
	if strings.TrimSpace(m.Text) != "" { // empty ones are refused
		out = append(out, anthropicBlock{Type: "text", Text: strings.TrimRight(m.Text, " \t\r\n")})
	}
	for _, c := range m.Calls {
		out = append(out, anthropicBlock{Type: "tool_use", ID: anthropicID(c.ID), Name: c.Name, Input: c.Arguments})
	}
	return out
}

// anthropicID makes an id of another provider one that this one takes.
func anthropicID(id string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, id)
}
