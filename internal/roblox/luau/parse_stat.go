package luau

// blockEnds reports whether the current token ends a block.
func (p *parser) blockEnds() bool {
	if p.tok.kind == eof {
		return true
	}
	return p.tok.kind == keyword && (p.at("end") || p.at("else") || p.at("elseif") || p.at("until"))
}

// block reads statements with a scope of their own.
func (p *parser) block() *Block {
	n := len(p.stack)
	b := p.blockOpen()
	p.undeclare(n)
	return b
}

// blockOpen reads statements and leaves their locals visible.
func (p *parser) blockOpen() *Block {
	b := &Block{}
	start := p.tok.span.Start
	for !p.blockEnds() {
		depth := p.depth
		p.deeper("block")
		s := p.statement()
		p.depth = depth
		p.accept(";")
		b.Stats = append(b.Stats, s)
		if isLast(s) {
			break
		}
	}
	b.span = Span{start, start}
	if len(b.Stats) > 0 {
		b.span = p.from(start)
	}
	return b
}

func isLast(s Stat) bool {
	switch s.(type) {
	case *ReturnStat, *BreakStat, *ContinueStat:
		return true
	}
	return false
}

func (p *parser) statement() Stat {
	if p.tok.kind == attrName || p.at("@[") {
		return p.attributed()
	}
	if p.tok.kind == keyword {
		switch p.tok.text {
		case "if":
			return p.ifStat()
		case "while":
			return p.whileStat()
		case "do":
			return p.doStat()
		case "for":
			return p.forStat()
		case "repeat":
			return p.repeatStat()
		case "function":
			return p.functionStat(nil, p.tok.span.Start)
		case "local":
			start := p.tok.span.Start
			p.next()
			return p.localStat(nil, start, false)
		case "return":
			return p.returnStat()
		case "break":
			start := p.tok.span.Start
			p.next()
			p.inLoop("break", start)
			return &BreakStat{stat{node{p.from(start)}}}
		}
	}
	return p.exprStat()
}

// exprStat reads a statement that begins with an expression, or with a word that is a keyword in some places only.
func (p *parser) exprStat() Stat {
	first := p.tok
	e := p.suffixed(true)
	switch e.(type) {
	case *CallExpr, *MethodCallExpr:
		return &CallStat{stat{node{e.Span()}}, e}
	}
	if p.at(",") || p.at("=") {
		return p.assignStat(e)
	}
	if isCompound(&p.tok) {
		return p.compoundStat(e)
	}
	start := e.Span().Start
	if n, ok := e.(*NameExpr); ok {
		switch n.Name {
		case "type":
			return p.typeStat(start, false)
		case "export":
			if p.tok.kind == name && p.tok.text == "type" {
				p.next()
				return p.typeStat(start, true)
			}
		case "continue":
			p.inLoop("continue", start)
			return &ContinueStat{stat{node{e.Span()}}}
		case "const":
			return p.localStat(nil, start, true)
		case "goto":
			p.failAt(e.Span(), "Luau has no goto; use a loop with break or continue")
		}
	}
	if p.tok.span == first.span {
		p.expected("a statement")
	}
	p.fail("expected '=' or a call behind an expression that begins a statement, got %s", &p.tok)
	return nil
}

func (p *parser) inLoop(word string, start Pos) {
	if p.rules.breakAnywhere && word == "break" {
		return
	}
	if p.function().loops == 0 {
		p.failAt(p.from(start), "'%s' must stand in a loop of the same function", word)
	}
}

// body reads the block of a loop, to its end.
func (p *parser) body(open *token) *Block {
	p.function().loops++
	b := p.block()
	p.function().loops--
	p.closes("end", open)
	return b
}

func (p *parser) doStat() Stat {
	open := p.tok
	p.next()
	b := p.block()
	p.closes("end", &open)
	b.span = p.from(open.span.Start)
	return b
}

func (p *parser) ifStat() Stat {
	s := &IfStat{}
	start := p.tok.span.Start
	p.next()
	s.Cond = p.expr(0)
	open := p.tok
	p.expect("then", "behind the condition of 'if'")
	s.Then = p.block()
	switch {
	case p.at("elseif"):
		depth := p.depth
		p.deeper("chain of elseif")
		s.Else = p.ifStat()
		p.depth = depth
		s.span = p.from(start)
		return s
	case p.at("else"):
		open = p.tok
		p.next()
		s.Else = p.block()
	}
	p.closes("end", &open)
	s.span = p.from(start)
	return s
}

func (p *parser) whileStat() Stat {
	s := &WhileStat{}
	start := p.tok.span.Start
	p.next()
	s.Cond = p.expr(0)
	open := p.tok
	p.expect("do", "behind the condition of 'while'")
	s.Body = p.body(&open)
	s.span = p.from(start)
	return s
}

func (p *parser) repeatStat() Stat {
	s := &RepeatStat{}
	open := p.tok
	p.next()
	n := len(p.stack)
	p.function().loops++
	s.Body = p.blockOpen()
	p.function().loops--
	p.closes("until", &open)
	s.Cond = p.expr(0)
	p.undeclare(n)
	s.span = p.from(open.span.Start)
	return s
}

func (p *parser) forStat() Stat {
	start := p.tok.span.Start
	p.next()
	first := p.binding()
	if p.accept("=") {
		return p.forRange(start, first)
	}
	s := &ForInStat{}
	vars := []binding{first}
	if p.accept(",") {
		vars = append(vars, p.bindings()...)
	}
	p.expect("in", "or '=' behind the variables of 'for'")
	s.Values = p.exprs()
	open := p.tok
	p.expect("do", "behind the values of 'for'")
	n := len(p.stack)
	for _, v := range vars {
		s.Vars = append(s.Vars, p.declare(v.name, v.typ, Loop, false))
	}
	s.Body = p.body(&open)
	p.undeclare(n)
	s.span = p.from(start)
	return s
}

func (p *parser) forRange(start Pos, v binding) Stat {
	s := &ForStat{}
	s.From = p.expr(0)
	p.expect(",", "behind the first value of 'for'")
	s.To = p.expr(0)
	if p.accept(",") {
		s.Step = p.expr(0)
	}
	open := p.tok
	p.expect("do", "behind the values of 'for'")
	n := len(p.stack)
	s.Var = p.declare(v.name, v.typ, Loop, false)
	s.Body = p.body(&open)
	p.undeclare(n)
	s.span = p.from(start)
	return s
}
