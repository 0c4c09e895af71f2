package vet

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/toolboxai/orchestrator/internal/roblox/luau"
)

// maxText bounds a text that is put together, in bytes.
const maxText = 16 << 10

// maxJoined bounds all that table.concat puts together in one script, in bytes. What is beyond it is not known.
const maxJoined = 8 << 20

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
func (c *checker) callGlobal(path string, list []luau.Expr) values {
	args := make([]values, 0, len(list))
	for _, a := range list[:min(len(list), 64)] {
		args = append(args, c.resultOf(strings.TrimPrefix(path, "string."), c.eval(a)))
	}
	arg := func(i int) values {
		if i < len(args) {
			return args[i]
		}
		return of(other)
	}
	switch path {
	case "setmetatable", "table.freeze", "table.clone", "assert", "coroutine.wrap":
		return arg(0)
	case "Instance.new":
		return of(instance)
	case "Instance.fromExisting":
		return c.methodOf(arg(0), "Clone", nil)
	case "select":
		if len(list) > 0 {
			args = append(args, c.furtherResult(list[len(list)-1], 1))
		}
		return join(of(unknown), join(args...))
	case "rawget":
		if len(args) == 2 {
			return c.member(list[0], args[1])
		}
	case "table.unpack", "unpack":
		if len(args) > 0 {
			return join(c.member(list[0], of(computed)), of(unknown))
		}
	case "table.concat":
		return c.concatenated(list, arg(1))
	case "tostring":
		return toString(arg(0))
	case "tonumber":
		return toNumber(arg(0), len(args))
	case "table.create", "table.pack", "require":
		return of(unknown)
	}
	if name, ok := strings.CutPrefix(path, "string."); ok && name != "*" {
		if len(args) > 0 && args[0].has(userName) && name != "len" && name != "byte" && name != "split" {
			return c.ofName(name, list[1:])
		}
		return stringCall(name, args)
	}
	switch {
	case slices.ContainsFunc(args, func(vs values) bool { return vs.has(userID) }):
		return of(userID)
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

// pieces are the parts of an own table that table.concat joins.
type pieces struct {
	texts []string
	size  int    // of the texts together
	rest  values // what is known where they are not all constants, or are too many
}

// piecesOf returns what table.concat finds in a table.
func (c *checker) piecesOf(t *luau.TableExpr) pieces {
	if p, ok := c.pieces[t]; ok {
		return p
	}
	var p pieces
	var all values
	for _, item := range t.Items {
		vs := c.eval(item.Value)
		all = join(all, vs)
		if len(vs) != 1 || item.Key != nil || p.size > maxText {
			continue
		}
		if s, ok := written(vs[0]); ok {
			p.texts = append(p.texts, s)
			p.size += len(s)
		}
	}
	if len(p.texts) < len(t.Items) || p.size > maxText {
		p.rest = tainted(all)
	}
	c.pieces[t] = p
	return p
}

// concatenated returns what table.concat makes of an own table.
func (c *checker) concatenated(args []luau.Expr, separator values) values {
	if len(args) == 0 {
		return of(unknown)
	}
	x := c.eval(args[0])
	list, isTable := x.constant(table)
	added := c.elements[c.localOf(args[0])]
	if !isTable || len(added) > 0 {
		parts := []values{x}
		for _, v := range added {
			parts = append(parts, c.eval(v))
		}
		return tainted(parts...)
	}
	between, _ := separator.constant(text)
	p := c.piecesOf(list.expr.(*luau.TableExpr))
	if p.rest != nil {
		return p.rest
	}
	if p.size+len(p.texts)*len(between.text) > maxText || c.joinedText > maxJoined {
		return of(computed)
	}
	c.joinedText += p.size
	return textual(strings.Join(p.texts, between.text))
}
