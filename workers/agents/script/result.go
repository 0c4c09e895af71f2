package script

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/toolboxai/orchestrator/internal/roblox/luau"
	"github.com/toolboxai/orchestrator/internal/roblox/luau/vet"
	"github.com/toolboxai/orchestrator/workers/agents/quality"
)

// Result is a script, as output.schema.json describes it.
type Result struct {
	Name          string        `json:"name"`
	Type          string        `json:"type"`
	Code          string        `json:"code"`
	Dependencies  []string      `json:"dependencies"`
	Description   string        `json:"description"`
	SecurityNotes []string      `json:"security_notes"`
	Findings      []Finding     `json:"findings"`
	QualityScore  float64       `json:"quality_score"`
	Quality       quality.Parts `json:"quality"`
}

// Finding is a place in the code that deserves a look. Code with a worse one never becomes a result.
type Finding struct {
	Rule     string       `json:"rule"`
	Severity vet.Severity `json:"severity"`
	Line     int          `json:"line"`   // from 1
	Column   int          `json:"column"` // from 1, in bytes
	Why      string       `json:"why"`
	Mend     string       `json:"mend"`
}

// maxNotes bounds how many findings stand in words among the notes. All are in the list of findings.
const maxNotes = 12

// assemble puts a draft that has passed its checks together with what the checks found. What the model says of security stands beside what
// was found, and takes nothing away from it.
func assemble(req Request, d Draft) Result {
	r := Result{
		Name: d.Name, Type: req.ScriptType, Code: d.Code, Dependencies: d.Dependencies, Description: d.Description,
		SecurityNotes: append([]string{}, d.SecurityNotes...), Findings: []Finding{},
	}
	for _, f := range vet.Check(d.Code, vet.Context(req.ScriptType)) {
		r.Findings = append(r.Findings, Finding{f.Rule, f.Severity, f.Line, f.Column, f.Why, f.Mend})
	}
	for _, f := range r.Findings[:min(len(r.Findings), maxNotes)] {
		r.SecurityNotes = append(r.SecurityNotes, fmt.Sprintf("Line %d: %s. To mend it: %s.", f.Line, f.Why, f.Mend))
	}
	r.SecurityNotes = append(r.SecurityNotes, checked(len(r.Findings)))
	r.Quality = parts(req, r)
	r.QualityScore = r.Quality.Score()
	return r
}

func checked(findings int) string {
	const read = "Read the script before you publish it."
	switch findings {
	case 0:
		return "Checked: it parses, and no rule for safe scripts is broken. " + read
	case 1:
		return "Checked: it parses, no rule that forbids is broken, and one place deserves a look. " + read
	}
	return fmt.Sprintf("Checked: it parses, no rule that forbids is broken, and %d places deserve a look. %s", findings, read)
}

const (
	goodFunction = 60  // lines of a function that is easy to read
	longFunction = 180 // lines of one that nobody reads
)

// unfinished is what a comment says where somebody has to write the rest.
var unfinished = regexp.MustCompile(`(?i)\b(?:todo|fixme|fill in|your code here|not implemented|placeholder)\b`)

// parts scores a script: that it parses, how little in it deserves a look, its types, what is said about it, how long its functions are,
// that none of it is left to be written, and that the numbers of the request stand in it.
func parts(req Request, r Result) quality.Parts {
	file, err := luau.Parse(r.Code)
	if err != nil {
		return quality.Parts{{Name: "parses", Weight: 1}}
	}
	lines := strings.Count(r.Code, "\n")
	params, typed, longest := 0, 0, 0
	luau.Inspect(file, func(n luau.Node) bool {
		if f, ok := n.(*luau.FunctionExpr); ok {
			longest = max(longest, f.Span().End.Line-f.Span().Start.Line+1)
			for _, p := range f.Params {
				params++
				if p.Type != nil || strings.HasPrefix(p.Name, "_") {
					typed++
				}
			}
		}
		return true
	})
	strict := 0.0
	if file.Mode() == "strict" {
		strict = 1
	}
	annotated := 1.0
	if params > 0 {
		annotated = quality.Share(typed, params)
	}
	described := quality.Share(len(strings.Fields(r.Description)), 15)/2 + quality.Share(len(file.Comments), 1+lines/40)/2
	complete := 1.0
	if slices.ContainsFunc(file.Comments, func(c luau.CommentNode) bool { return unfinished.MatchString(c.Text) }) {
		complete = 0
	}
	size := 1 - min(max(float64(longest-goodFunction)/(longFunction-goodFunction), 0), 1)
	out := quality.Parts{
		{Name: "parses", Score: 1, Weight: 2},
		{Name: "no_findings", Score: max(1-float64(len(r.Findings))/4, 0), Weight: 3},
		{Name: "typed", Score: (strict + annotated) / 2, Weight: 2},
		{Name: "described", Score: described, Weight: 1},
		{Name: "size", Score: size, Weight: 1},
		{Name: "complete", Score: complete, Weight: 5},
	}
	if share, ok := numbers(req, file); ok {
		out = append(out, quality.Part{Name: "numbers", Score: share, Weight: 3})
	}
	return out
}
