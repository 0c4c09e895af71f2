package luau_test

import (
	"fmt"
	"strconv"
	"strings"
)

// builder makes a source with n parts. Up to limit parts, it compiles.
type builder struct {
	name   string
	limit  int
	source func(n int) string
}

// each returns n copies of part, in which # is replaced by the number of the copy.
func each(n int, part, between string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = strings.ReplaceAll(part, "#", strconv.Itoa(i))
	}
	return strings.Join(parts, between)
}

func repeated(limit int, name, before, part, between, after string) builder {
	return builder{name, limit, func(n int) string { return before + each(n, part, between) + after }}
}

func nested(limit int, name, before, open, middle, closed, after string) builder {
	return builder{name, limit, func(n int) string {
		return before + strings.Repeat(open, n) + middle + strings.Repeat(closed, n) + after
	}}
}

// limits returns sources at the limits of the compiler and one part beyond them.
func limits() []example {
	var list []example
	for _, b := range builders() {
		list = append(list, example{fmt.Sprintf("%s, %d", b.name, b.limit), b.source(b.limit), true},
			example{fmt.Sprintf("%s, %d", b.name, b.limit+1), b.source(b.limit + 1), false})
	}
	for name, source := range map[string]string{
		"constants need no local": each(400, "local a# = #", "\n"),
		"locals of blocks":        each(400, "do local a# = f() end", "\n"),
		"values":                  "a, b = " + each(5000, "c", ","),
		"items of a table":        "x = {" + each(5000, "a#", ",") + "}",
	} {
		list = append(list, example{name, source, true})
	}
	return list
}

func builders() []builder {
	return []builder{
		repeated(200, "locals", "", "local a# = f()", "\n", ""),
		repeated(200, "parameters", "local function f(", "a#", ", ", ") end"),
		repeated(199, "parameters and self", "function a:f(", "a#", ", ", ") end"),
		repeated(200, "locals that are written", "", "local a# = 1 a# = 2", "\n", ""),
		repeated(199, "aliases of a local", "local a = f()\n", "local b# = a", "\n", ""),
		repeated(200, "local functions", "", "local function a#() end", "\n", ""),
		repeated(200, "locals without optimization", "--!optimize 0\n", "local a# = 1", "\n", ""),
		repeated(200, "loop variables", "for ", "a#", ", ", " in f() do end"),
		{"upvalues", 200, func(n int) string {
			half := n / 2
			return each(half, "local a# = f()", "\n") + "\nlocal function g()\n" + each(n-half, "local b# = f()", "\n") +
				"\nreturn function() " + each(half, "x(a#)", " ") + " " + each(n-half, "x(b#)", " ") + " end end"
		}},
		repeated(254, "arguments", "f(", "a", ",", ")"),
		repeated(253, "arguments of a method", "o:f(", "a", ",", ")"),
		repeated(254, "results", "return ", "a", ",", ""),
		repeated(254, "operands of ..", "x = ", "a", "..", ""),
		repeated(254, "targets", "", "a", ",", " = f()"),
		repeated(127, "targets of tables", "", "f().x", ",", ", y = a"),
		repeated(252, "parts of a string", "x = `", "{a}", "", "`"),
		repeated(998, "elseifs", "if a then ", "elseif b then", " ", " end"),
		nested(127, "operands to the right", "x = ", "a + (", "a", ")", ""),
		nested(127, "operands in a local", "local x = ", "a + (", "a", ")", ""),
		nested(127, "comparisons", "x = ", "a < (", "a", ")", ""),
		nested(127, "equalities", "x = ", "a == (", "a", ")", ""),
		nested(499, "and", "x = ", "a and (", "a", ")", ""),
		nested(499, "or", "x = ", "a or (", "a", ")", ""),
		nested(254, "calls", "", "f(", "x", ")", ""),
		nested(127, "calls with two arguments", "", "f(1, ", "x", ")", ""),
		nested(127, "calls of methods", "", "o:f(", "x", ")", ""),
		nested(254, "calls as conditions", "if ", "f(", "x", ")", " then end"),
		nested(254, "tables", "x = ", "{", "y", "}", ""),
		nested(254, "tables with keys", "x = ", "{a = ", "y", "}", ""),
		nested(127, "tables with computed keys", "x = ", "{[a] = ", "y", "}", ""),
		nested(127, "indexes", "x = ", "a[", "y", "]", ""),
		nested(127, "indexes as targets", "", "a[", "y", "]", " = 1"),
		nested(127, "indexes that are added to", "", "a[", "y", "]", " += 1"),
		nested(84, "strings", "x = ", "`{", "y", "}`", ""),
		nested(254, "unary operators", "x = ", "-(", "y", ")", ""),
		nested(998, "if expressions", "x = ", "if a then ", "y", " else z", ""),
		nested(254, "conditions of if expressions", "x = ", "if ", "y", " then z else w", ""),
		nested(997, "casts", "x = ", "(", "y", " :: any)", ""),
		nested(499, "functions", "x = ", "function() return ", "y", " end", ""),
		nested(84, "loops over ranges", "", "for i = a, b do ", "x()", " end", ""),
		nested(63, "loops over ranges that write", "", "for i = a, b do i = 1 ", "x()", " end", ""),
		nested(50, "loops over values", "", "for a, b in f() do ", "x()", " end", ""),
		nested(998, "parentheses", "x = ", "(", "a", ")", ""),
		nested(254, "negations", "x = ", "not ", "a", "", ""),
		nested(1000, "blocks", "", "do ", "", " end", ""),
		nested(999, "whiles", "", "while a do ", "", " end", ""),
		nested(999, "repeats", "", "repeat ", "", " until a", ""),
		nested(999, "ifs", "", "if a then ", "", " end", ""),
		repeated(254, "sums", "x = ", "a", " + ", ""),
		repeated(998, "fields", "x = a", ".b", "", ""),
		repeated(998, "calls one after another", "x = a", "()", "", ""),
		repeated(998, "methods one after another", "x = a", ":b()", "", ""),
		repeated(999, "parts of a function's name", "function a", ".b", "", "() end"),
		repeated(997, "elseif expressions", "x = if a then b ", "elseif c then d", " ", " else e"),
		repeated(1000, "parts of a union", "type A = ", "B", " | ", ""),
		repeated(1000, "parts of an intersection", "type A = ", "B", " & ", ""),
		nested(499, "types in parentheses", "type A = ", "(", "B", ")", ""),
		nested(499, "types of tables", "type A = ", "{", "B", "}", ""),
		nested(499, "types of fields", "type A = ", "{a: ", "B", "}", ""),
		nested(498, "types of functions", "type A = ", "(", "B", ") -> ()", ""),
		nested(498, "types of results", "type A = ", "() -> ", "B", "", ""),
		nested(998, "type arguments", "type A = ", "B<", "C", ">", ""),
		nested(499, "optional types", "type A = ", "(", "B", ")?", ""),
		nested(499, "returned types", "function f(): ", "(", "B", ")", " end"),
		nested(499, "typeof", "type A = ", "typeof(a :: ", "B", ")", ""),
		nested(332, "packs as type arguments", "type A = ", "B<(", "C", ")>", ""),
		repeated(498, "packs after each other", "type A = B<", "(C)", ",", ">"),
	}
}
