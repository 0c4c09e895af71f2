package script

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/roblox/luau"
	"github.com/toolboxai/orchestrator/internal/roblox/luau/vet"
	"github.com/toolboxai/orchestrator/workers/agents/lesson"
	"github.com/toolboxai/orchestrator/workers/agents/quality"
)

const (
	maxCode    = 30_000 // characters of a script, with the line break at its end
	maxReasons = 20     // findings that a repair prompt names
)

// notName is what an object's name in code must not hold.
var notName = regexp.MustCompile(`^[0-9]+|[^A-Za-z0-9_]+`)

type rules struct{ details []fault.Detail }

func (r *rules) broken(field, format string, args ...any) {
	r.details = append(r.details, fault.Detail{Field: field, Reason: fmt.Sprintf(format, args...)})
}

// safe checks texts that a person will read.
func (r *rules) safe(field string, texts ...string) {
	for i, text := range texts {
		name := field
		if len(texts) > 1 {
			name = fmt.Sprintf("%s[%d]", field, i)
		}
		r.details = append(r.details, quality.Safe(name, text)...)
	}
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
	r.safe("answer.description", d.Description)
	r.safe("answer.dependencies", d.Dependencies...)
	r.safe("answer.security_notes", d.SecurityNotes...)
	d.Code = strings.TrimRight(strings.ReplaceAll(d.Code, "\r\n", "\n"), " \t\n") + "\n"
	r.code(req.ScriptType, d.Code)
	return r.details
}

// code names everything for which a script cannot be used: that it does not parse, what vet denies, and what its type asks for.
func (r *rules) code(scriptType, code string) {
	if n := utf8.RuneCountInString(code); n > maxCode {
		r.broken("answer.code", "has %d characters with the line break at its end, at most %d are allowed", n, maxCode)
		return
	}
	file, err := luau.Parse(code)
	if err == nil && len(file.Body.Stats) == 0 {
		r.broken("answer.code", "holds no code")
		return
	}
	for _, f := range vet.Check(code, vet.Context(scriptType)) {
		if f.Severity == vet.Deny && len(r.details) < maxReasons {
			r.broken("answer.code", "%v", f)
		}
	}
	if err != nil {
		if syntax := new(luau.Error); !errors.As(err, &syntax) {
			r.broken("answer.code", "%v", err)
		}
		return // vet has named the place
	}
	r.texts(file)
	switch scriptType {
	case ModuleScript:
		if !returns(file.Body) {
			r.broken("answer.code", "does not return one value at its end, as a ModuleScript must")
		}
	case LocalScript:
		r.clientOnly(file)
	}
}

// texts checks the texts of a script that players may read: those with several words.
func (r *rules) texts(file *luau.File) {
	luau.Inspect(file, func(n luau.Node) bool {
		var parts []string
		switch n := n.(type) {
		case *luau.StringExpr:
			parts = []string{n.Value}
		case *luau.InterpExpr:
			parts = n.Strings
		}
		for _, text := range parts {
			if strings.Contains(text, " ") && len(r.details) < maxReasons {
				r.safe("answer.code", text)
			}
		}
		return true
	})
}

// returns reports whether a module ends by handing back its value.
func returns(b *luau.Block) bool {
	if len(b.Stats) == 0 {
		return false
	}
	switch last := b.Stats[len(b.Stats)-1].(type) {
	case *luau.ReturnStat:
		return len(last.Values) == 1
	case *luau.Block:
		return returns(last)
	case *luau.IfStat:
		other, ok := last.Else.(*luau.Block)
		return ok && returns(last.Then) && returns(other)
	}
	return false
}

// clientOnly names what a LocalScript cannot reach.
func (r *rules) clientOnly(file *luau.File) {
	found := false
	luau.Inspect(file, func(n luau.Node) bool {
		name := ""
		switch n := n.(type) {
		case *luau.StringExpr:
			name = n.Value
		case *luau.FieldExpr:
			name = n.Name.Text
		}
		switch name {
		case "DataStoreService", "ServerStorage", "ServerScriptService":
			if !found {
				at := n.Span().Start
				r.broken("answer.code", "line %d, column %d: %s exists on the server only, and this is a LocalScript", at.Line, at.Column, name)
			}
			found = true
		}
		return !found
	})
}
