package llmtest

import (
	"encoding/json"
	"fmt"

	"github.com/toolboxai/orchestrator/internal/llm"
)

type object = map[string]any

// frames renders an answer: one frame when it is no stream.
func frames(d Dialect, call Call, r Reply) []frame {
	if call.Texts != nil {
		return []frame{{data: embeddingsBody(call, r)}}
	}
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
	if r.Stop == "" && len(r.Calls) > 0 && r.End != NoStop {
		stop = "tool_calls"
	}
	usage := object{"prompt_tokens": r.InputTokens, "completion_tokens": r.OutputTokens, "total_tokens": r.InputTokens + r.OutputTokens}
	id := fmt.Sprintf("chatcmpl-%d", call.N)
	if !call.Stream {
		message := object{"role": "assistant", "content": r.Text}
		if len(r.Calls) > 0 {
			message["tool_calls"] = openaiCalls(r.Calls)
			if r.Text == "" {
				message["content"] = nil
			}
		}
		return []frame{{data: encode(object{
			"id": id, "object": "chat.completion", "created": 1770000000, "model": r.Model, "usage": usage,
			"choices": []object{{"index": 0, "finish_reason": stop, "message": message}},
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
	for i, c := range openaiCalls(r.Calls) {
		c["index"] = i
		arguments := string(r.Calls[i].Arguments)
		c["function"] = object{"name": r.Calls[i].Name, "arguments": ""}
		out = append(out, frame{data: chunk(object{"tool_calls": []object{c}}, nil)})
		for _, p := range pieces(arguments, r.Delta) {
			out = append(out, frame{data: chunk(object{"tool_calls": []object{{"index": i, "function": object{"arguments": p}}}}, nil), text: true})
		}
	}
	return append(out,
		frame{data: chunk(object{}, stop)},
		frame{data: event("", object{"id": id, "object": "chat.completion.chunk", "model": r.Model, "choices": []object{}, "usage": usage})},
		frame{data: "data: [DONE]\n\n"})
}

func openaiCalls(calls []llm.ToolCall) []object {
	out := make([]object, len(calls))
	for i, c := range calls {
		out[i] = object{"id": c.ID, "type": "function", "function": object{"name": c.Name, "arguments": string(c.Arguments)}}
		if len(c.State) > 0 {
			out[i]["extra_content"] = c.State
		}
	}
	return out
}

func anthropicFrames(call Call, r Reply) []frame {
	var stop any = r.Stop
	if r.Stop == "" {
		stop = "end_turn"
	}
	if r.End == NoStop {
		stop = nil
	}
	if r.Stop == "" && len(r.Calls) > 0 && r.End != NoStop {
		stop = "tool_use"
	}
	id := fmt.Sprintf("msg_%d", call.N)
	if !call.Stream {
		return []frame{{data: encode(object{
			"id": id, "type": "message", "role": "assistant", "model": r.Model, "stop_reason": stop, "stop_sequence": nil,
			"content": anthropicBlocks(r),
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
		{data: named("ping", object{})},
	}
	for i, b := range anthropicBlocks(r) {
		begin := func(block object) {
			out = append(out, frame{data: named("content_block_start", object{"index": i, "content_block": block})})
		}
		delta := func(said object) {
			out = append(out, frame{text: true, data: named("content_block_delta", object{"index": i, "delta": said})})
		}
		switch b["type"] {
		case "thinking":
			begin(object{"type": "thinking", "thinking": "", "signature": ""})
			delta(object{"type": "thinking_delta", "thinking": b["thinking"]})
			delta(object{"type": "signature_delta", "signature": b["signature"]})
		case "text":
			begin(object{"type": "text", "text": ""})
			for _, p := range pieces(r.Text, r.Delta) {
				delta(object{"type": "text_delta", "text": p})
			}
		case "tool_use":
			begin(object{"type": "tool_use", "id": b["id"], "name": b["name"], "input": object{}})
			arguments := ""
			if raw, ok := b["input"].(json.RawMessage); ok {
				arguments = string(raw)
			}
			for _, p := range pieces(arguments, r.Delta) {
				delta(object{"type": "input_json_delta", "partial_json": p})
			}
		}
		out = append(out, frame{data: named("content_block_stop", object{"index": i})})
	}
	return append(out,
		frame{data: named("message_delta", object{
			"delta": object{"stop_reason": stop, "stop_sequence": nil}, "usage": object{"output_tokens": r.OutputTokens},
		})},
		frame{data: named("message_stop", object{})})
}

// anthropicBlocks are the parts of an answer. The model thinks before it calls tools: that is their State.
func anthropicBlocks(r Reply) []object {
	var out []object
	for _, c := range r.Calls {
		if len(c.State) > 0 {
			out = append(out, object{"type": "thinking", "thinking": "Which tool?", "signature": string(c.State)})
		}
	}
	if r.Text != "" || len(r.Calls) == 0 {
		out = append(out, object{"type": "text", "text": r.Text})
	}
	for _, c := range r.Calls {
		out = append(out, object{"type": "tool_use", "id": c.ID, "name": c.Name, "input": c.Arguments})
	}
	return out
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
