package luau

// priorities of the operators between two values: how they bind to the left and to the right.
func priority(t *token) (left, right int) {
	if t.kind != keyword {
		return 0, 0
	}
	switch t.text {
	case "or":
		return 1, 1
	case "and":
		return 2, 2
	case "==", "~=", "<", "<=", ">", ">=":
		return 3, 3
	case "..":
		return 5, 4
	case "+", "-":
		return 6, 6
	case "*", "/", "//", "%":
		return 7, 7
	case "^":
		return 10, 9
	}
	return 0, 0
}

const unaryPriority = 8

func (p *parser) exprs() []Expr {
	list := []Expr{p.expr(0)}
	for p.accept(",") {
		if p.at(")") {
			p.expected("an expression behind ','")
		}
		list = append(list, p.expr(0))
	}
	return list
}

// expr reads an expression whose operators bind more strongly than limit.
func (p *parser) expr(limit int) Expr {
	depth := p.depth
	p.deeper("expression")
	start := p.tok.span.Start
	var e Expr
	if p.at("not") || p.at("-") || p.at("#") {
		op := p.tok.text
		p.next()
		x := p.expr(unaryPriority)
		e = &UnaryExpr{expr{node: node{p.from(start)}}, op, x}
	} else {
		e = p.cast()
	}
	for {
		p.confusable()
		left, right := priority(&p.tok)
		if left <= limit {
			break
		}
		op := p.tok.text
		p.next()
		y := p.expr(right)
		e = &BinaryExpr{expr{node: node{p.from(start)}}, op, e, y}
		p.deeper("expression")
	}
	p.depth = depth
	return e
}

// confusable fails at an operator of other languages.
func (p *parser) confusable() {
	if !p.at("&") && !p.at("|") && !p.at("!") {
		return
	}
	ahead := p.peek()
	if ahead.span.Start != p.tok.span.End {
		return
	}
	switch {
	case p.at("&") && ahead.is("&"):
		p.fail("'&&' is not an operator of Luau; write 'and'")
	case p.at("|") && ahead.is("|"):
		p.fail("'||' is not an operator of Luau; write 'or'")
	case p.at("!") && ahead.is("="):
		p.fail("'!=' is not an operator of Luau; write '~='")
	}
}

// cast reads an operand, and the type it is cast to.
func (p *parser) cast() Expr {
	start := p.tok.span.Start
	e := p.simple()
	if p.accept("::") {
		t := p.typ()
		return &CastExpr{expr{node: node{p.from(start)}}, e, t}
	}
	return e
}

// simple reads an operand.
func (p *parser) simple() Expr {
	at := expr{node: node{p.tok.span}}
	switch p.tok.kind {
	case number:
		v, ok := numberValue(p.tok.text)
		if !ok {
			p.fail("'%s' is a malformed number", clip(p.tok.text))
		}
		e := &NumberExpr{at, v, p.tok.text}
		p.next()
		return e
	case quoted, long, interp:
		return p.str()
	case interpL:
		return p.interpolated()
	case attrName:
		return p.functionExpr()
	case keyword:
		switch p.tok.text {
		case "nil":
			p.next()
			return &NilExpr{at}
		case "true", "false":
			e := &BoolExpr{at, p.at("true")}
			p.next()
			return e
		case "function", "@[":
			return p.functionExpr()
		case "...":
			if !p.function().vararg {
				p.fail("'...' must stand in a function that has '...' as its last parameter")
			}
			p.next()
			return &VarargExpr{at}
		case "{":
			return p.table()
		case "if":
			return p.ifExpr()
		case "!":
			p.fail("'!' is not an operator of Luau; write 'not'")
		}
	}
	return p.suffixed(false)
}

func (p *parser) functionExpr() Expr {
	start := p.tok.span.Start
	attributes := p.attributes()
	open := p.tok
	p.expect("function", "behind an attribute")
	return p.functionBody(&open, attributes, signature{start: start})
}

// str reads a string that is a constant.
func (p *parser) str() *StringExpr {
	e := &StringExpr{expr{node: node{p.tok.span}}, p.stringValue()}
	p.next()
	return e
}

// stringValue decodes the current token.
func (p *parser) stringValue() string {
	if p.tok.kind == long {
		return unfold(p.tok.text)
	}
	value, ok := unescape(p.tok.text)
	if !ok {
		p.fail(`a string has a malformed escape; there are \n, \t, \\, \", \x41, \65, \u{41}, \z and the like`)
	}
	return value
}

func (p *parser) interpolated() Expr {
	e := &InterpExpr{}
	start := p.tok.span.Start
	for {
		last := p.tok.kind == interpR
		e.Strings = append(e.Strings, p.stringValue())
		p.next()
		if last {
			e.span = p.from(start)
			return e
		}
		if p.tok.kind == interpM || p.tok.kind == interpR {
			p.fail("a string in backticks has nothing between its braces; write an expression there, or \\{ for a brace")
		}
		e.Exprs = append(e.Exprs, p.expr(0))
		// A string in backticks that begins here goes on with this one: so it is in the compiler.
		if k := p.tok.kind; k != interpL && k != interpM && k != interpR {
			p.expected("'}' and the rest of the string in backticks")
		}
	}
}

func (p *parser) table() Expr {
	e := &TableExpr{}
	open := p.tok
	p.next()
	for !p.at("}") {
		e.Items = append(e.Items, p.item())
		if !p.accept(",") && !p.accept(";") {
			if p.at("[") || p.tok.kind == name {
				p.expected("',' before the next item of a table")
			}
			break
		}
	}
	p.closes("}", &open)
	e.span = p.from(open.span.Start)
	return e
}

func (p *parser) item() TableItem {
	if p.at("[") {
		open := p.tok
		p.next()
		key := p.expr(0)
		p.closes("]", &open)
		p.expect("=", "behind the key of a table")
		return TableItem{Key: key, Value: p.expr(0)}
	}
	if p.tok.kind == name && p.peek().is("=") {
		key := &StringExpr{expr{node: node{p.tok.span}}, p.tok.text}
		p.next()
		p.next()
		value := p.expr(0)
		if f, ok := value.(*FunctionExpr); ok {
			f.Name = key.Value
		}
		return TableItem{key, value, true}
	}
	return TableItem{Value: p.expr(0)}
}
