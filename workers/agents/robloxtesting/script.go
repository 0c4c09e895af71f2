package robloxtesting

import (
	"fmt"
	"strings"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/roblox/luau"
	"github.com/toolboxai/orchestrator/internal/roblox/luau/vet"
	"github.com/toolboxai/orchestrator/workers/agents/lesson"
)

// Tests is the answer of the second step: the tests without the harness.
type Tests struct {
	Code string `json:"code"`
}

// whole puts the tests behind the harness. Its first lines say what it is.
func whole(req Request, code string) string {
	return "--!strict\n-- Tests (" + req.TestType + "). Run this as a " + string(req.runsIn()) +
		" in Roblox Studio and read the output: PASS, FAIL or SKIP for each case.\n\n" + harness + "\n" + code + "\nreport()\n"
}

// above is how many lines stand above the tests in the whole script.
func above(req Request) int { return strings.Count(whole(req, ""), "\n") - 2 }

func (a agent) checkTests(req Request, cases []Case, t *Tests) []fault.Detail {
	var r rules
	t.Code = strings.TrimSpace(strings.ReplaceAll(t.Code, "\r\n", "\n"))
	file, err := luau.Parse(t.Code)
	if err != nil {
		r.broken("answer.code", "%v", err)
		return r.details
	}
	if r.named(file, cases); len(r.details) > 0 {
		return r.details
	}
	first := above(req)
	for _, f := range a.rules(whole(req, t.Code), req.runsIn()) {
		if f.Severity == vet.Deny {
			r.broken("answer.code", "line %d: %s; %s (%s)", max(f.Line-first, 1), f.Why, f.Mend, f.Rule)
		}
	}
	return r.details
}

// named checks that each automated case has one test, and that there are no others. A function that is called it and is not the harness'
// own tests nothing.
func (r *rules) named(file *luau.File, cases []Case) {
	want, order := map[string]int{}, []string{}
	for _, c := range automated(cases) {
		want[c.ID], order = 0, append(order, c.ID)
	}
	luau.Inspect(file, func(n luau.Node) bool {
		call, ok := n.(*luau.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		function, isName := call.Func.(*luau.NameExpr)
		name, isText := call.Args[0].(*luau.StringExpr)
		if !isName || !isText || function.Name != "it" || function.Local != nil {
			return true
		}
		id, _, _ := strings.Cut(name.Value, " ")
		if _, ok := want[id]; !ok {
			r.broken("answer.code", "line %d: the test %q begins with no id of a case", call.Span().Start.Line, lesson.Clip(name.Value, 100))
			return true
		}
		want[id]++
		return true
	})
	for _, id := range order {
		if n := want[id]; n != 1 {
			r.broken("answer.code", "has %d tests whose name begins with %q, must have exactly one", n, id+" ")
		}
	}
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
