package ask

import (
	"context"
	"errors"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/workers"
)

// witness is a client that puts each answer that was of no use on the run's record. It is for the calls of one step.
type witness struct {
	llm.Client
	run           *workers.Run
	step, version string

	round int
	last  llm.Response
}

func (w *witness) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	w.round++
	resp, err := w.Client.Complete(ctx, req)
	w.last = resp
	var bad *llm.InvalidOutputError
	if errors.As(err, &bad) {
		w.last = llm.Response{Text: bad.LastText, Provider: resp.Provider, Model: resp.Model, Usage: bad.Usage}
		w.refuse(bad.Details)
	}
	return resp, err
}

// refuse puts the last answer on record with what is wrong with it.
func (w *witness) refuse(details []fault.Detail) {
	r := events.Refusal{Step: w.step, Round: w.round, PromptVersion: w.version, Text: w.last.Text, Bytes: len(w.last.Text)}
	if w.last.Provider != "" {
		r.GeneratedBy = w.last.Provider + "/" + w.last.Model
	}
	for _, d := range details {
		r.Reasons = append(r.Reasons, events.Reason{Field: d.Field, Reason: d.Reason})
	}
	u := w.last.Usage
	r.Usage = &events.Usage{Calls: 1, InputTokens: u.InputTokens, OutputTokens: u.OutputTokens, CostUSD: u.CostUSD, CostKnown: u.CostKnown}
	w.run.Refuse(r)
}
