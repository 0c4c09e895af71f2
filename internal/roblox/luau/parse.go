package luau

import "fmt"

const (
	// maxDepth is the compiler's limit on what nests in the source, and on how long a chain of operators, calls or indexes is.
	maxDepth = 1000
	// maxTypes is its limit on the parts of a union or intersection.
	maxTypes = 1000
)

// parser reads a file by recursive descent with one token of lookahead. It stops at the first error by panicking with an *Error, which parse recovers.
type parser struct {
	lex    *lexer
	tok    token // the current one
	ahead  token // the one behind it, when peeked
	peeked bool
	prev   Span // of the token before tok
	depth  int
	rules  rules

	locals  map[string]*Local // the innermost local of each name
	stack   []shadow          // the locals of all open blocks
	funcs   []*function       // the open functions, the chunk first
	written map[string]bool   // globals that are assigned to
	outside int               // locals of functions below this one may not be used: they are outside of a type function
}

// function is what the parser knows of an open function.
type function struct {
	expr   *FunctionExpr // nil for the chunk
	vararg bool
	loops  int
}

type shadow struct{ local, hidden *Local }

func (p *parser) file() *File {
	p.funcs = []*function{{vararg: true}}
	p.next()
	start := Pos{0, 1, 1}
	body := p.block()
	if p.tok.kind != eof {
		p.failAt(p.tok.span, "expected a statement or the end of the source, got %s", &p.tok)
	}
	end := p.lex.pos()
	body.span = Span{start, end}
	return &File{node{body.span}, body, p.lex.comments, p.lex.tokens, p.written}
}

func (p *parser) fail(format string, args ...any) { p.failAt(p.tok.span, format, args...) }

func (p *parser) failAt(at Span, format string, args ...any) {
	panic(&Error{at, fmt.Sprintf(format, args...)})
}

// expected fails because something else stands where what belongs.
func (p *parser) expected(what string) {
	p.fail("expected %s, got %s", what, &p.tok)
}

// next goes on to the next token.
func (p *parser) next() {
	p.prev = p.tok.span
	if p.peeked {
		p.tok, p.peeked = p.ahead, false
		return
	}
	p.tok = p.lex.next()
}

// peek returns the token behind the current one.
func (p *parser) peek() *token {
	if !p.peeked {
		p.ahead, p.peeked = p.lex.next(), true
	}
	return &p.ahead
}

func (p *parser) at(text string) bool { return p.tok.is(text) }

// accept goes over a keyword or operator, if it is there.
func (p *parser) accept(text string) bool {
	if !p.at(text) {
		return false
	}
	p.next()
	return true
}

// expect goes over a keyword or operator, which must be there.
func (p *parser) expect(text, context string) {
	if !p.accept(text) {
		p.expected(fmt.Sprintf("'%s' %s", text, context))
	}
}

// closes goes over what closes the token open, which must be there.
func (p *parser) closes(text string, open *token) {
	if p.accept(text) {
		return
	}
	where := fmt.Sprintf("in line %d", open.span.Start.Line)
	if open.span.Start.Line == p.tok.span.Start.Line {
		where = fmt.Sprintf("in column %d", open.span.Start.Column)
	}
	p.expected(fmt.Sprintf("'%s' to close '%s' %s", text, open.text, where))
}

// name goes over a name, which must be there.
func (p *parser) name(what string) Name {
	if p.tok.kind != name {
		if p.tok.kind == keyword && isKeyword(p.tok.text) {
			p.fail("expected %s, got the keyword '%s', which cannot be a name", what, p.tok.text)
		}
		p.expected(what)
	}
	n := Name{p.tok.text, p.tok.span}
	p.next()
	return n
}

// deeper counts a step down into a structure; the caller takes it back by setting depth to what it was.
func (p *parser) deeper(what string) {
	if p.depth++; p.depth > maxDepth {
		p.fail("the %s nests too deep or is too long: %d levels are the limit; split it up", what, maxDepth)
	}
}

// from returns the span from a place to the end of the last token.
func (p *parser) from(start Pos) Span { return Span{start, p.prev.End} }

func (p *parser) function() *function { return p.funcs[len(p.funcs)-1] }

// declare makes a local visible.
func (p *parser) declare(n Name, t Type, k LocalKind, constant bool) *Local {
	l := &Local{node: node{n.Span}, Name: n.Text, Type: t, Kind: k, Const: constant, Func: p.function().expr, depth: len(p.funcs)}
	if t != nil {
		l.span.End = t.Span().End
	}
	p.stack = append(p.stack, shadow{l, p.locals[n.Text]})
	p.locals[n.Text] = l
	return l
}

// undeclare forgets the locals that were declared since the stack had n of them.
func (p *parser) undeclare(n int) {
	for i := len(p.stack) - 1; i >= n; i-- {
		s := p.stack[i]
		p.locals[s.local.Name] = s.hidden
	}
	p.stack = p.stack[:n]
}
