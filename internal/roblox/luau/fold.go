package luau

import "math"

// constant is the value that an expression is known to have before it runs, as far as the compiler finds it out at its usual level of optimization.
type constant struct {
	state  foldState
	truth  bool
	number float64 // of a number; the length of a string
	text   string  // of a string that is not too long
}

type foldState uint8

const (
	unasked foldState = iota
	unknown
	isNil
	isBool
	isNumber
	isString
	isLongString // whose text is not kept
)

// maxFolded bounds the strings that are put together, in bytes.
const maxFolded = 256

func (c constant) known() bool { return c.state > unknown }
func (c constant) isText() bool {
	return c.state == isString || c.state == isLongString
}

func boolean(b bool) constant    { return constant{state: isBool, truth: b} }
func numeric(v float64) constant { return constant{state: isNumber, truth: true, number: v} }
func textual(s string) constant {
	return constant{state: isString, truth: true, number: float64(len(s)), text: s}
}
func longText(n float64) constant { return constant{state: isLongString, truth: true, number: n} }
func (e *expr) memo() **constant  { return &e.folded }

// fold returns what e is known to be. It remembers that in e.
func fold(e Expr) constant {
	memo := e.memo()
	if *memo == nil {
		*memo = &notKnown
		if c := foldNew(e); c.known() {
			*memo = &c
		}
	}
	return **memo
}

var notKnown = constant{state: unknown}

func foldNew(e Expr) constant {
	switch e := e.(type) {
	case *NilExpr:
		return constant{state: isNil}
	case *BoolExpr:
		return boolean(e.Value)
	case *NumberExpr:
		return numeric(e.Value)
	case *StringExpr:
		return textual(e.Value)
	case *ParenExpr:
		return fold(e.X)
	case *CastExpr:
		return fold(e.X)
	case *InstantiateExpr:
		return fold(e.X)
	case *NameExpr:
		if e.Local != nil && e.Local.folded.known() {
			return e.Local.folded
		}
	case *UnaryExpr:
		return foldUnary(e.Op, fold(e.X))
	case *BinaryExpr:
		return foldBinary(e.Op, fold(e.X), fold(e.Y))
	case *IfExpr:
		c := fold(e.Cond)
		yes, no := fold(e.Then), fold(e.Else)
		switch {
		case !c.known():
		case c.truth:
			return yes
		default:
			return no
		}
	case *InterpExpr:
		out := textual(e.Strings[0])
		for i, x := range e.Exprs {
			c := fold(x)
			if !c.isText() {
				return constant{state: unknown}
			}
			out = join(join(out, c), textual(e.Strings[i+1]))
		}
		return out
	}
	return constant{state: unknown}
}

func foldUnary(op string, x constant) constant {
	switch {
	case op == "not" && x.known():
		return boolean(!x.truth)
	case op == "-" && x.state == isNumber:
		return numeric(-x.number)
	case op == "#" && x.isText():
		return numeric(x.number)
	}
	return constant{state: unknown}
}

func foldBinary(op string, x, y constant) constant {
	switch {
	case !x.known():
	case op == "and":
		if x.truth {
			return y
		}
		return x
	case op == "or":
		if x.truth {
			return x
		}
		return y
	case !y.known():
	case op == "==" || op == "~=":
		if x.state == isLongString || y.state == isLongString {
			if x.isText() && y.isText() && x.number == y.number {
				break
			}
			return boolean(op == "~=")
		}
		return boolean((x == y) == (op == "=="))
	case op == ".." && x.isText() && y.isText():
		return join(x, y)
	case x.state == isNumber && y.state == isNumber:
		return foldNumbers(op, x.number, y.number)
	}
	return constant{state: unknown}
}

func foldNumbers(op string, x, y float64) constant {
	switch op {
	case "+":
		return numeric(x + y)
	case "-":
		return numeric(x - y)
	case "*":
		return numeric(x * y)
	case "/":
		return numeric(x / y)
	case "//":
		return numeric(math.Floor(x / y))
	case "%":
		return numeric(x - math.Floor(x/y)*y)
	case "^":
		return numeric(math.Pow(x, y))
	case "<":
		return boolean(x < y)
	case "<=":
		return boolean(x <= y)
	case ">":
		return boolean(x > y)
	case ">=":
		return boolean(x >= y)
	}
	return constant{state: unknown}
}

func join(x, y constant) constant {
	if n := x.number + y.number; n > maxFolded || x.state != isString || y.state != isString {
		return longText(n)
	}
	return textual(x.text + y.text)
}

// foldLocals finds the locals that have one known value.
func foldLocals(f *File) {
	Inspect(f, func(n Node) bool {
		if n.family() == ofType {
			return false
		}
		switch n := n.(type) {
		case *TypeFunctionStat:
			return false
		case *LocalStat:
			many := manyResults(n.Values)
			for i, l := range n.Locals {
				c := constant{state: isNil}
				if i < len(n.Values) {
					c = fold(n.Values[i])
				} else if many {
					c.state = unknown
				}
				if !l.written && c.known() {
					l.folded = c
				}
			}
		}
		return true
	})
}
