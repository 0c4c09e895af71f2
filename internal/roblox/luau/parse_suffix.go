package luau

// nameExpr reads the use of a variable.
func (p *parser) nameExpr() Expr {
	n := p.name("an expression")
	e := &NameExpr{expr: expr{node: node{n.Span}}, Name: n.Text, Local: p.locals[n.Text]}
	if e.Local != nil {
		if e.Local.depth < p.outside {
			p.failAt(n.Span, "a type function cannot use the local '%s' from outside of it", n.Text)
		}
		e.Upvalue = e.Local.depth != len(p.funcs)
	}
	return e
}

// suffixed reads a variable or something in parentheses with the indexes and calls behind it.
func (p *parser) suffixed(statement bool) Expr {
	start := p.tok.span.Start
	var e Expr
	switch {
	case p.at("("):
		open := p.tok
		p.next()
		x := p.expr(0)
		if p.at("=") {
			p.fail("expected ')' to close '(', got '='; a table stands in '{' and '}'")
		}
		p.closes(")", &open)
		e = &ParenExpr{expr{node: node{p.from(start)}}, x}
	case p.tok.kind == name:
		e = p.nameExpr()
	case statement:
		p.expected("a statement")
	default:
		p.expected("an expression")
	}
	depth := p.depth
	for {
		more := p.suffix(e)
		if more == nil {
			break
		}
		e = more
		p.deeper("expression")
	}
	p.depth = depth
	return e
}

// suffix reads what follows x and belongs to it, or returns nil.
func (p *parser) suffix(x Expr) Expr {
	start := x.Span().Start
	if p.callFollows() {
		p.sameLine(x.Span().End)
		args := p.args()
		return &CallExpr{expr{node: node{p.from(start)}}, x, args}
	}
	switch {
	case p.accept("."):
		return p.field(x, p.name("the name of a field behind '.'"), false)
	case p.at("["):
		open := p.tok
		p.next()
		index := p.expr(0)
		p.closes("]", &open)
		return &IndexExpr{expr{node: node{p.from(start)}}, x, index}
	case p.accept(":"):
		n := p.name("the name of a method behind ':'")
		var types []Type
		if p.at("<") && p.peek().is("<") {
			types = p.instantiation()
		}
		if !p.callFollows() {
			p.expected("'(' and the arguments of the method")
		}
		p.sameLine(n.Span.End)
		args := p.args()
		return &MethodCallExpr{expr{node: node{p.from(start)}}, x, n, types, args}
	case p.at("<") && p.peek().is("<"):
		types := p.instantiation()
		return &InstantiateExpr{expr{node: node{p.from(start)}}, x, types}
	}
	return nil
}

func (p *parser) callFollows() bool {
	return p.at("(") || p.at("{") || p.tok.kind == quoted || p.tok.kind == long
}

// sameLine fails when a parenthesis begins a new line behind what it would call.
func (p *parser) sameLine(end Pos) {
	if p.at("(") && p.tok.span.Start.Line != end.Line {
		p.fail("'(' in a new line could be a call or begin a statement; put it behind what it calls, or a ';' before it")
	}
}

// args reads the arguments of a call.
func (p *parser) args() []Expr {
	switch {
	case p.at("{"):
		return []Expr{p.table()}
	case !p.at("("):
		return []Expr{p.str()}
	}
	open := p.tok
	p.next()
	var args []Expr
	if !p.at(")") {
		args = p.exprs()
	}
	p.closes(")", &open)
	return args
}

// instantiation reads <<Types>>.
func (p *parser) instantiation() []Type {
	open := p.tok
	p.next()
	types := p.typeArgs()
	p.closes(">", &open)
	return types
}

func isCompound(t *token) bool {
	if t.kind != keyword {
		return false
	}
	switch t.text {
	case "+=", "-=", "*=", "/=", "//=", "%=", "^=", "..=":
		return true
	}
	return false
}

// target fails for what cannot be assigned to.
func (p *parser) target(e Expr) {
	switch e := e.(type) {
	case *IndexExpr, *FieldExpr:
		return
	case *NameExpr:
		if e.Local == nil {
			p.written[e.Name] = true
			return
		}
		if e.Local.Const {
			p.failAt(e.span, "'%s' is a constant of line %d and cannot be assigned to", clip(e.Name), e.Local.span.Start.Line)
		}
		e.Local.written = true
		return
	}
	p.failAt(e.Span(), "only a variable or a field can be assigned to")
}

func (p *parser) assignStat(first Expr) Stat {
	s := &AssignStat{Targets: []Expr{first}}
	p.target(first)
	for p.accept(",") {
		e := p.suffixed(true)
		p.target(e)
		s.Targets = append(s.Targets, e)
	}
	p.expect("=", "behind the variables of an assignment")
	s.Values = p.exprs()
	s.span = p.from(first.Span().Start)
	return s
}

func (p *parser) compoundStat(target Expr) Stat {
	p.target(target)
	op := p.tok.text
	p.next()
	value := p.expr(0)
	return &CompoundAssignStat{stat{node{p.from(target.Span().Start)}}, op, target, value}
}

func (p *parser) returnStat() Stat {
	s := &ReturnStat{}
	start := p.tok.span.Start
	p.next()
	if !p.blockEnds() && !p.at(";") {
		s.Values = p.exprs()
	}
	s.span = p.from(start)
	return s
}
