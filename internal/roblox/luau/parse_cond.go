package luau

// ifExpr reads if or elseif as an expression.
func (p *parser) ifExpr() Expr {
	e := &IfExpr{}
	start := p.tok.span.Start
	p.next()
	e.Cond = p.expr(0)
	p.expect("then", "behind the condition of an 'if' expression")
	e.Then = p.expr(0)
	if p.at("elseif") {
		depth := p.depth
		p.deeper("expression")
		e.Else = p.ifExpr()
		p.depth = depth
	} else {
		p.expect("else", "in an 'if' expression, which needs one")
		e.Else = p.expr(0)
	}
	e.span = p.from(start)
	return e
}
