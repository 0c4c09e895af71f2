package vet

import (
	"math"

	"github.com/toolboxai/orchestrator/internal/roblox/luau"
)

// maxDepth bounds how deep an evaluation follows names, calls and operators.
const maxDepth = 120

// eval returns what an expression can be. A second visit within the first is unknown.
func (c *checker) eval(e luau.Expr) values {
	if e == nil {
		return of(other)
	}
	if vs, ok := c.known[e]; ok {
		return vs
	}
	if c.depth >= maxDepth {
		return of(unknown)
	}
	c.known[e] = of(unknown)
	c.depth++
	vs := c.compute(e)
	c.depth--
	if len(vs) == 0 {
		vs = of(unknown)
	}
	c.known[e] = vs
	return vs
}

func (c *checker) compute(e luau.Expr) values {
	switch e := e.(type) {
	case *luau.NilExpr, *luau.BoolExpr:
		return of(other)
	case *luau.NumberExpr:
		return one(value{kind: number, num: e.Value})
	case *luau.StringExpr:
		return textual(e.Value)
	case *luau.InterpExpr:
		return c.interpolate(e)
	case *luau.VarargExpr:
		return c.varargs(e)
	case *luau.NameExpr:
		return c.name(e)
	case *luau.FieldExpr:
		return c.member(e.X, textual(e.Name.Text))
	case *luau.IndexExpr:
		return c.member(e.X, c.eval(e.Index))
	case *luau.CallExpr:
		return c.call(e)
	case *luau.MethodCallExpr:
		return c.method(e)
	case *luau.InstantiateExpr:
		return c.eval(e.X)
	case *luau.FunctionExpr:
		return one(value{kind: function, expr: e})
	case *luau.TableExpr:
		return one(value{kind: table, expr: e})
	case *luau.ParenExpr:
		return c.eval(e.X)
	case *luau.CastExpr:
		return c.eval(e.X)
	case *luau.IfExpr:
		return join(c.eval(e.Then), c.eval(e.Else))
	case *luau.UnaryExpr:
		return c.unary(e)
	case *luau.BinaryExpr:
		return c.binary(e)
	}
	return of(unknown)
}

func (c *checker) interpolate(e *luau.InterpExpr) values {
	out := e.Strings[0]
	var parts []values
	whole := true
	for i, x := range e.Exprs {
		vs := c.eval(x)
		parts = append(parts, vs)
		s, ok := vs.constant(text)
		whole = whole && ok
		out += s.text + e.Strings[i+1]
	}
	if whole && len(out) <= maxText {
		return textual(out)
	}
	return tainted(parts...)
}

func (c *checker) unary(e *luau.UnaryExpr) values {
	x := c.eval(e.X)
	switch e.Op {
	case "#":
		if s, ok := x.constant(text); ok {
			return one(value{kind: number, num: float64(len(s.text))})
		}
		return of(computed)
	case "-":
		if n, ok := x.constant(number); ok {
			return one(value{kind: number, num: -n.num})
		}
		return of(computed)
	}
	return of(other)
}

func (c *checker) binary(e *luau.BinaryExpr) values {
	switch e.Op {
	case "and":
		return join(of(other), c.eval(e.Y))
	case "or":
		return join(c.eval(e.X), c.eval(e.Y))
	case "==", "~=", "<", "<=", ">", ">=":
		return of(other)
	}
	x, y := c.eval(e.X), c.eval(e.Y)
	if e.Op == ".." {
		return concat(x, y)
	}
	if x.has(userID) || y.has(userID) {
		return of(userID)
	}
	a, isA := x.constant(number)
	b, isB := y.constant(number)
	if !isA || !isB {
		return of(computed)
	}
	return one(value{kind: number, num: arithmetic(e.Op, a.num, b.num)})
}

func concat(x, y values) values {
	if x.has(userName) && !y.has(unknown) || y.has(userName) && !x.has(unknown) {
		return of(userName)
	}
	var out values
	for _, a := range x {
		for _, b := range y {
			s, isA := written(a)
			t, isB := written(b)
			if !isA || !isB || len(s)+len(t) > maxText || len(out) > maxValues {
				return tainted(x, y)
			}
			out = append(out, value{kind: text, text: s + t, from: (a.from | b.from) & assembled})
		}
	}
	return join(out)
}

func arithmetic(op string, a, b float64) float64 {
	switch op {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	case "/":
		return a / b
	case "//":
		return math.Floor(a / b)
	case "%":
		return a - math.Floor(a/b)*b
	case "^":
		return math.Pow(a, b)
	}
	return math.NaN()
}
