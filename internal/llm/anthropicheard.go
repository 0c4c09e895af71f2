package llm

import (
	"encoding/json"
	"strings"
)

// anthropicHeard is one value that Anthropic sends: an event of a stream, or a whole message.
type anthropicHeard struct {
	Type       string            `json:"type"`
	Model      string            `json:"model"`
	StopReason string            `json:"stop_reason"`
	Error      json.RawMessage   `json:"error"`
	Index      int               `json:"index"`
	Content    []json.RawMessage `json:"content"`
	Block      json.RawMessage   `json:"content_block"`
	Usage      *anthropicUsage   `json:"usage"`
	Message    struct {
		Model string          `json:"model"`
		Usage *anthropicUsage `json:"usage"`
	} `json:"message"`
	Delta struct {
		Type        string `json:"type"`
		Text        string `json:"text"`
		PartialJSON string `json:"partial_json"`
		Thinking    string `json:"thinking"`
		Signature   string `json:"signature"`
		StopReason  string `json:"stop_reason"`
	} `json:"delta"`
}

// heardBlock is a part of an answer, of those that are of use here.
type heardBlock struct {
	Type  string          `json:"type"`
	Text  string          `json:"text"`
	ID    string          `json:"id"`
	Name  string          `json:"name"`
	Input json.RawMessage `json:"input"`
}

type anthropicUsage struct {
	Input   int `json:"input_tokens"`
	Output  int `json:"output_tokens"`
	Created int `json:"cache_creation_input_tokens"`
	Read    int `json:"cache_read_input_tokens"`
}

// note takes the count of an answer so far; the last event repeats only some of the first.
func (u *anthropicUsage) note(seen *sighting) {
	if u == nil {
		return
	}
	if input := sane(u.Input) + sane(u.Created) + sane(u.Read); input > 0 {
		seen.used.input, seen.used.cached = input, sane(u.Read)
	}
	seen.used.output = max(seen.used.output, sane(u.Output))
}

// inspect hands on text only, as one block: langchaingo knows few sorts of blocks, and stops at one that it does not know.
func (anthropicFormat) inspect(data []byte, seen *sighting) (complaint, pass []byte, err error) {
	var v anthropicHeard
	if err := json.Unmarshal(data, &v); err != nil {
		return nil, nil, err
	}
	v.Usage.note(seen)
	switch v.Type {
	case "error":
		return v.Error, nil, nil
	case "message":
		seen.model, seen.stop, seen.done = clip(v.Model, 100), v.StopReason, true
		pass, err = v.whole(data, seen)
		return nil, pass, err
	case "message_start":
		seen.model = clip(v.Message.Model, 100)
		v.Message.Usage.note(seen)
	case "message_delta":
		if v.Delta.StopReason != "" {
			seen.stop = v.Delta.StopReason
		}
	case "message_stop":
		seen.done = seen.stop != ""
	case "content_block_start":
		return nil, v.begin(seen), nil
	case "content_block_delta":
		return nil, v.delta(seen), nil
	case "ping":
	default:
		return nil, nil, nil // the end of a block, and events of a later version, which langchaingo would print
	}
	return nil, data, nil
}

// whole notes the blocks of a message and returns it with its text only.
func (v *anthropicHeard) whole(data []byte, seen *sighting) ([]byte, error) {
	var body map[string]json.RawMessage
	if err := json.Unmarshal(data, &body); err != nil {
		return nil, err
	}
	var text strings.Builder
	for i, raw := range v.Content {
		var b heardBlock
		if err := json.Unmarshal(raw, &b); err != nil {
			return nil, err
		}
		switch b.Type {
		case "text":
			text.WriteString(b.Text)
		case "thinking", "redacted_thinking":
			seen.think().add(i, raw)
		case "tool_use":
			seen.calls.add(piece{slot: &i, id: b.ID, name: b.Name, arguments: string(b.Input)})
		}
	}
	content, err := json.Marshal([]anthropicText{{"text", text.String()}})
	if err != nil {
		return nil, err
	}
	body["content"] = content
	return json.Marshal(body)
}

type anthropicText struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

func (v *anthropicHeard) begin(seen *sighting) []byte {
	var b heardBlock
	if json.Unmarshal(v.Block, &b) != nil {
		return nil
	}
	switch b.Type {
	case "text":
		return []byte(`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`)
	case "tool_use":
		seen.calls.add(piece{slot: &v.Index, id: b.ID, name: b.Name})
	case "thinking", "redacted_thinking":
		seen.think().add(v.Index, v.Block)
	}
	return nil
}

func (v *anthropicHeard) delta(seen *sighting) []byte {
	switch v.Delta.Type {
	case "text_delta":
		seen.text += len(v.Delta.Text)
		text, _ := json.Marshal(v.Delta.Text) // a string can be encoded
		return []byte(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":` + string(text) + `}}`)
	case "input_json_delta":
		seen.calls.add(piece{slot: &v.Index, arguments: v.Delta.PartialJSON})
	case "thinking_delta", "signature_delta":
		seen.think().grow(v.Index, v.Delta.Thinking, v.Delta.Signature)
	}
	return nil
}
