package llmtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/toolboxai/orchestrator/internal/llm"
)

// wireRequest is a request of either format: they share most names.
type wireRequest struct {
	Model          string
	Stream         bool
	System         string // Anthropic's
	Temperature    *float64
	MaxTokens      int `json:"max_tokens"`
	MaxCompletion  int `json:"max_completion_tokens"`
	ResponseFormat struct {
		Type       string
		JSONSchema struct {
			Schema json.RawMessage
			Strict bool
		} `json:"json_schema"`
	} `json:"response_format"`
	OutputConfig struct {
		Format struct{ Schema json.RawMessage }
	} `json:"output_config"`
	Tools      []wireTool
	ToolChoice struct{ Type string } `json:"tool_choice"`
	Messages   []wireMessage
	Input      []string // of a call for embeddings
}

type wireTool struct {
	Name, Description string
	InputSchema       json.RawMessage `json:"input_schema"`
	Function          struct {
		Name, Description string
		Parameters        json.RawMessage
	}
}

type wireMessage struct {
	Role       string
	Content    json.RawMessage
	ToolCallID string `json:"tool_call_id"`
	ToolCalls  []struct {
		ID       string
		Function struct{ Name, Arguments string }
		Extra    json.RawMessage `json:"extra_content"`
	} `json:"tool_calls"`
}

// wireBlock is a part of a turn.
type wireBlock struct {
	Type, Text, ID, Name, Signature, Content string
	Input                                    json.RawMessage
	ToolUseID                                string `json:"tool_use_id"`
}

// parseCall reads a request.
func parseCall(d Dialect, body []byte) (Call, error) {
	var v wireRequest
	if err := json.Unmarshal(body, &v); err != nil {
		return Call{}, err
	}
	if d == Anthropic && v.MaxTokens <= 0 {
		return Call{}, errors.New("max_tokens is missing")
	}
	c := Call{
		Body: body, Model: v.Model, Stream: v.Stream, System: v.System, Temperature: v.Temperature,
		JSONMode: v.ResponseFormat.Type == "json_object", MaxTokens: max(v.MaxTokens, v.MaxCompletion),
		Schema: v.OutputConfig.Format.Schema, Strict: v.ResponseFormat.JSONSchema.Strict, NoTools: v.ToolChoice.Type == "none", Texts: v.Input,
	}
	if schema := v.ResponseFormat.JSONSchema.Schema; schema != nil {
		c.Schema = schema
	}
	for _, t := range v.Tools {
		tool := llm.Tool{Name: t.Name, Description: t.Description, Parameters: t.InputSchema}
		if d != Anthropic {
			tool = llm.Tool(t.Function)
		}
		c.Tools = append(c.Tools, tool)
	}
	for _, m := range v.Messages {
		turn, err := m.turn()
		if err != nil {
			return Call{}, err
		}
		switch turn.Role {
		case "system":
			c.System += turn.Text
			continue
		case "user":
			c.Prompt += turn.Text
		}
		c.Turns = append(c.Turns, turn)
	}
	return c, checkTurns(c.Turns)
}

func (m wireMessage) turn() (Turn, error) {
	turn := Turn{Role: m.Role}
	for _, c := range m.ToolCalls {
		turn.Calls = append(turn.Calls, llm.ToolCall{ID: c.ID, Name: c.Function.Name, Arguments: json.RawMessage(c.Function.Arguments), State: c.Extra})
	}
	blocks, err := contentBlocks(m.Content)
	if err != nil {
		return turn, err
	}
	var text strings.Builder
	var signature json.RawMessage
	for _, b := range blocks {
		switch b.Type {
		case "thinking":
			signature = json.RawMessage(b.Signature)
		case "tool_use":
			turn.Calls = append(turn.Calls, llm.ToolCall{ID: b.ID, Name: b.Name, Arguments: b.Input, State: signature})
			signature = nil
		case "tool_result":
			turn.Results = append(turn.Results, Result{b.ToolUseID, b.Content})
		default:
			text.WriteString(b.Text)
		}
	}
	turn.Text = text.String()
	if m.Role == "tool" {
		turn.Results, turn.Text = []Result{{m.ToolCallID, turn.Text}}, ""
	}
	return turn, nil
}

// contentBlocks reads a message's content: nothing, a string or a list of parts.
func contentBlocks(raw json.RawMessage) ([]wireBlock, error) {
	var text string
	if len(raw) == 0 || json.Unmarshal(raw, &text) == nil {
		return []wireBlock{{Type: "text", Text: text}}, nil
	}
	var parts []wireBlock
	return parts, json.Unmarshal(raw, &parts)
}

// checkTurns is as strict as the providers are: what an assistant asks for is answered right behind it.
func checkTurns(turns []Turn) error {
	waiting := map[string]bool{}
	for i, t := range turns {
		for _, r := range t.Results {
			if !waiting[r.Call] {
				return fmt.Errorf("the result of %q was not asked for", r.Call)
			}
			delete(waiting, r.Call)
		}
		if len(waiting) > 0 && len(t.Results) == 0 {
			return fmt.Errorf("turn %d comes before the results of tools", i)
		}
		for _, c := range t.Calls {
			waiting[c.ID] = true
		}
	}
	if len(waiting) > 0 {
		return errors.New("the results of tools are missing")
	}
	return nil
}
