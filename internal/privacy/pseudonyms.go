package privacy

import (
	"context"
	"encoding/json"
	"maps"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
)

// Pseudonyms is a Client that never tells its model who somebody is: the names that llm.Caller.Names lists, e-mail addresses and
// telephone numbers leave as PERSON_1, EMAIL_1 and PHONE_1, and where the answer speaks of these, the originals are put back, also in
// what is streamed. Nothing is remembered from one call to the next.
type Pseudonyms struct{ next llm.Client }

var _ llm.Validating = (*Pseudonyms)(nil)

// NewPseudonyms returns next behind pseudonyms. Wrap no client with it whose model runs in this process: there is nobody to hide from.
func NewPseudonyms(next llm.Client) *Pseudonyms { return &Pseudonyms{next} }

// Describe implements llm.Client.
func (p *Pseudonyms) Describe() string { return p.next.Describe() }

// keep tells the model what the pseudonyms are. It stands behind the instructions only where there are any.
const keep = "\n\nTokens such as PERSON_1, PERSON_1A, EMAIL_1 or PHONE_1 stand for people and how to reach them. Use them exactly as they are written; never explain, translate or replace them."

// Complete implements llm.Client.
func (p *Pseudonyms) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	m := maskOf(ctx, &req)
	if m == nil {
		return p.next.Complete(ctx, req)
	}
	back := m.restorer(req.Schema != nil)
	defer back.listen(&req)()
	resp, err := p.next.Complete(ctx, req)
	return m.response(back, resp), back.error(err)
}

// CompleteValid implements llm.Validating. The rules see the originals; what they say against an answer goes to the model under pseudonyms.
func (p *Pseudonyms) CompleteValid(ctx context.Context, req llm.Request, validate func(string) []fault.Detail) (llm.Response, int, error) {
	m := maskOf(ctx, &req)
	if m == nil {
		return llm.CompleteValid(ctx, p.next, req, validate)
	}
	back := m.restorer(req.Schema != nil)
	defer back.listen(&req)()
	resp, rounds, err := llm.CompleteValid(ctx, p.next, req, func(text string) []fault.Detail {
		details := validate(back.replace(text))
		hidden := make([]fault.Detail, len(details))
		for i, d := range details {
			hidden[i] = fault.Detail{Field: d.Field, Reason: m.hide(d.Reason)}
		}
		maps.Copy(back, m.restorer(req.Schema != nil)) // the answer may have held addresses of its own
		return hidden
	})
	return m.response(back, resp), rounds, back.error(err)
}

// maskOf hides in req who is in it, and returns the mask; nil when nobody is.
func maskOf(ctx context.Context, req *llm.Request) *mask {
	caller, _ := llm.CallerFrom(ctx)
	m := newMask(caller.Names, append(said(req.Messages), req.Prompt, string(req.Input))...)
	prompt, messages := m.hide(req.Prompt), m.hideTurns(req.Messages)
	if m.empty() {
		return nil
	}
	req.Prompt, req.Messages = prompt, messages
	req.System += keep
	if req.Input = json.RawMessage(m.hide(string(req.Input))); !json.Valid(req.Input) {
		req.Input = nil // it only says again what the prompt says
	}
	return m
}

// response puts the originals back, also into what tools are called with: all but those that are masked.
func (m *mask) response(back restorer, resp llm.Response) llm.Response {
	if len(resp.Calls) == 0 {
		resp.Text = back.replace(resp.Text)
		return resp
	}
	resp.Text, resp.Calls = m.restore(back, resp.Text), m.calls(resp.Calls) // the conversation goes on
	return resp
}
