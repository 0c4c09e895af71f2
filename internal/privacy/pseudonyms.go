package privacy

import (
	"context"
	"errors"

	"github.com/toolboxai/orchestrator/internal/llm"
)

// Pseudonyms is a Client that never tells its model who somebody is: the names that llm.Caller.Names lists, e-mail addresses and
// telephone numbers leave as PERSON_1, EMAIL_1 and PHONE_1, in all turns of a conversation, and where the answer speaks of these, the
// originals are put back, also in what is streamed and in what tools are asked. Nothing is remembered from one call to the next.
type Pseudonyms struct{ next llm.Client }

var _ llm.Client = (*Pseudonyms)(nil)

// NewPseudonyms returns next behind pseudonyms. Wrap no client with it whose model runs in this process: there is nobody to hide from.
func NewPseudonyms(next llm.Client) *Pseudonyms { return &Pseudonyms{next} }

// Describe implements llm.Client.
func (p *Pseudonyms) Describe() string { return p.next.Describe() }

// keep tells the model what the pseudonyms are. It stands behind the instructions only where there are any.
const keep = "\n\nTokens such as PERSON_1, PERSON_1A, EMAIL_1 or PHONE_1 stand for people and how to reach them. Use them exactly as they are written; never explain, translate or replace them."

// Complete implements llm.Client.
func (p *Pseudonyms) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	caller, _ := llm.CallerFrom(ctx)
	m := newMask(caller.Names, append(said(req.Messages), req.Prompt, string(req.Input))...)
	req.Prompt, req.Messages = m.hide(req.Prompt), m.hideTurns(req.Messages)
	if m.empty() {
		return p.next.Complete(ctx, req)
	}
	req.System += keep
	req.Input = nil // it is for the composer, which tells nobody
	back := m.restorer(req.Schema != nil)
	if tell := req.OnDelta; tell != nil {
		s := &stream{back: back, tell: tell}
		req.OnDelta = s.delta
		defer s.end()
	}
	resp, err := p.next.Complete(ctx, req)
	resp.Text = back.replace(resp.Text)
	resp.Calls = m.restorer(true).replaceCalls(resp.Calls)
	var bad *llm.InvalidOutputError
	if errors.As(err, &bad) {
		bad.LastText = back.replace(bad.LastText)
	}
	return resp, err
}
