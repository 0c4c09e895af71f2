package llmtest

import (
	"encoding/json"
	"fmt"
	"strings"
)

type object = map[string]any

// parseCall reads a request of either format: they share most names.
func parseCall(d Dialect, body []byte) (Call, error) {
	var v struct {
		Model          string
		Stream         bool
		System         string // Anthropic's
		Temperature    *float64
		MaxTokens      int                   `json:"max_tokens"`
		MaxCompletion  int                   `json:"max_completion_tokens"`
		ResponseFormat struct{ Type string } `json:"response_format"`
		Messages       []struct {
			Role    string
			Content json.RawMessage
		}
	}
	if err := json.Unmarshal(body, &v); err != nil {
		return Call{}, err
	}
	if d == Anthropic && v.MaxTokens <= 0 {
		return Call{}, fmt.Errorf("max_tokens is missing")
	}
	c := Call{
		Body: body, Model: v.Model, Stream: v.Stream, System: v.System, Temperature: v.Temperature,
		JSONMode: v.ResponseFormat.Type == "json_object", MaxTokens: max(v.MaxTokens, v.MaxCompletion),
	}
	for _, m := range v.Messages {
		text, err := contentText(m.Content)
		if err != nil {
			return Call{}, err
		}
		if m.Role == "system" {
			c.System += text
		} else {
			c.Prompt += text
		}
	}
	return c, nil
}

// contentText reads a message's content: a string or a list of text parts.
func contentText(raw json.RawMessage) (string, error) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text, nil
	}
	var parts []struct{ Text string }
	if err := json.Unmarshal(raw, &parts); err != nil {
		return "", err
	}
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(p.Text)
	}
	return b.String(), nil
}

// frames renders an answer: one frame when it is no stream.
func frames(d Dialect, call Call, r Reply) []frame {
	if d == Anthropic {
		return anthropicFrames(call, r)
	}
	return openaiFrames(call, r)
}

func openaiFrames(call Call, r Reply) []frame {
	var stop any = r.Stop
	if r.Stop == "" {
		stop = "stop"
	}
	if r.End == NoStop {
		stop = nil
	}
	usage := object{"prompt_tokens": r.InputTokens, "completion_tokens": r.OutputTokens, "total_tokens": r.InputTokens + r.OutputTokens}
	id := fmt.Sprintf("chatcmpl-%d", call.N)
	if !call.Stream {
		return []frame{{data: encode(object{
			"id": id, "object": "chat.completion", "created": 1770000000, "model": r.Model, "usage": usage,
			"choices": []object{{"index": 0, "finish_reason": stop, "message": object{"role": "assistant", "content": r.Text}}},
		})}}
	}
	chunk := func(delta object, stop any) string {
		return event("", object{
			"id": id, "object": "chat.completion.chunk", "created": 1770000000, "model": r.Model,
			"choices": []object{{"index": 0, "delta": delta, "finish_reason": stop}},
		})
	}
	out := []frame{{data: chunk(object{"role": "assistant", "content": ""}, nil)}}
	for _, p := range pieces(r.Text, r.Delta) {
		out = append(out, frame{data: chunk(object{"content": p}, nil), text: true})
	}
	return append(out,
		frame{data: chunk(object{}, stop)},
		frame{data: event("", object{"id": id, "object": "chat.completion.chunk", "model": r.Model, "choices": []object{}, "usage": usage})},
		frame{data: "data: [DONE]\n\n"})
}

func anthropicFrames(call Call, r Reply) []frame {
	var stop any = r.Stop
	if r.Stop == "" {
		stop = "end_turn"
	}
	if r.End == NoStop {
		stop = nil
	}
	id := fmt.Sprintf("msg_%d", call.N)
	if !call.Stream {
		return []frame{{data: encode(object{
			"id": id, "type": "message", "role": "assistant", "model": r.Model, "stop_reason": stop, "stop_sequence": nil,
			"content": []object{{"type": "text", "text": r.Text}},
			"usage":   object{"input_tokens": r.InputTokens, "output_tokens": r.OutputTokens},
		})}}
	}
	named := func(name string, data object) string {
		data["type"] = name
		return event(name, data)
	}
	out := []frame{
		{data: named("message_start", object{"message": object{
			"id": id, "type": "message", "role": "assistant", "model": r.Model, "content": []any{}, "stop_reason": nil, "stop_sequence": nil,
			"usage": object{"input_tokens": r.InputTokens, "output_tokens": 1},
		}})},
		{data: named("content_block_start", object{"index": 0, "content_block": object{"type": "text", "text": ""}})},
		{data: named("ping", object{})},
	}
	for _, p := range pieces(r.Text, r.Delta) {
		out = append(out, frame{text: true, data: named("content_block_delta", object{"index": 0, "delta": object{"type": "text_delta", "text": p}})})
	}
	return append(out,
		frame{data: named("content_block_stop", object{"index": 0})},
		frame{data: named("message_delta", object{
			"delta": object{"stop_reason": stop, "stop_sequence": nil}, "usage": object{"output_tokens": r.OutputTokens},
		})},
		frame{data: named("message_stop", object{})})
}

func ollamaTags(models []string) object {
	list := []object{}
	for _, m := range models {
		list = append(list, object{"name": m, "model": m, "details": object{"family": "llama", "format": "gguf"}})
	}
	return object{"models": list}
}

func encode(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("llmtest: encode an answer: %v", err)) // only maps of plain values come here
	}
	return string(data)
}
