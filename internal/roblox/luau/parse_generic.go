package luau

// generics reads the type parameters of a declaration, if it has any.
func (p *parser) generics(defaults bool) []*Generic {
	if !p.at("<") {
		return nil
	}
	open := p.tok
	p.next()
	var list []*Generic
	packs, defaulted := false, false
	for {
		g := p.generic(defaults, packs)
		packs = packs || g.Pack
		if g.Default == nil && defaulted {
			p.expected("'=' and a default, which each type parameter behind one with a default needs")
		}
		defaulted = defaulted || g.Default != nil
		list = append(list, g)
		if !p.accept(",") {
			break
		}
		if p.at(">") {
			p.expected("a type parameter behind ','")
		}
	}
	p.closes(">", &open)
	return list
}

func (p *parser) generic(defaults, packs bool) *Generic {
	n := p.name("the name of a type parameter")
	g := &Generic{Name: n.Text}
	if p.accept("...") {
		g.Pack = true
	} else if packs {
		p.fail("type parameters that are packs come last; expected '...', got %s", &p.tok)
	}
	if defaults && p.accept("=") {
		g.Default = p.genericDefault(g.Pack)
	}
	g.span = p.from(n.Span.Start)
	return g
}

func (p *parser) genericDefault(pack bool) Type {
	if !pack {
		return p.typ()
	}
	if p.packFollows() {
		return p.pack()
	}
	depth := p.depth
	start := p.tok.span
	t := p.simpleType(true)
	list, ok := t.(*TypeList)
	if !ok {
		p.depth = depth
		p.failAt(start, "the default of a pack must be a pack, such as '...number' or '(number, string)'")
	}
	return list
}

// typeArgs reads <Types>.
func (p *parser) typeArgs() []Type {
	open := p.tok
	p.expect("<", "before type arguments")
	list := []Type{}
	for !p.at(">") || len(list) > 0 {
		switch {
		case p.packFollows():
			list = append(list, p.pack())
		case p.at("("):
			list = append(list, p.parenArg())
		default:
			list = append(list, p.typ())
		}
		if !p.accept(",") {
			break
		}
	}
	p.closes(">", &open)
	return list
}

// parenArg reads a type argument that begins with a parenthesis: (T) is a pack, unless it goes on as a union or intersection.
func (p *parser) parenArg() Type {
	start := p.tok.span.Start
	t := p.simpleType(true)
	list, ok := t.(*TypeList)
	if !ok {
		return p.typeSuffix(t, start)
	}
	if len(list.Types) == 1 && list.Tail == nil && (p.at("|") || p.at("?") || p.at("&")) {
		return p.typeSuffix(&GroupType{typ{list.node}, list.Types[0]}, start)
	}
	return list
}
