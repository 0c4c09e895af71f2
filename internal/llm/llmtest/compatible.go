package llmtest

// compatibleFrames renders an answer as servers do that follow the format of OpenAI only in what most clients look at.
func compatibleFrames(call Call, r Reply) []frame {
	var stop any = r.Stop
	switch {
	case r.End == NoStop:
		stop = nil
	case r.Stop == "":
		stop = "stop" // also of tool calls
	}
	calls := []object{}
	for _, c := range openaiCalls(r.Calls) {
		delete(c, "type")
		calls = append(calls, c)
	}
	if !call.Stream {
		return []frame{{data: encode(object{
			"model": r.Model, "timings": object{"predicted_ms": 12.5}, "stats": nil, "prompt_logprobs": nil,
			"choices": []object{{"index": 0, "finish_reason": stop, "stop_reason": nil, "message": object{
				"role": "assistant", "content": r.Text, "reasoning_content": "The user wants …", "tool_calls": calls, "refusal": nil, "annotations": []any{},
			}}},
		})}}
	}
	chunk := func(delta object, stop any) string {
		return event("", object{"model": r.Model, "created": 1770000000, "timings": nil, "choices": []object{{"index": 0, "delta": delta, "finish_reason": stop, "token_ids": nil}}})
	}
	out := []frame{{data: ": keep-alive\n\n"}, {data: chunk(object{"role": "assistant", "content": nil, "reasoning_content": "The user wants …"}, nil)}}
	for _, p := range pieces(r.Text, r.Delta) {
		out = append(out, frame{data: chunk(object{"content": p, "tool_calls": []object{}}, nil), text: true})
	}
	for _, c := range calls {
		out = append(out, frame{data: chunk(object{"content": nil, "tool_calls": []object{c}}, nil), text: true})
	}
	return append(out, frame{data: chunk(object{"content": ""}, stop)}, frame{data: "data: [DONE]\n\n"})
}

// counts reports whether servers of the dialect say how many tokens they took.
func (d Dialect) counts() bool { return d != Compatible }
