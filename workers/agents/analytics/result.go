package analytics

import (
	"slices"

	"github.com/toolboxai/orchestrator/workers/agents/quality"
)

// Result is a study, as output.schema.json describes it.
type Result struct {
	DataType        string        `json:"data_type"`
	Question        string        `json:"question,omitempty"`
	Period          string        `json:"period,omitempty"`
	Records         int           `json:"records"`
	Summary         string        `json:"summary"`
	Insights        []Insight     `json:"insights"`
	Recommendations []string      `json:"recommendations"`
	Figures         []Figure      `json:"figures"`
	Tables          []Table       `json:"tables"`
	Charts          []Chart       `json:"charts"`
	Notes           []string      `json:"notes"`
	Score           float64       `json:"quality_score"`
	Parts           quality.Parts `json:"quality"`
}

func assemble(s *study, r Report) Result {
	out := Result{
		DataType: s.in.DataType, Question: s.in.Data.Question, Period: s.in.Data.Period, Records: len(s.in.Data.Records), Summary: r.Summary,
		Insights: r.Insights, Recommendations: r.Recommendations, Figures: s.figures.list, Tables: s.tables, Charts: s.charts, Notes: s.notes,
	}
	if out.Tables == nil {
		out.Tables = []Table{}
	}
	if out.Charts == nil {
		out.Charts = []Chart{}
	}
	if out.Notes == nil {
		out.Notes = []string{}
	}
	out.Parts = s.parts(r)
	out.Score = out.Parts.Score()
	return out
}

// parts scores the study: whether the data is whole and enough, whether the insights quote what they rest on, and how much of what was computed
// they look at.
func (s *study) parts(r Report) quality.Parts {
	topic := map[string]string{}
	var topics []string
	for _, f := range s.figures.list {
		topic[f.Name] = f.Topic
		if f.Topic != topicCount && !slices.Contains(topics, f.Topic) {
			topics = append(topics, f.Topic)
		}
	}
	quoting, seen := 0, map[string]bool{}
	for _, in := range r.Insights {
		if len(numerals(asciiDigits(in.Detail))) > 0 {
			quoting++
		}
		for _, name := range in.Figures {
			if topic[name] != topicCount {
				seen[topic[name]] = true
			}
		}
	}
	return quality.Parts{
		{Name: "completeness", Score: 1 - s.missing, Weight: 2},
		{Name: "sample", Score: quality.Share(s.values, 30), Weight: 2},
		{Name: "evidence", Score: quality.Share(quoting, len(r.Insights)), Weight: 3},
		{Name: "coverage", Score: quality.Share(len(seen), min(len(topics), 4)), Weight: 2},
		{Name: "advice", Score: quality.Share(len(r.Recommendations), 3), Weight: 1},
	}
}
