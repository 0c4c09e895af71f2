package privacy

import (
	"encoding/json"
	"slices"

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

// replaceCalls puts the originals back into arguments, which are JSON.
func (r restorer) replaceCalls(calls []llm.ToolCall) []llm.ToolCall {
	out := slices.Clone(calls)
	for i := range out {
		out[i].Arguments = json.RawMessage(r.replace(string(out[i].Arguments)))
	}
	return out
}
