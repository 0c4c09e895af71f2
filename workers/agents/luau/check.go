package luau

import "fmt"

// maxProblems bounds how many problems are listed.
const maxProblems = 10

// Balanced says which blocks and brackets of tokens are not closed, or closed and not open.
func Balanced(tokens []Token) []Problem {
	b := balance{}
	for i := range tokens {
		if len(b.problems) >= maxProblems {
			break
		}
		b.next(tokens, i)
	}
	for _, o := range b.open {
		if len(b.problems) < maxProblems {
			b.problem(o.line, "%q is not closed", o.text)
		}
	}
	return b.problems
}

type opener struct {
	text string // "function", "do", "repeat", "if", or a bracket
	line int
	expr bool // an if that is an expression: it ends with its else and has no end
	then bool // an if that has come to its then
}

type balance struct {
	open      []opener
	problems  []Problem
	valueNext bool // the last token was the then or else of an if that is an expression
	elseExpr  bool
}

func (b *balance) problem(line int, format string, args ...any) {
	b.problems = append(b.problems, Problem{line, fmt.Sprintf(format, args...)})
}

func (b *balance) push(t Token) { b.open = append(b.open, opener{text: t.Text, line: t.Line}) }

// top returns the innermost open thing, or a zero opener.
func (b *balance) top() *opener {
	if len(b.open) == 0 {
		return &opener{}
	}
	return &b.open[len(b.open)-1]
}

func (b *balance) pop() { b.open = b.open[:len(b.open)-1] }

// openerOf returns what a closing token closes.
func openerOf(closer string) string {
	switch closer {
	case ")":
		return "("
	case "]":
		return "["
	case "}":
		return "{"
	}
	return "repeat"
}

// next takes in the token at i.
func (b *balance) next(tokens []Token, i int) {
	t := tokens[i]
	b.step(t, i > 0 && expectsValue(tokens[i-1], t, b.valueNext))
	b.valueNext = t.Kind == Name && b.valueAfter(t)
}

// step takes in one token. value says that the token stands where a value is expected.
func (b *balance) step(t Token, value bool) {
	b.elseExpr = false
	if t.Kind != Name && t.Kind != Symbol {
		return
	}
	switch t.Text {
	case "(", "[", "{", "function", "do", "repeat":
		b.push(t)
	case "if":
		b.push(t)
		b.top().expr = value
	case "then":
		b.then(t)
	case "elseif", "else":
		b.orElse(t)
	case "end":
		b.end(t)
	case ")", "]", "}", "until":
		if b.top().text != openerOf(t.Text) {
			b.mismatch(t)
			return
		}
		b.pop()
	}
}

func (b *balance) then(t Token) {
	if top := b.top(); top.text == "if" && !top.then {
		top.then = true
		return
	}
	b.problem(t.Line, `"then" without an "if"`)
}

func (b *balance) orElse(t Token) {
	top := b.top()
	if top.text != "if" || !top.then {
		b.problem(t.Line, "%q without an \"if … then\"", t.Text)
		return
	}
	top.then = t.Text == "else" // an elseif comes to its own then
	if t.Text == "else" && top.expr {
		b.pop()
		b.elseExpr = true
	}
}

func (b *balance) end(t Token) {
	top := b.top()
	switch {
	case top.text == "function" || top.text == "do" || top.text == "if" && top.then && !top.expr:
		b.pop()
	default:
		b.mismatch(t)
	}
}

func (b *balance) mismatch(t Token) {
	top := b.top()
	switch {
	case top.text == "":
		b.problem(t.Line, "%q closes nothing", t.Text)
		return
	case top.expr:
		b.problem(t.Line, "%q comes before the \"else\" of the expression \"if\" in line %d", t.Text, top.line)
	default:
		b.problem(t.Line, "%q comes before %q of line %d is closed", t.Text, top.text, top.line)
	}
	b.pop()
}

// valueAfter reports whether a value follows t because t is the then, elseif or else of an if that is an expression.
func (b *balance) valueAfter(t Token) bool {
	return t.Text == "then" && b.top().expr || t.Text == "else" && b.elseExpr
}

// expectsValue reports whether a value comes behind prev, so that an "if" there is an expression.
func expectsValue(prev, t Token, valueNext bool) bool {
	switch prev.Kind {
	case Symbol:
		switch prev.Text {
		case ")", "]", "}", ";", "...", "?", "@", "!":
			return false
		case ">": // may end the type of a declaration; no comparison goes on in a new line that begins with "if"
			return prev.Line == t.Line
		}
		return true
	case Name:
		switch prev.Text {
		case "return", "and", "or", "not", "in", "until", "while", "if", "elseif":
			return true
		}
		return valueNext
	}
	return false
}

// Forbidden names every use of what a generated script must not touch: running text as code, changing the environment of
// functions, state shared between all scripts, code of others by asset id, and the services that reach outside the place or
// move players or money. Services are found by name and as the text of a string.
func Forbidden(tokens []Token) []Problem {
	var out []Problem
	for i, t := range tokens {
		reason := ""
		switch {
		case t.Kind == Name && (t.Text == "_G" || t.Text == "shared") && !isMember(tokens, i):
			reason = fmt.Sprintf("%s is not allowed: it shares state with every other script; use a ModuleScript", t.Text)
		case t.Kind == Name && (t.Text == "loadstring" || t.Text == "getfenv" || t.Text == "setfenv"):
			reason = t.Text + " is not allowed: it runs or rewires code at run time"
		case (t.Kind == Name || t.Kind == String) && reachesOutside(t.Text):
			reason = t.Text + " is not allowed: it reaches outside the place"
		case t.Kind == Name && t.Text == "require" && requiresNumber(tokens[i+1:]):
			reason = "require of an asset id is not allowed: it runs code of others"
		}
		if reason != "" && len(out) < maxProblems {
			out = append(out, Problem{t.Line, reason})
		}
	}
	return out
}

func reachesOutside(service string) bool {
	switch service {
	case "HttpService", "InsertService", "TeleportService", "MarketplaceService":
		return true
	}
	return false
}

func isMember(tokens []Token, i int) bool {
	return i > 0 && tokens[i-1].Kind == Symbol && (tokens[i-1].Text == "." || tokens[i-1].Text == ":")
}

func requiresNumber(rest []Token) bool {
	for _, t := range rest {
		if t.Kind == Symbol && t.Text == "(" {
			continue
		}
		return t.Kind == Number
	}
	return false
}

// Returns reports whether the code hands something back outside all its blocks, as a module must.
func Returns(tokens []Token) bool {
	b := balance{}
	for i, t := range tokens {
		if t.Kind == Name && t.Text == "return" && len(b.open) == 0 && i+1 < len(tokens) {
			return true
		}
		b.next(tokens, i)
	}
	return false
}
