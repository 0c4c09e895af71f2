package luau_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/roblox/luau"
)

func parse(t testing.TB, source string) *luau.File {
	t.Helper()
	f, err := luau.Parse(source)
	if err != nil {
		t.Fatalf("%v in:\n%s", err, source)
	}
	return f
}

func TestParse_SaysWhatIsWrongAndWhere(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"local x =":                   "line 1, column 10: expected an expression, got the end of the source",
		"if a then\n  b()\n":          "line 3, column 1: expected 'end' to close 'then' in line 1, got the end of the source",
		"f(1, 2":                      "line 1, column 7: expected ')' to close '(' in column 2, got the end of the source",
		"x = {a = 1\n b = 2}":         "line 2, column 2: expected ',' before the next item of a table, got 'b'",
		"local end = 1":               "line 1, column 7: expected the name of a variable, got the keyword 'end', which cannot be a name",
		"if a != b then end":          "line 1, column 6: '!=' is not an operator of Luau; write '~='",
		"x = a && b":                  "line 1, column 7: '&&' is not an operator of Luau; write 'and'",
		"x = !a":                      "line 1, column 5: '!' is not an operator of Luau; write 'not'",
		"break":                       "line 1, column 1: 'break' must stand in a loop of the same function",
		"x = \"a\ny":                  "line 1, column 5: expected an expression, got a string that does not end on its line",
		"x = '\\q\\xg'":               `line 1, column 5: a string has a malformed escape; there are \n, \t, \\, \", \x41, \65, \u{41}, \z and the like`,
		"x = 0b2":                     "line 1, column 5: '0b2' is a malformed number",
		"f\n(1)":                      "line 2, column 1: '(' in a new line could be a call or begin a statement; put it behind what it calls, or a ';' before it",
		"a() = 1":                     "line 1, column 5: expected a statement, got '='",
		"f":                           "line 1, column 2: expected '=' or a call behind an expression that begins a statement, got the end of the source",
		"const x = 1\nx = 2":          "line 2, column 1: 'x' is a constant of line 1 and cannot be assigned to",
		"function f() return ... end": "line 1, column 21: '...' must stand in a function that has '...' as its last parameter",
		"@fast function f() end":      "line 1, column 1: there is no attribute '@fast'; there are @native, @checked and @deprecated",
		"type A = number | B & C":     "line 1, column 10: a type cannot mix '|' or '?' with '&'; put parentheses around one of them",
		"x = é":                       "line 1, column 5: expected an expression, got the character 'é' (U+00E9), which may stand in strings and comments only",
		"goto done":                   "line 1, column 1: Luau has no goto; use a loop with break or continue",
		"repeat if a then continue end local y = f()\nuntil y": "line 2, column 7: the condition of 'repeat' uses 'y', which the 'continue' in line 1 jumps over; " +
			"declare it before the 'continue'",
		strings.Repeat("x", luau.MaxSource+1): "line 1, column 1: the source has 1048577 bytes; the limit is 1048576",
	} {
		if _, err := luau.Parse(source); err == nil || err.Error() != want {
			t.Errorf("%q:\n got %v\nwant %s", clip(source), err, want)
		}
	}
}

func TestParse_DecodesConstants(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]any{
		`"a\n\t\\\"\x41\65\u{e9}\z   b"`: "a\n\t\\\"AA" + "éb",
		"'a\\\r\nb'":                     "a\nb",
		"[[\r\na\r\nb]]":                 "a\nb",
		"[==[]]]==]":                     "]]",
		"`plain`":                        "plain",
		`"\u{D800}"`:                     "\xed\xa0\x80",
		`"\u{100000041}"`:                "A",
		"1_000.5":                        1000.5,
		"0xFF":                           255.0,
		"0b1_01":                         5.0,
		".5e1":                           5.0,
	} {
		value := parse(t, "x = "+source).Body.Stats[0].(*luau.AssignStat).Values[0]
		var got any
		switch v := value.(type) {
		case *luau.StringExpr:
			got = v.Value
		case *luau.NumberExpr:
			got = v.Value
		}
		if got != want {
			t.Errorf("%s: got %#v, want %#v", source, got, want)
		}
	}
}

// describe returns a short form of a tree: the kinds of the nodes, nested, with their text.
func describe(n luau.Node, source string) string {
	var parts []string
	first := true
	luau.Inspect(n, func(inner luau.Node) bool {
		if first {
			first = false
			return true
		}
		parts = append(parts, describe(inner, source))
		return false
	})
	kind := reflect.TypeOf(n).Elem().Name()
	if len(parts) == 0 {
		return kind + "<" + n.Span().Text(source) + ">"
	}
	return kind + "(" + strings.Join(parts, " ") + ")"
}

func TestParse_BuildsTheTree(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"a.b:c(1)": `CallStat(MethodCallExpr(FieldExpr(NameExpr<a>) NumberExpr<1>))`,
		"x = a + b * -c ^ d .. e .. f": "AssignStat(NameExpr<x> BinaryExpr(BinaryExpr(NameExpr<a> BinaryExpr(NameExpr<b> " +
			"UnaryExpr(BinaryExpr(NameExpr<c> NameExpr<d>)))) BinaryExpr(NameExpr<e> NameExpr<f>)))",
		"local x: number? = 1":                   "LocalStat(Local(UnionType(NamedType<number>)) NumberExpr<1>)",
		"x += `a{b}c`":                           "CompoundAssignStat(NameExpr<x> InterpExpr(NameExpr<b>))",
		"type A<T> = {[string]: T}":              "TypeStat(Generic<T> TableType(NamedType<string> NamedType<T>))",
		"type A = (x: B, ...C) -> ()":            "TypeStat(FunctionType(TypeList(NamedType<B> VariadicType(NamedType<C>)) TypeList<()>))",
		"for i, v in f() do continue end":        "ForInStat(Local<i> Local<v> CallExpr(NameExpr<f>) Block(ContinueStat<continue>))",
		"@native function a.b:c(d) end":          "FunctionStat(FieldExpr(FieldExpr(NameExpr<a>)) FunctionExpr(Attribute<@native> Local<function> Local<d> Block<>))",
		"repeat local y until y":                 "RepeatStat(Block(LocalStat(Local<y>)) NameExpr<y>)",
		"x = if a then b elseif c then d else e": "AssignStat(NameExpr<x> IfExpr(NameExpr<a> NameExpr<b> IfExpr(NameExpr<c> NameExpr<d> NameExpr<e>)))",
		"f<<number>>(x :: any)":                  "CallStat(CallExpr(InstantiateExpr(NameExpr<f> NamedType<number>) CastExpr(NameExpr<x> NamedType<any>)))",
	} {
		if got := describe(parse(t, source).Body.Stats[0], source); got != want {
			t.Errorf("%s:\n got %s\nwant %s", source, got, want)
		}
	}
}

func TestParse_KeepsComments(t *testing.T) {
	t.Parallel()
	f := parse(t, "--!strict \n--[==[ long ]==]\nx = 1 -- after\n--!native")
	var got []string
	for _, c := range f.Comments {
		got = append(got, c.Text)
	}
	if want := []string{"!strict", " long ", " after", "!native"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q", got)
	}
	if c := f.Comments[0]; !c.Hot || !c.Header || c.Directive() != "strict" || f.Mode() != "strict" {
		t.Errorf("got %+v, mode %q", c, f.Mode())
	}
	if c := f.Comments[3]; !c.Hot || c.Header || c.Directive() != "native" || c.Span.Start.Line != 4 {
		t.Errorf("got %+v", c)
	}
}

// TestParse_EndsAtAZeroByte says what becomes of a source that has one: nothing behind it is compiled.
func TestParse_EndsAtAZeroByte(t *testing.T) {
	t.Parallel()
	if f := parse(t, "x = 1 \x00 $$$"); len(f.Body.Stats) != 1 || f.Span().End.Offset != 6 {
		t.Errorf("got %+v", f)
	}
	if _, err := luau.Parse("x = \"\x00\""); err == nil {
		t.Error("a string that holds one is accepted")
	}
}

func TestParse_RefusesWhatNestsTooDeep(t *testing.T) {
	t.Parallel()
	const n = 100_000
	for name, source := range map[string]string{
		"parentheses":  "x = " + strings.Repeat("(", n),
		"tables":       "x = " + strings.Repeat("{", n),
		"functions":    "x = " + strings.Repeat("function() return ", n/3),
		"unary":        "x = " + strings.Repeat("-", 1) + strings.Repeat(" -", n),
		"not":          "x = " + strings.Repeat("not ", n),
		"concat":       "x = a" + strings.Repeat("..a", n),
		"sum":          "x = a" + strings.Repeat("+a", n),
		"power":        "x = a" + strings.Repeat("^a", n),
		"calls":        "f" + strings.Repeat("()", n),
		"fields":       "a" + strings.Repeat(".b", n) + " = 1",
		"blocks":       strings.Repeat("do ", n),
		"ifs":          strings.Repeat("if a then ", n),
		"elseif":       "if a then " + strings.Repeat("elseif a then ", n/2) + "end",
		"if expr":      "x = " + strings.Repeat("if a then ", n),
		"strings":      "x = " + strings.Repeat("`{", n),
		"types":        "type A = " + strings.Repeat("(", n),
		"table types":  "type A = " + strings.Repeat("{", n),
		"arguments":    "type A = " + strings.Repeat("B<", n),
		"unions":       "type A = B" + strings.Repeat("|B", n),
		"typeof":       "type A = " + strings.Repeat("typeof(", n),
		"casts":        "x = a" + strings.Repeat(" :: (a)", n),
		"instantiate":  "x = f" + strings.Repeat("<<T>>", n),
		"return types": "function f(): " + strings.Repeat("() -> ", n),
	} {
		if _, err := luau.Parse(source); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestParse_LooksAtEachByteAFewTimes stands for time in proportion to the source: no text makes the lexer look twice as often at twice the bytes each.
func TestParse_LooksAtEachByteAFewTimes(t *testing.T) {
	t.Parallel()
	for _, part := range []string{"[", "[=", "]=", "--[==", "--[[]] ", "[[ ]=", "`{", "`{`", "{", "}", "'\\z  ", "\\u{", "x=1 ", "\n", "'\\u{41}' ", "a.b", "1e", "@[", "::", "é"} {
		source := strings.Repeat(part, 20_000)
		bytes, tokens := luau.Steps(source)
		if bytes > 4*len(source)+8 || tokens > len(source)+1 {
			t.Errorf("%q: %d bytes are looked at and %d tokens read for %d bytes", part, bytes, tokens, len(source))
		}
		_, _ = luau.Parse(source)
	}
}
