package robloxtesting

import (
	"fmt"
	"slices"
	"strings"

	"github.com/toolboxai/orchestrator/internal/roblox/luau/vet"
	"github.com/toolboxai/orchestrator/workers/agents/lesson"
	"github.com/toolboxai/orchestrator/workers/agents/quality"
)

// Result is what output.schema.json describes.
type Result struct {
	TestType     string        `json:"test_type"`
	Executed     bool          `json:"executed"` // false: the agent runs nothing
	Verdict      string        `json:"verdict"`
	Reason       string        `json:"reason"`
	Summary      string        `json:"summary"`
	Static       []Finding     `json:"static"`
	Evaluation   []Row         `json:"evaluation"`
	Cases        []Case        `json:"cases"`
	Script       string        `json:"script"`
	RunsIn       vet.Context   `json:"runs_in"`
	QualityScore float64       `json:"quality_score"`
	Quality      quality.Parts `json:"quality"`
}

// Finding is what a rule found in the script under test.
type Finding struct {
	Rule     string       `json:"rule"`
	Severity vet.Severity `json:"severity"`
	Line     int          `json:"line"`
	Why      string       `json:"why"`
	Mend     string       `json:"mend"`
}

func assemble(known facts, p Plan, cases []Case, t Tests) Result {
	r := Result{
		TestType: known.Request.TestType, Static: known.Static, Evaluation: known.Evaluation, Cases: cases,
		Script: whole(known.Request, t.Code), RunsIn: known.Request.runsIn(),
	}
	texts := map[string]string{}
	for _, e := range p.Explanations {
		texts[e.Metric] = e.Text
	}
	for i := range r.Evaluation {
		r.Evaluation[i].Explanation = texts[r.Evaluation[i].Metric]
	}
	r.Verdict, r.Reason = verdict(known)
	scripted := len(automated(cases))
	done := fmt.Sprintf("Nothing was run: the script holds %s", counted(scripted, "test"))
	if byHand := len(cases) - scripted; byHand > 0 {
		done += fmt.Sprintf(", and %s %s done by hand", counted(byHand, "case"), map[bool]string{true: "is", false: "are"}[byHand == 1])
	}
	done += "."
	r.Summary = strings.Join([]string{p.Summary, r.Reason, done}, " ")
	if known.Request.TestType == security {
		r.Summary = strings.Join([]string{r.Reason, p.Summary, done}, " ")
	}
	r.Quality = worth(known, p)
	r.QualityScore = r.Quality.Score()
	return r
}

// verdict says what is known without running anything, and why.
func verdict(known facts) (verdict, reason string) {
	deny, rows := 0, map[string][]string{}
	for _, f := range known.Static {
		if f.Severity == vet.Deny {
			deny++
		}
	}
	for _, row := range known.Evaluation {
		rows[row.Verdict] = append(rows[row.Verdict], row.Metric)
	}
	var parts []string
	add := func(there bool, format string, args ...any) {
		if there {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(deny > 0, "the fixed rules deny %s of the script", counted(deny, "place"))
	add(len(known.Static) > deny, "the fixed rules flag %s of the script", counted(len(known.Static)-deny, "place"))
	add(len(rows[fail]) > 0, "beyond the limit: %s", brief(rows[fail]))
	add(len(rows[warn]) > 0, "short of the target: %s", brief(rows[warn]))
	switch {
	case deny > 0 || len(rows[fail]) > 0:
		return fail, "Verdict fail: " + strings.Join(parts, "; ") + "."
	case len(parts) > 0:
		return warn, "Verdict warn: " + strings.Join(parts, "; ") + "."
	case len(rows[pass]) > 0:
		return pass, fmt.Sprintf("Verdict pass: %s at or within the target.", counted(len(rows[pass]), "measured metric"))
	}
	if known.Request.Code != "" {
		return notRun, "No verdict yet: the fixed rules found nothing in the script, and the tests have to be run."
	}
	return notRun, "No verdict yet: the tests have to be run."
}

// brief lists at most five names, short enough for a reason.
func brief(names []string) string {
	more := ""
	if len(names) > 5 {
		more, names = fmt.Sprintf(" and %d more", len(names)-5), names[:5]
	}
	short := make([]string, len(names))
	for i, name := range names {
		short[i] = lesson.Clip(name, 40)
	}
	return strings.Join(short, ", ") + more
}

// worth says how good the plan is: how much of what is wanted it speaks of, how much of it a script does, how precise its cases are,
// and whether it rests on anything but a description.
func worth(known facts, p Plan) quality.Parts {
	req := known.Request
	speaks, scripted := 0.0, 0
	for i, text := range req.Wanted {
		var about strings.Builder
		byScript := false
		for _, c := range p.Cases {
			if slices.Contains(c.Covers, i+1) {
				byScript = byScript || c.Automated
				about.WriteString(c.Name + " " + c.Purpose + " " + strings.Join(c.Steps, " ") + " " + c.Expected + "\n")
			}
		}
		if byScript {
			scripted++
		}
		speaks += lesson.Overlap(text, about.String()) / float64(len(req.Wanted))
	}
	automatic := quality.Share(scripted, len(req.Wanted))
	if len(req.Wanted) == 0 {
		speaks, automatic = quality.Share(len(p.Cases), 3), quality.Share(len(automated(p.Cases)), len(p.Cases))
	}
	precise := 0
	for _, c := range p.Cases {
		if len(c.Steps) >= 2 && len(strings.Fields(c.Expected)) >= 4 {
			precise++
		}
	}
	grounds := 0
	for _, there := range []bool{req.Code != "" || len(req.Metrics) > 0, len(req.Wanted) > 0 || req.Functionality != ""} {
		if there {
			grounds++
		}
	}
	return quality.Parts{
		{Name: "coverage", Score: speaks, Weight: 4},
		{Name: "automated", Score: automatic, Weight: 2},
		{Name: "precise", Score: quality.Share(precise, len(p.Cases)), Weight: 3},
		{Name: "grounds", Score: quality.Share(grounds, 2), Weight: 1},
	}
}
