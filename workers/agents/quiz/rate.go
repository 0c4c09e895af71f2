package quiz

import (
	"github.com/toolboxai/orchestrator/workers/agents/lesson"
	"github.com/toolboxai/orchestrator/workers/agents/quality"
)

// rate returns the parts of a quiz's quality:
//
//   - objective_coverage: which share of the objectives that the quiz has room for is tested;
//   - relevance: how much of an objective's words stand in the questions that test it;
//   - help: which share of the questions has a hint;
//   - options: how near the choices come to four each, the wrong ones with a reason; absent without multiple choice;
//   - spread: whether the right choice changes its place, and true and false take turns; absent with fewer than four such questions;
//   - reading_level: how well the words suit the grade; absent where the text cannot be rated;
//   - completeness: which share leaves nothing to fill in; the whole is multiplied by it.
func rate(req Request, questions []lesson.Question) quality.Parts {
	about := make([]string, len(req.Objectives))
	helpful, texts := 0, make([]string, len(questions))
	for i, q := range questions {
		texts[i] = q.Text + "\n\n" + q.Explanation
		about[q.Objective-1] += texts[i] + "\n"
		if len(q.Hints) > 0 {
			helpful++
		}
	}
	tested, relevance := 0, 0.0
	for i, o := range req.Objectives {
		if about[i] != "" {
			tested++
			relevance += lesson.Overlap(o.Text(), about[i])
		}
	}
	parts := quality.Parts{
		{Name: "objective_coverage", Score: quality.Share(tested, min(len(req.Objectives), len(questions))), Weight: 0.35},
		{Name: "relevance", Score: relevance / float64(max(tested, 1)), Weight: 0.3},
		{Name: "help", Score: quality.Share(helpful, len(questions)), Weight: 0.15},
	}
	if score, ok := rateOptions(questions); ok {
		parts = append(parts, quality.Part{Name: "options", Score: score, Weight: 0.15})
	}
	if score, ok := rateSpread(questions); ok {
		parts = append(parts, quality.Part{Name: "spread", Score: score, Weight: 0.1})
	}
	if r := lesson.Reading(questions, req.words()); r.Rated {
		parts = append(parts, quality.Part{Name: "reading_level", Score: r.Fit(req.top()), Weight: 0.1})
	}
	return append(parts, quality.Part{Name: "completeness", Score: quality.Completeness(texts), Factor: true})
}

// goodOptions is how many choices a question is to have.
const goodOptions = 4

func rateOptions(questions []lesson.Question) (float64, bool) {
	sum, n := 0.0, 0
	for _, q := range questions {
		if q.Type != lesson.MultipleChoice {
			continue
		}
		wrong, told := 0, 0
		for _, o := range q.Options {
			if !o.IsCorrect {
				wrong++
				if o.Explanation != "" {
					told++
				}
			}
		}
		n++
		sum += (quality.Share(len(q.Options), goodOptions) + quality.Share(told, wrong)) / 2
	}
	return sum / float64(max(n, 1)), n > 0
}

// rateSpread is 1 when no place of the right choice comes up in more than half of the questions, and falls to 0 when it is always the same.
func rateSpread(questions []lesson.Question) (float64, bool) {
	score, n := 0.0, 0
	for _, t := range []lesson.Type{lesson.MultipleChoice, lesson.TrueFalse} {
		places, all, most := map[int]int{}, 0, 0
		for _, q := range questions {
			if q.Type != t {
				continue
			}
			for i, o := range q.Options {
				if o.IsCorrect {
					places[i]++
					most = max(most, places[i])
					break
				}
			}
			all++
		}
		if all < 4 {
			continue
		}
		n++
		score += min(2*(1-float64(most)/float64(all)), 1)
	}
	return score / float64(max(n, 1)), n > 0
}
