package luau

// attributed reads a statement that begins with attributes.
func (p *parser) attributed() Stat {
	start := p.tok.span.Start
	attributes := p.attributes()
	switch {
	case p.at("function"):
		return p.functionStat(attributes, start)
	case p.at("local"):
		p.next()
		return p.localStat(attributes, start, false)
	case p.tok.kind == name && p.tok.text == "const":
		p.next()
		return p.localStat(attributes, start, true)
	}
	p.expected("'function', 'local function' or 'const function' behind an attribute")
	return nil
}

func (p *parser) attributes() []*Attribute {
	var list []*Attribute
	for {
		switch {
		case p.tok.kind == attrName:
			a := &Attribute{node: node{p.tok.span}, Name: p.tok.text}
			p.checkAttribute(a, list)
			list = append(list, a)
			p.next()
		case p.at("@["):
			list = p.attributeList(list)
		default:
			return list
		}
	}
}

// attributeList reads the attributes of a list.
func (p *parser) attributeList(list []*Attribute) []*Attribute {
	open := p.tok
	p.next()
	if p.at("]") {
		p.fail("a list of attributes cannot be empty")
	}
	for {
		n := p.name("the name of an attribute")
		a := &Attribute{Name: n.Text}
		if p.at("(") || p.at("{") || p.tok.kind == quoted || p.tok.kind == long {
			a.Args = p.args()
		}
		a.span = p.from(n.Span.Start)
		for _, arg := range a.Args {
			if !isLiteral(arg) {
				p.failAt(arg.Span(), "an attribute takes constants, and tables of them, only")
			}
		}
		p.checkAttribute(a, list)
		list = append(list, a)
		if !p.accept(",") {
			break
		}
	}
	p.closes("]", &open)
	return list
}

func (p *parser) checkAttribute(a *Attribute, before []*Attribute) {
	switch a.Name {
	case "native", "checked":
	case "deprecated":
		p.checkDeprecated(a)
	case "":
		p.failAt(a.span, "an attribute's name is missing behind '@'")
	default:
		p.failAt(a.span, "there is no attribute '@%s'; there are @native, @checked and @deprecated", clip(a.Name))
	}
	for _, b := range before {
		if a.Name == b.Name {
			p.failAt(a.span, "the attribute '@%s' stands there twice", a.Name)
		}
	}
}

func (p *parser) checkDeprecated(a *Attribute) {
	if len(a.Args) == 0 {
		return
	}
	table, ok := a.Args[0].(*TableExpr)
	if !ok || len(a.Args) > 1 {
		p.failAt(a.span, "'@deprecated' takes one table, such as {use = \"f\", reason = \"slow\"}")
	}
	for _, item := range table.Items {
		key, _ := item.Key.(*StringExpr)
		if !item.Named || key.Value != "use" && key.Value != "reason" {
			p.failAt(item.Value.Span(), "the table of '@deprecated' has the fields 'use' and 'reason' only")
		}
		if _, ok := item.Value.(*StringExpr); !ok {
			p.failAt(item.Value.Span(), "the field '%s' of '@deprecated' must be a string", key.Value)
		}
	}
}

// isLiteral reports whether e is a constant or a table of them.
func isLiteral(e Expr) bool {
	switch e := e.(type) {
	case *NilExpr, *BoolExpr, *NumberExpr, *StringExpr:
		return true
	case *TableExpr:
		for _, item := range e.Items {
			if item.Key != nil && !item.Named || !isLiteral(item.Value) {
				return false
			}
		}
		return true
	}
	return false
}
