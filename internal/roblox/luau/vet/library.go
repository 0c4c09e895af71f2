package vet

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/toolboxai/orchestrator/internal/roblox/luau"
)

// maxText bounds a text that is put together, in bytes.
const maxText = 16 << 10

// written returns how a constant reads when it is joined to a text.
func written(v value) (string, bool) {
	switch v.kind {
	case text:
		return v.text, true
	case number:
		return strconv.FormatFloat(v.num, 'f', -1, 64), true
	}
	return "", false
}

// callGlobal returns what a function of the language hands back.
func (c *checker) callGlobal(path string, e *luau.CallExpr) values {
	args := make([]values, 0, len(e.Args))
	for _, a := range e.Args[:min(len(e.Args), 64)] {
		args = append(args, c.resultOf(strings.TrimPrefix(path, "string."), c.eval(a)))
	}
	arg := func(i int) values {
		if i < len(args) {
			return args[i]
		}
		return of(other)
	}
	switch path {
	case "setmetatable", "table.freeze", "table.clone", "assert":
		return arg(0)
	case "Instance.new":
		return of(instance)
	case "Instance.fromExisting":
		return c.methodOf(arg(0), "Clone", nil)
	case "select":
		return join(of(unknown), join(args...))
	case "rawget":
		if len(args) == 2 {
			return c.member(e.Args[0], args[1])
		}
	case "table.unpack", "unpack":
		if len(args) > 0 {
			return join(c.member(e.Args[0], of(computed)), of(unknown))
		}
	case "table.concat":
		return c.concatenated(e, arg(1))
	case "tostring":
		return toString(arg(0))
	case "tonumber":
		return toNumber(arg(0), len(args))
	case "table.create", "table.pack", "require":
		return of(unknown)
	}
	if name, ok := strings.CutPrefix(path, "string."); ok {
		return stringCall(name, args)
	}
	switch {
	case decoder(path):
		return characters(args)
	case strings.HasPrefix(path, "math.") && len(args) == 1:
		if n, ok := args[0].constant(number); ok && (path == "math.floor" || path == "math.round" || path == "math.ceil" || path == "math.abs") {
			return one(value{kind: number, num: math.Floor(n.num)})
		}
		return of(computed)
	case strings.HasPrefix(path, "math.") || strings.HasPrefix(path, "bit32.") || strings.HasPrefix(path, "os."):
		return of(computed)
	}
	return of(unknown)
}

func toString(v values) values {
	if s, ok := v.constant(number); ok {
		t, _ := written(s)
		return textual(t)
	}
	if v.has(userID) {
		return of(userID)
	}
	if v.only(text) {
		return v
	}
	return tainted(v)
}

func toNumber(v values, args int) values {
	if s, ok := v.constant(text); ok && args == 1 {
		if n, err := strconv.ParseFloat(strings.TrimSpace(s.text), 64); err == nil {
			return one(value{kind: number, num: n})
		}
	}
	if v.has(userID) {
		return of(userID)
	}
	return of(computed)
}

// characters returns the text of constant character codes.
func characters(args []values) values {
	var b strings.Builder
	for _, a := range args {
		n, ok := a.constant(number)
		if !ok || n.num < 0 || n.num > utf8.MaxRune {
			return of(decoded)
		}
		if n.num < 0x80 {
			b.WriteByte(byte(n.num))
		} else {
			b.WriteRune(rune(n.num))
		}
	}
	return assemble(b.String())
}

// concatenated returns what table.concat makes of an own table.
func (c *checker) concatenated(e *luau.CallExpr, separator values) values {
	if len(e.Args) == 0 {
		return of(unknown)
	}
	x := c.eval(e.Args[0])
	list, isTable := x.constant(table)
	added := c.elements[c.localOf(e.Args[0])]
	if !isTable || len(added) > 0 {
		parts := []values{x}
		for _, v := range added {
			parts = append(parts, c.eval(v))
		}
		return tainted(parts...)
	}
	between := ""
	if s, ok := separator.constant(text); ok {
		between = s.text
	}
	var parts []string
	var all []values
	size := 0
	for _, item := range list.expr.(*luau.TableExpr).Items {
		vs := c.eval(item.Value)
		all = append(all, vs)
		if len(vs) == 1 && item.Key == nil {
			if s, ok := written(vs[0]); ok {
				parts = append(parts, s)
				size += len(s) + len(between)
			}
		}
	}
	if len(parts) < len(all) || size > maxText {
		return tainted(all...)
	}
	return textual(strings.Join(parts, between))
}
