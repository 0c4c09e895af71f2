package codereview

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/toolboxai/orchestrator/workers/agents/quality"
)

// Result is a review, as output.schema.json describes it.
type Result struct {
	Language     string           `json:"language"`
	ReviewType   string           `json:"review_type"`
	Summary      string           `json:"summary"`
	Score        int              `json:"score"`
	Overall      string           `json:"overall"`
	Issues       []Issue          `json:"issues"`
	Counts       map[Severity]int `json:"counts"`
	Strengths    []string         `json:"strengths"`
	Rules        Rules            `json:"rules"`
	QualityScore float64          `json:"quality_score"`
	Quality      quality.Parts    `json:"quality"`
}

// Rules says what the fixed rules did.
type Rules struct {
	Run     string `json:"run"` // "full", "partial" or "none"
	Found   int    `json:"found"`
	LeftOut int    `json:"left_out"`
}

func assemble(req Request, found findings, a Answer) Result {
	model := make([]Issue, 0, len(a.Issues))
	for _, issue := range a.Issues {
		if req.lists(issue.Category) {
			model = append(model, issue)
		}
	}
	r := Result{
		Language: req.Language, ReviewType: req.ReviewType, Issues: merge(found.Issues, model), Strengths: a.Strengths,
		Counts: map[Severity]int{}, Rules: Rules{found.Run, len(found.Issues), found.LeftOut},
	}
	for _, s := range severities {
		r.Counts[s] = 0
	}
	for _, issue := range r.Issues {
		r.Counts[issue.Severity]++
	}
	r.Score = score(r.Issues)
	r.Overall = overall(r.Score)
	r.Summary = r.verdict() + " " + a.Summary + " " + r.Rules.note(req)
	r.Quality = worth(req, found, a.Summary, model)
	r.QualityScore = r.Quality.Score()
	return r
}

// verdict says what was found, by the numbers.
func (r Result) verdict() string {
	var parts []string
	for _, s := range severities {
		if n := r.Counts[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	what := "no issues"
	if len(parts) > 0 {
		what = strings.Join(parts, ", ")
	}
	return fmt.Sprintf("Score %d of 100 (%s): %s.", r.Score, r.Overall, what)
}

// note says what the rules have read.
func (r Rules) note(req Request) string {
	left := ""
	if r.LeftOut > 0 {
		left = fmt.Sprintf(" They found %d more of another kind, which a comprehensive review lists.", r.LeftOut)
	}
	switch r.Run {
	case full:
		return fmt.Sprintf("The fixed rules read the whole code and found %d of the issues.", r.Found) + left
	case partial:
		return fmt.Sprintf("The code does not parse as Luau, so that only some of the fixed rules could read it; they found %d of the issues.", r.Found) + left
	}
	return fmt.Sprintf("No fixed rules were run: there are none for %s. All of this is a model's opinion.", languages[req.Language])
}

var languages = map[string]string{"javascript": "JavaScript", "typescript": "TypeScript", "python": "Python", "luau": "Luau", "lua": "Lua"}

var identifier = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_]{2,}`)

// worth says how good the review is: whether its issues name what stands at their place, whether they say what to do, whether rules
// stand behind them, and whether the summary says something.
func worth(req Request, found findings, summary string, model []Issue) quality.Parts {
	lines := req.lines()
	named, mended := 0, 0
	for _, issue := range model {
		text := issue.Message + " " + issue.Suggestion
		for _, word := range identifier.FindAllString(lines[issue.Line-1], -1) {
			if strings.Contains(text, word) {
				named++
				break
			}
		}
		if len(strings.Fields(issue.Suggestion)) >= 3 {
			mended++
		}
	}
	rules := map[string]float64{full: 1, partial: 0.5}[found.Run]
	return quality.Parts{
		{Name: "specific", Score: shareOf(named, len(model)), Weight: 3},
		{Name: "actionable", Score: shareOf(mended, len(model)), Weight: 3},
		{Name: "rules", Score: rules, Weight: 2},
		{Name: "summary", Score: quality.Share(len(strings.Fields(summary)), 15), Weight: 2},
	}
}

// shareOf is 1 of nothing: a review without issues of its own leaves none of them unsaid.
func shareOf(have, all int) float64 {
	if all == 0 {
		return 1
	}
	return quality.Share(have, all)
}
