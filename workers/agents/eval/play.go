package eval

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/agents/ask"
)

// Skipped is the state of a case that was not begun: the money was spent, or the run was ended.
const Skipped task.State = "skipped"

// Outcome is what came of running a case once.
type Outcome struct {
	Case         string             `json:"case"`
	Round        int                `json:"round"`            // of Config.Repeat, from 1
	State        task.State         `json:"state"`            // completed, failed, Skipped, or where it stood when its time was over
	Passed       bool               `json:"passed"`           // completed, with no less than the case's least score
	Schema       bool               `json:"schema_valid"`     // the first answer of each step fitted its schema
	Rules        bool               `json:"rules_passed"`     // and its rules
	Repaired     int                `json:"repaired"`         // steps whose second answer was right
	Score        *float64           `json:"score,omitempty"`  // the result's quality_score, 0 to 1; nil where there is none
	MinScore     float64            `json:"min_score"`        // of the case
	Parts        map[string]float64 `json:"parts,omitempty"`  // of the score, 0 to 1
	Attempts     int                `json:"attempts"`         // 1 unless something failed
	Calls        int                `json:"calls"`            // that were answered
	InputTokens  int                `json:"input_tokens"`     // of all calls
	OutputTokens int                `json:"output_tokens"`    // of all calls
	CostUSD      float64            `json:"cost_usd"`         // of all calls
	CostKnown    bool               `json:"cost_known"`       // false when the price of any call is not known
	Latency      time.Duration      `json:"latency_ns"`       // from submission to end, retries included
	Model        string             `json:"model,omitempty"`  // who answered last: "openai/gpt-5-mini"
	Cause        events.Cause       `json:"cause,omitempty"`  // why it failed
	Error        string             `json:"error,omitempty"`  // in words
	Result       json.RawMessage    `json:"result,omitempty"` // nil unless it completed
}

var errTime = errors.New("the time of the case was over")

// play runs a case once.
func (r *run) play(ctx context.Context, c ask.Case, o Outcome) Outcome {
	ctx, cancel := context.WithTimeoutCause(ctx, r.cfg.Timeout, errTime)
	defer cancel()
	id, began := uuid.NewString(), time.Now()
	done, err := workers.Solo(ctx, workers.SoloConfig{Agent: r.agent, ID: id, Input: c.Input, NoCache: true, Timeout: r.cfg.Timeout})
	o.Latency, o.State, o.Attempts, o.Result, o.MinScore = time.Since(began), done.State, done.Attempt, done.Result, c.MinScore
	if u := done.Usage; u != nil {
		o.Calls, o.InputTokens, o.OutputTokens, o.CostUSD, o.CostKnown = u.Calls, u.InputTokens, u.OutputTokens, u.CostUSD, u.CostKnown
	}
	if done.Provenance != nil {
		o.Model = done.Provenance.GeneratedBy
	}
	switch {
	case done.Failure != nil && done.State != task.Completed:
		o.Cause, o.Error = done.Failure.Cause, done.Failure.Error
	case err != nil:
		o.Error = err.Error()
	}
	if errors.Is(err, errTime) {
		o.Cause, o.Error = events.CauseTimeout, err.Error()
	}
	seen := r.watch.of(id)
	o.Schema, o.Rules, o.Repaired = seen.schema == seen.asked, seen.rules == seen.asked, seen.repaired
	if seen.asked == 0 && done.State != task.Completed {
		o.Schema, o.Rules = false, false // nothing was answered
	}
	o.rate()
	return o
}

// rate reads the score out of the result.
func (o *Outcome) rate() {
	var rated struct {
		Score *float64           `json:"quality_score"`
		Parts map[string]float64 `json:"quality"`
	}
	if json.Unmarshal(o.Result, &rated) == nil {
		o.Score, o.Parts = rated.Score, rated.Parts
	}
	o.Passed = o.State == task.Completed && (o.Score == nil && o.MinScore == 0 || o.Score != nil && *o.Score >= o.MinScore)
}
