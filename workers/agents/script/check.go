package script

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/workers/agents/lesson"
	"github.com/toolboxai/orchestrator/workers/agents/luau"
)

// maxCode bounds a script, in bytes.
const maxCode = 64 << 10

// notName is what an object's name in code must not hold.
var notName = regexp.MustCompile(`^[0-9]+|[^A-Za-z0-9_]+`)

type rules struct{ details []fault.Detail }

func (r *rules) broken(field, format string, args ...any) {
	r.details = append(r.details, fault.Detail{Field: field, Reason: fmt.Sprintf(format, args...)})
}

// name leaves of a name what may stand in code.
func (r *rules) name(name *string) {
	given := *name
	if *name = notName.ReplaceAllString(given, ""); *name == "" {
		r.broken("answer.name", "is %q, must hold letters from A to Z", given)
	}
}

func checkOutline(o *Outline) []fault.Detail {
	var r rules
	r.name(&o.Name)
	if o.Approach = lesson.Clean(o.Approach); o.Approach == "" {
		r.broken("answer.approach", "is blank")
	}
	o.Parts, o.Risks = lesson.CleanAll(o.Parts), lesson.CleanAll(o.Risks)
	return r.details
}

func checkDraft(req Request, d *Draft) []fault.Detail {
	var r rules
	r.name(&d.Name)
	if d.Description = strings.TrimSpace(d.Description); d.Description == "" {
		r.broken("answer.description", "is blank")
	}
	d.Dependencies, d.SecurityNotes = lesson.CleanAll(d.Dependencies), lesson.CleanAll(d.SecurityNotes)
	d.Code = strings.TrimRight(strings.ReplaceAll(d.Code, "\r\n", "\n"), " \t\n") + "\n"
	r.code(req.ScriptType, d.Code)
	return r.details
}

func (r *rules) code(scriptType, code string) {
	if len(code) > maxCode {
		r.broken("answer.code", "has %d bytes, at most %d are allowed", len(code), maxCode)
		return
	}
	tokens, problem := luau.Tokens(code)
	if problem != nil {
		r.broken("answer.code", "%v", problem)
		return
	}
	if len(tokens) == 0 {
		r.broken("answer.code", "holds no code")
		return
	}
	for _, p := range append(luau.Balanced(tokens), luau.Forbidden(tokens)...) {
		r.broken("answer.code", "%v", p)
	}
	switch scriptType {
	case ModuleScript:
		if !luau.Returns(tokens) {
			r.broken("answer.code", "returns nothing at its end, as a ModuleScript must")
		}
	case LocalScript:
		r.clientOnly(tokens)
	}
}

// clientOnly names what a LocalScript cannot reach.
func (r *rules) clientOnly(tokens []luau.Token) {
	for _, t := range tokens {
		if t.Kind != luau.Name && t.Kind != luau.String {
			continue
		}
		switch t.Text {
		case "DataStoreService", "ServerStorage", "ServerScriptService":
			r.broken("answer.code", "line %d: %s exists on the server only, and this is a LocalScript", t.Line, t.Text)
			return
		}
	}
}
