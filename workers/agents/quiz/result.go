package quiz

import (
	"github.com/toolboxai/orchestrator/workers/agents/lesson"
	"github.com/toolboxai/orchestrator/workers/agents/quality"
)

// Result is a quiz, as output.schema.json describes it.
type Result struct {
	Title        string            `json:"title"`
	Subject      string            `json:"subject"`
	Difficulty   lesson.Difficulty `json:"difficulty"`
	TimeLimit    int               `json:"time_limit,omitempty"` // seconds for the whole quiz; 0 for no limit
	PassingScore int               `json:"passing_score"`        // percent of TotalPoints
	TotalPoints  int               `json:"total_points"`
	Questions    []lesson.Question `json:"questions"`
	QualityScore float64           `json:"quality_score"` // 0 to 1
	Quality      quality.Parts     `json:"quality"`       // see rate
}

func assemble(req Request, o Outline, slots []lesson.Slot, questions []lesson.Question) Result {
	lesson.Finish(questions, slots, req.Difficulty, req.TimeLimit)
	r := Result{
		Title: o.Title, Subject: req.Subject, Difficulty: req.Difficulty, TimeLimit: req.TimeLimit,
		PassingScore: req.PassingScore, Questions: questions,
	}
	for _, q := range questions {
		r.TotalPoints += int(q.Points)
	}
	r.Quality = rate(req, questions)
	r.QualityScore = r.Quality.Score()
	return r
}
