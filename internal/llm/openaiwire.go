package llm

import (
	"bytes"
	"encoding/json"
)

const bareStreamEnd = "[DONE]"

type openaiMessage struct {
	Role       string       `json:"role"`
	Content    *string      `json:"content"` // null beside calls
	ToolCalls  []openaiCall `json:"tool_calls,omitempty"`
	ToolCallID string       `json:"tool_call_id,omitempty"`
}

type openaiCall struct {
	Index    *int   `json:"index,omitempty"` // of a stream's pieces
	ID       string `json:"id,omitempty"`
	Type     string `json:"type,omitempty"`
	Function struct {
		Name      string          `json:"name,omitempty"`
		Arguments json.RawMessage `json:"arguments,omitempty"` // a string that holds JSON
	} `json:"function"`
	Extra json.RawMessage `json:"extra_content,omitempty"` // Google's
}

type openaiTool struct {
	Type     string         `json:"type"`
	Function openaiFunction `json:"function"`
}

type openaiFunction struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters"`
}

func (openaiFormat) amend(body map[string]json.RawMessage, a ask) error {
	set := setter{body: body}
	if len(a.req.Messages) > 0 {
		set.field("messages", openaiMessages(a))
	}
	if len(a.req.Tools) > 0 {
		tools := make([]openaiTool, len(a.req.Tools))
		for i, t := range a.req.Tools {
			tools[i] = openaiTool{"function", openaiFunction{t.Name, t.Description, parametersOf(t)}}
		}
		set.field("tools", tools)
	}
	switch a.form {
	case formObject:
		set.field("response_format", map[string]string{"type": "json_object"})
	case formSchema:
		schema, strict := wireSchema(a.req.Schema, openaiKeywords)
		set.field("response_format", map[string]any{
			"type": "json_schema", "json_schema": map[string]any{"name": schemaName(a.req.Purpose), "strict": strict, "schema": schema},
		})
	}
	return set.err
}

// setter writes fields of a body.
type setter struct {
	body map[string]json.RawMessage
	err  error
}

func (s *setter) field(name string, value any) {
	raw, err := json.Marshal(value)
	if err != nil {
		s.err = err
		return
	}
	s.body[name] = raw
}

func openaiMessages(a ask) []openaiMessage {
	var out []openaiMessage
	if a.system != "" {
		out = append(out, openaiMessage{Role: "system", Content: &a.system})
	}
	for _, m := range a.req.Messages {
		w := openaiMessage{Role: string(m.Role), Content: &m.Text, ToolCallID: m.Call}
		if len(m.Calls) > 0 {
			w.ToolCalls = openaiCalls(a.provider, m.Calls)
			if m.Text == "" {
				w.Content = nil
			}
		}
		out = append(out, w)
	}
	if a.req.Prompt != "" {
		out = append(out, openaiMessage{Role: "user", Content: &a.req.Prompt})
	}
	return out
}

// unsignedCall is what Google documents for calls that its model did not make itself: it would refuse them without a signature.
const unsignedCall = `{"google":{"thought_signature":"skip_thought_signature_validator"}}`

func openaiCalls(provider string, calls []ToolCall) []openaiCall {
	out, signed := make([]openaiCall, len(calls)), false
	for i, c := range calls {
		out[i] = openaiCall{ID: c.ID, Type: "function", Extra: stateOf(c, provider)}
		signed = signed || len(out[i].Extra) > 0
		out[i].Function.Name = c.Name
		out[i].Function.Arguments, _ = json.Marshal(string(c.Arguments)) // a string can be encoded
	}
	if provider == "google" && !signed {
		out[0].Extra = json.RawMessage(unsignedCall) // one for all calls of a turn
	}
	return out
}

// openaiSaid is what the model said, in whole or in part.
type openaiSaid struct {
	Content   json.RawMessage `json:"content"`
	Refusal   string          `json:"refusal"`
	ToolCalls []openaiCall    `json:"tool_calls"`
}

func (openaiFormat) inspect(data []byte, seen *sighting) (complaint, pass []byte, err error) {
	if string(data) == bareStreamEnd {
		seen.done = true
		return nil, data, nil
	}
	var v struct {
		Model   string          `json:"model"`
		Error   json.RawMessage `json:"error"`
		Choices []struct {
			Delta        openaiSaid `json:"delta"`
			Message      openaiSaid `json:"message"`
			FinishReason string     `json:"finish_reason"`
		} `json:"choices"`
		Usage *openaiUsage `json:"usage"`
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return nil, nil, err
	}
	if len(v.Error) > 0 && string(v.Error) != "null" {
		return v.Error, nil, nil
	}
	if v.Model != "" {
		seen.model = clip(v.Model, 100)
	}
	if v.Usage != nil {
		seen.used = v.Usage.tokens()
	}
	if len(v.Choices) == 0 {
		return nil, data, nil
	}
	first := v.Choices[0]
	var delta string
	if json.Unmarshal(first.Delta.Content, &delta) == nil {
		seen.text += len(delta)
	}
	if first.FinishReason != "" {
		seen.stop, seen.done = first.FinishReason, true
	}
	seen.refused = seen.refused || first.Delta.Refusal != "" || first.Message.Refusal != ""
	for i := range first.Message.ToolCalls { // each is whole, whatever ids the server gives them
		first.Message.ToolCalls[i].Index = &i
	}
	for _, c := range append(first.Delta.ToolCalls, first.Message.ToolCalls...) {
		seen.calls.add(piece{slot: c.Index, id: c.ID, name: c.Function.Name, arguments: argumentsText(c.Function.Arguments), state: c.Extra})
	}
	if len(first.Delta.ToolCalls)+len(first.Message.ToolCalls) > 0 {
		pass, err = withoutCalls(data)
		return nil, pass, err
	}
	return nil, data, nil
}

// argumentsText reads arguments: a string, or the object itself as some servers have it.
func argumentsText(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return string(raw)
}

// withoutCalls returns data without the tool calls of its first choice.
func withoutCalls(data []byte) ([]byte, error) {
	var v map[string]json.RawMessage
	var choices []map[string]json.RawMessage
	if err := json.Unmarshal(data, &v); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(v["choices"], &choices); err != nil {
		return nil, err
	}
	for _, part := range []string{"delta", "message"} {
		var said map[string]json.RawMessage
		if json.Unmarshal(choices[0][part], &said) != nil || said == nil {
			continue
		}
		delete(said, "tool_calls")
		choices[0][part], _ = json.Marshal(said) // of values that were just decoded
	}
	v["choices"], _ = json.Marshal(choices[:1]) // likewise
	return json.Marshal(v)
}

type openaiUsage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
	Details    struct {
		Cached int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
}

// tokens takes what the total has beyond the prompt for output: Google leaves reasoning out of the completion's count.
func (u *openaiUsage) tokens() tokens {
	input := sane(u.Prompt)
	return tokens{input: input, cached: sane(u.Details.Cached), output: sane(max(u.Completion, sane(u.Total)-input))}
}

// schemaName makes a name for a schema of what it is for: providers want one of letters, digits, _ and -.
func schemaName(purpose string) string {
	name := bytes.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '_'
	}, []byte(clip(purpose, 64)))
	if len(name) == 0 {
		return "answer"
	}
	return string(name)
}
