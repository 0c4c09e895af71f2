package composer

import (
	"fmt"
	"strings"

	"github.com/toolboxai/orchestrator/internal/fault"
)

type reviewRequest struct {
	Code       string `json:"code"`
	Language   string `json:"language"`
	ReviewType string `json:"review_type"`
}

type reviewFinding struct {
	Rule string `json:"rule"`
	Line int    `json:"line"`
}

type reviewInput struct {
	Request  reviewRequest   `json:"request"`
	Findings []reviewFinding `json:"findings"`
}

func (in reviewInput) check() error {
	if strings.TrimSpace(in.Request.Code) == "" {
		return fault.InvalidField("input.request.code", "is blank")
	}
	return nil
}

type reviewIssue struct {
	Severity   string `json:"severity"`
	Category   string `json:"category"`
	Message    string `json:"message"`
	Line       int    `json:"line"`
	Suggestion string `json:"suggestion"`
}

type reviewAnswer struct {
	Summary   string        `json:"summary"`
	Strengths []string      `json:"strengths"`
	Issues    []reviewIssue `json:"issues"`
}

// mostIssues is how many issues the composer lists.
const mostIssues = 25

// review says what can be seen in the text of the code without knowing what it does.
func (c *Composer) review(in reviewInput) reviewAnswer {
	r := reading{
		language: in.Request.Language, lines: sourceLines(in.Request.Language, in.Request.Code), issues: []reviewIssue{},
		category: in.Request.ReviewType,
	}
	r.functions = functions(r.language, r.lines)
	for _, look := range []func(){r.patterns, r.dataStores, r.globals, r.longFunctions, r.comments, r.numbers, r.width} {
		look()
	}
	return reviewAnswer{r.summary(len(in.Findings)), r.strengths(), first(r.issues, mostIssues)}
}

// reading is one look at source text.
type reading struct {
	language  string
	category  string // the only one that is listed, or "comprehensive"
	lines     []sourceLine
	functions []function
	issues    []reviewIssue
}

func (r *reading) luau() bool { return r.language == "luau" || r.language == "lua" }

func (r *reading) found(severity, category string, line int, message, suggestion string) {
	if r.category == "comprehensive" || r.category == category {
		r.issues = append(r.issues, reviewIssue{severity, category, message, line, suggestion})
	}
}

func (r *reading) summary(findings int) string {
	code, comments := r.count()
	name := map[string]string{"luau": "Luau", "lua": "Lua", "javascript": "JavaScript", "typescript": "TypeScript", "python": "Python"}[r.language]
	var b strings.Builder
	said := "no comments"
	if comments > 0 {
		said = counted(comments, "line") + " of comments"
	}
	fmt.Fprintf(&b, "The code has %s of %s, with %s and %s.", counted(code, "line"), name, counted(len(r.functions), "function"), said)
	if findings > 0 {
		fmt.Fprintf(&b, " Begin with what the rules found, in %s.", counted(findings, "place"))
	}
	switch n := min(len(r.issues), mostIssues); {
	case n > 0 && findings == 0:
		fmt.Fprintf(&b, " In the text %s stood out; the first is on line %d.", counted(n, "thing"), r.issues[0].Line)
	case findings == 0:
		b.WriteString(" Nothing stood out in the text.")
	case n > 0:
		fmt.Fprintf(&b, " Beside that, %s stood out in the text; the first is on line %d.", counted(n, "thing"), r.issues[0].Line)
	default:
		b.WriteString(" Nothing else stood out in the text.")
	}
	return b.String() + " The offline composer looks at the text alone: whether the code does what it is meant to do is for you to judge."
}

// count returns how many lines hold code, and how many a comment.
func (r *reading) count() (code, comments int) {
	for _, l := range r.lines {
		if !l.blank() {
			code++
		}
		if l.comment {
			comments++
		}
	}
	return code, comments
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// strengths names what is done well, as far as the text shows it.
func (r *reading) strengths() []string {
	code, comments := r.count()
	good := []string{}
	for _, s := range []struct {
		there bool
		text  string
	}{
		{comments*8 >= code && comments > 0, "Comments say what the code is for."},
		{r.luau() && r.has("pcall("), "It uses pcall where a call may fail."},
		{r.luau() && r.has("task."), "It uses the task library."},
		{r.luau() && r.has(":GetService("), "It gets services by GetService."},
		{r.language == "luau" && strings.HasPrefix(r.lines[0].text, "--!strict"), "Type checking is strict."},
		{len(r.functions) >= 3 && r.longest() <= 25, "Its functions are short: none has more than 25 lines."},
		{r.language == "python" && r.has("with "), "It uses with, which closes what it opens."},
		{(r.language == "javascript" || r.language == "typescript") && r.has("const "), "It uses const for what does not change."},
	} {
		if s.there {
			good = append(good, s.text)
		}
	}
	return good
}

func (r *reading) has(part string) bool {
	for _, l := range r.lines {
		if strings.Contains(l.code, part) {
			return true
		}
	}
	return false
}

func (r *reading) longest() int {
	most := 0
	for _, f := range r.functions {
		most = max(most, f.to-f.from+1)
	}
	return most
}
