package eval

import (
	"maps"
	"slices"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task"
)

// Report is how one run of a set went.
type Report struct {
	Kind     string    `json:"kind"`
	Model    string    `json:"model"`          // who answered: "offline/composer-1"; what the client is described as when nobody did
	Prompt   string    `json:"prompt_version"` // "quiz/2"
	Rows     []Row     `json:"cases"`
	Total    Row       `json:"total"`
	Outcomes []Outcome `json:"-"` // each case, as often as it was run
}

// Row adds up the runs of one case, or of all.
type Row struct {
	Case         string             `json:"case,omitempty"` // empty for all
	Runs         int                `json:"runs"`
	Skipped      int                `json:"skipped,omitempty"` // of Runs
	Completed    int                `json:"completed"`
	Passed       int                `json:"passed"`
	Schema       int                `json:"schema_valid"` // runs whose first answers all fitted
	Rules        int                `json:"rules_passed"`
	Repaired     int                `json:"repaired"`        // steps
	Score        *float64           `json:"score,omitempty"` // mean of those that have one
	Parts        map[string]float64 `json:"parts,omitempty"` // mean of those that have one
	Calls        int                `json:"calls"`           // sums, from here on
	InputTokens  int                `json:"input_tokens"`
	OutputTokens int                `json:"output_tokens"`
	CostUSD      float64            `json:"cost_usd"`
	CostKnown    bool               `json:"cost_known"`
	Latency      time.Duration      `json:"latency_ns"`         // mean of those that were run
	Failures     []Failure          `json:"failures,omitempty"` // of each run that did not complete
}

// Failure says why a run did not complete.
type Failure struct {
	Case  string       `json:"case"`
	State task.State   `json:"state"`
	Cause events.Cause `json:"cause,omitempty"`
	Error string       `json:"error,omitempty"`
}

// PassedShare returns the share of runs that passed, 0 to 1.
func (r Row) PassedShare() float64 { return float64(r.Passed) / float64(max(r.Runs, 1)) }

// report adds up outcomes, which come case by case.
func (r *run) report(outcomes []Outcome) Report {
	made := Report{Kind: r.cfg.Kind, Model: r.cfg.Client.Describe(), Prompt: r.version, Outcomes: outcomes}
	for _, o := range outcomes {
		if o.Model != "" {
			made.Model = o.Model
			break
		}
	}
	for cases := range slices.Chunk(outcomes, r.cfg.Repeat) {
		row := add(cases)
		row.Case = cases[0].Case
		made.Rows = append(made.Rows, row)
	}
	made.Total = add(outcomes)
	return made
}

func add(outcomes []Outcome) Row {
	row := Row{Runs: len(outcomes), CostKnown: true}
	scores, parts := mean{}, map[string]mean{}
	for _, o := range outcomes {
		if o.State == Skipped {
			row.Skipped++
		}
		if o.State != task.Completed {
			row.Failures = append(row.Failures, Failure{o.Case, o.State, o.Cause, o.Error})
		}
		row.Completed += one(o.State == task.Completed)
		row.Passed += one(o.Passed)
		row.Schema += one(o.Schema)
		row.Rules += one(o.Rules)
		row.Repaired += o.Repaired
		row.Calls += o.Calls
		row.InputTokens += o.InputTokens
		row.OutputTokens += o.OutputTokens
		row.CostUSD += o.CostUSD
		row.CostKnown = row.CostKnown && (o.CostKnown || o.Calls == 0)
		row.Latency += o.Latency
		if o.Score != nil {
			scores = scores.with(*o.Score)
		}
		for name, score := range o.Parts {
			parts[name] = parts[name].with(score)
		}
	}
	if scores.n > 0 {
		score := scores.value()
		row.Score = &score
	}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		if row.Parts == nil {
			row.Parts = map[string]float64{}
		}
		row.Parts[name] = parts[name].value()
	}
	row.Latency /= time.Duration(max(row.Runs-row.Skipped, 1))
	return row
}

type mean struct {
	sum float64
	n   int
}

func (m mean) with(v float64) mean { return mean{m.sum + v, m.n + 1} }
func (m mean) value() float64      { return m.sum / float64(m.n) }

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
