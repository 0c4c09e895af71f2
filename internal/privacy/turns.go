package privacy

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/toolboxai/orchestrator/internal/llm"
)

// said returns all texts of a conversation.
func said(turns []llm.Message) []string {
	var texts []string
	for _, t := range turns {
		texts = append(texts, t.Text)
		for _, c := range t.Calls {
			texts = append(texts, string(c.Arguments))
		}
	}
	return texts
}

// hideTurns returns turns under pseudonyms. The State of calls stays: it is of a model that knew pseudonyms only.
func (m *mask) hideTurns(turns []llm.Message) []llm.Message {
	out := slices.Clone(turns)
	for i := range out {
		out[i].Text = m.hide(out[i].Text)
		out[i].Calls = slices.Clone(out[i].Calls)
		for j := range out[i].Calls {
			c := &out[i].Calls[j]
			c.Arguments = json.RawMessage(m.hide(string(c.Arguments)))
		}
	}
	return out
}

// calls returns what a model asks for as its caller is to read it, and beside that as a third party may.
func (m *mask) calls(said []llm.ToolCall) []llm.ToolCall {
	out := slices.Clone(said)
	for i := range out {
		arguments := string(out[i].Arguments)
		hidden := m.hide(arguments)
		if !json.Valid([]byte(hidden)) {
			hidden = `{}` // a number that looks like a telephone's
		}
		out[i].Arguments = json.RawMessage(m.restore(m.restorer(true), arguments))
		out[i].Masked = &llm.Masked{Arguments: json.RawMessage(hidden), Restore: func(result string) string { return m.restore(m.restorer(false), result) }}
	}
	return out
}

// restore puts the originals back into what goes on in the conversation, unless hiding them again would miss some: in "xPERSON_1x" no name stands
// as a word any more, and both the model and whom it calls would be told.
func (m *mask) restore(back restorer, text string) string {
	restored := back.replace(text)
	before, after := strings.ToLower(m.hide(text)), strings.ToLower(m.hide(restored))
	for _, original := range m.hidden {
		for _, part := range words(strings.ToLower(original)) {
			if len(part.text) >= minPart && strings.Count(after, part.text) > strings.Count(before, part.text) {
				return text
			}
		}
	}
	return restored
}
