package ask

import (
	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/workers"
)

// refusals puts each answer of a step that was of no use on the run's record.
type refusals struct {
	run           *workers.Run
	step, version string
	round         int
}

// add is a llm.Request.OnRefused.
func (k *refusals) add(answer llm.Response, details []fault.Detail) {
	k.round++
	r := events.Refusal{Step: k.step, Round: k.round, PromptVersion: k.version, Text: answer.Text, Bytes: len(answer.Text)}
	if answer.Provider != "" {
		r.GeneratedBy = answer.Provider + "/" + answer.Model
	}
	for _, d := range details {
		r.Reasons = append(r.Reasons, events.Reason{Field: d.Field, Reason: d.Reason})
	}
	u := answer.Usage
	r.Usage = &events.Usage{Calls: 1, InputTokens: u.InputTokens, OutputTokens: u.OutputTokens, CostUSD: u.CostUSD, CostKnown: u.CostKnown}
	k.run.Refuse(r)
}
