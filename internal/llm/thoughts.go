package llm

import "encoding/json"

// thoughts keeps the blocks that Anthropic wants back, unchanged, in front of the calls they led to. They are bounded: beyond
// that they are dropped as a whole, which costs the model its train of thought, not the call.
type thoughts struct {
	blocks []thought
	size   int
}

type thought struct {
	slot                int
	raw                 json.RawMessage
	thinking, signature []byte // what a stream adds to raw
}

func (s *sighting) think() *thoughts {
	if s.thoughts == nil {
		s.thoughts = new(thoughts)
	}
	return s.thoughts
}

func (t *thoughts) add(slot int, raw json.RawMessage) {
	if t.size += len(raw); t.size <= maxStateBytes {
		t.blocks = append(t.blocks, thought{slot: slot, raw: append(json.RawMessage(nil), raw...)})
	}
}

func (t *thoughts) grow(slot int, thinking, signature string) {
	if t.size += len(thinking) + len(signature); t.size > maxStateBytes {
		return
	}
	for i := range t.blocks {
		if b := &t.blocks[i]; b.slot == slot {
			b.thinking = append(b.thinking, thinking...)
			b.signature = append(b.signature, signature...)
		}
	}
}

// state returns the blocks as a list, nil when there are none or too much.
func (t *thoughts) state() json.RawMessage {
	if t == nil || len(t.blocks) == 0 || t.size > maxStateBytes {
		return nil
	}
	list := make([]json.RawMessage, 0, len(t.blocks))
	for _, b := range t.blocks {
		raw := b.raw
		if len(b.thinking)+len(b.signature) > 0 {
			grown := map[string]string{"type": "thinking", "thinking": string(b.thinking), "signature": string(b.signature)}
			raw, _ = json.Marshal(grown) // of strings
		}
		list = append(list, raw)
	}
	state, err := json.Marshal(list)
	if err != nil {
		return nil
	}
	return state
}
