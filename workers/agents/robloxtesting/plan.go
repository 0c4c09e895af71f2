package robloxtesting

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/workers/agents/lesson"
	"github.com/toolboxai/orchestrator/workers/agents/quality"
)

// Case is one test.
type Case struct {
	ID        string   `json:"id"` // "t_1"; empty in a Plan
	Name      string   `json:"name"`
	Purpose   string   `json:"purpose"`
	Steps     []string `json:"steps"`
	Expected  string   `json:"expected"`
	Priority  string   `json:"priority"`
	Automated bool     `json:"automated"`
	Covers    []int    `json:"covers"` // numbers of Request.Wanted, from 1
}

// Plan is the answer of the first step.
type Plan struct {
	Summary      string        `json:"summary"`
	Cases        []Case        `json:"cases"`
	Explanations []Explanation `json:"explanations"`
}

// Explanation says what a metric means.
type Explanation struct {
	Metric string `json:"metric"`
	Text   string `json:"text"`
}

type rules struct{ details []fault.Detail }

func (r *rules) broken(field, format string, args ...any) {
	r.details = append(r.details, fault.Detail{Field: field, Reason: fmt.Sprintf(format, args...)})
}

// text tidies a text that must say something and may come before a class.
func (r *rules) text(field string, s *string) {
	if *s = lesson.Clean(*s); *s == "" {
		r.broken(field, "is blank")
	}
	r.details = append(r.details, quality.Safe(field, *s)...)
}

var (
	claim = regexp.MustCompile(`(?i)\b(?:tests?|cases?)\b(?: \w+)? (?:(?:were|was|have|has|have been|has been) (?:all |now |already |successfully )*` +
		`(?:run|executed|carried out|passed|failed|completed)|passed|failed|succeeded)\b`)
	denial = regexp.MustCompile(`(?i)\b(?:no|not|none|nothing|never|without)\b|n't\b`)
)

// quoted are words of somebody else.
var quoted = regexp.MustCompile(`“[^”]*”|"[^"]*"`)

// claim refuses a sentence that says that tests were run.
func (r *rules) claim(field, s string) {
	for sentence := range strings.FieldsFuncSeq(quoted.ReplaceAllString(s, "…"), func(c rune) bool { return c == '.' || c == '!' || c == '?' }) {
		if claim.MatchString(sentence) && !denial.MatchString(sentence) {
			r.broken(field, "says %q, but nothing was run", lesson.Clip(strings.TrimSpace(sentence), 100))
		}
	}
}

func checkPlan(known facts, p *Plan) []fault.Detail {
	var r rules
	r.text("answer.summary", &p.Summary)
	r.claim("answer.summary", p.Summary)
	r.cases(known.Request, p.Cases)
	r.explanations(known.Evaluation, p.Explanations)
	return r.details
}

func (r *rules) cases(req Request, cases []Case) {
	names, covered, automatic := map[string]int{}, map[int]bool{}, 0
	for i := range cases {
		c, at := &cases[i], fmt.Sprintf("answer.cases[%d]", i)
		r.text(at+".name", &c.Name)
		r.text(at+".purpose", &c.Purpose)
		r.text(at+".expected", &c.Expected)
		if c.Steps = lesson.CleanAll(c.Steps); len(c.Steps) == 0 {
			r.broken(at+".steps", "say nothing")
		}
		for j, step := range c.Steps {
			r.details = append(r.details, quality.Safe(fmt.Sprintf("%s.steps[%d]", at, j), step)...)
		}
		key := strings.ToLower(c.Name)
		if other, twice := names[key]; twice {
			r.broken(at+".name", "repeats answer.cases[%d]", other)
		}
		names[key] = i
		for j, n := range c.Covers {
			if n < 1 || n > len(req.Wanted) {
				r.broken(fmt.Sprintf("%s.covers[%d]", at, j), "is %d, but wanted has the numbers 1 to %d", n, len(req.Wanted))
			}
			covered[n] = true
		}
		if c.Automated {
			automatic++
		}
	}
	for i, text := range req.Wanted {
		if !covered[i+1] {
			r.broken("answer.cases", "test nothing of number %d of wanted (%q)", i+1, lesson.Clip(text, 100))
		}
	}
	if automatic == 0 {
		r.broken("answer.cases", "have none with automated true; at least one must be done by the script")
	}
}

func (r *rules) explanations(rows []Row, explanations []Explanation) {
	verdicts, said := map[string]string{}, map[string]bool{}
	for _, row := range rows {
		verdicts[row.Metric] = row.Verdict
	}
	for i := range explanations {
		e, at := &explanations[i], fmt.Sprintf("answer.explanations[%d]", i)
		r.text(at+".text", &e.Text)
		r.claim(at+".text", e.Text)
		switch {
		case verdicts[e.Metric] == "":
			r.broken(at+".metric", "is %q, which was not measured", e.Metric)
		case said[e.Metric]:
			r.broken(at+".metric", "%q is explained twice", e.Metric)
		}
		said[e.Metric] = true
	}
	for _, row := range rows {
		if (row.Verdict == warn || row.Verdict == fail) && !said[row.Metric] {
			r.broken("answer.explanations", "leave out %q, whose verdict is %s", row.Metric, row.Verdict)
		}
	}
}

// number gives the cases their ids.
func number(cases []Case) []Case {
	out := make([]Case, len(cases))
	for i, c := range cases {
		c.ID = fmt.Sprintf("t_%d", i+1)
		if c.Covers == nil {
			c.Covers = []int{}
		}
		out[i] = c
	}
	return out
}

// automated returns the cases that the script holds.
func automated(cases []Case) []Case {
	var out []Case
	for _, c := range cases {
		if c.Automated {
			out = append(out, c)
		}
	}
	return out
}
