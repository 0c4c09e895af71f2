package luau

// packFollows reports whether ...T or T... follows.
func (p *parser) packFollows() bool {
	return p.at("...") || p.tok.kind == name && p.peek().is("...")
}

// pack reads ...T or T....
func (p *parser) pack() Type {
	start := p.tok.span.Start
	if p.accept("...") {
		t := p.typ()
		return &VariadicType{typ{node{p.from(start)}}, t}
	}
	n := p.name("the name of a pack")
	p.next()
	return &GenericPack{typ{node{p.from(start)}}, n.Text}
}

// variadic reads the type of the parameter "...".
func (p *parser) variadic() Type {
	if p.tok.kind == name && p.peek().is("...") {
		return p.pack()
	}
	t := p.typ()
	return &VariadicType{typ{node{t.Span()}}, t}
}

// typeList reads types up to a parenthesis, for parameters or results.
func (p *parser) typeList(list *TypeList) {
	for {
		if p.packFollows() {
			list.Tail = p.pack()
			return
		}
		called := ""
		if p.tok.kind == name && p.peek().is(":") {
			called = p.tok.text
			p.next()
			p.next()
			for len(list.Names) < len(list.Types) {
				list.Names = append(list.Names, "")
			}
		}
		if called != "" || len(list.Names) > 0 {
			list.Names = append(list.Names, called)
		}
		list.Types = append(list.Types, p.typ())
		if !p.accept(",") {
			return
		}
		if p.at(")") {
			p.expected("a type behind ','")
		}
	}
}

// parenList reads (types).
func (p *parser) parenList() *TypeList {
	list := &TypeList{}
	open := p.tok
	p.expect("(", "before the parameters of a function type")
	if !p.at(")") {
		p.typeList(list)
	}
	p.closes(")", &open)
	list.span = p.from(open.span.Start)
	return list
}

// returnAnnotation reads what a function returns, if that is said.
func (p *parser) returnAnnotation() Type {
	if p.at("->") {
		p.fail("the type that a function returns stands behind ':', not '->'")
	}
	if !p.accept(":") {
		return nil
	}
	depth := p.depth
	t := p.returnType()
	if p.at(",") {
		p.fail("several types that a function returns stand in parentheses; expected a statement, got ','")
	}
	p.depth = depth
	return t
}

func (p *parser) returnType() Type {
	p.deeper("type")
	start := p.tok.span.Start
	if !p.at("(") {
		if p.packFollows() {
			return p.pack()
		}
		return single(p.typ())
	}
	list := p.parenList()
	if p.at("->") || len(list.Names) > 0 {
		return single(p.functionTail(start, nil, list))
	}
	if len(list.Types) != 1 {
		return list
	}
	inner := list.Types[0]
	if list.Tail == nil {
		inner = &GroupType{typ{list.node}, inner}
	}
	end := p.prev.End
	t := p.typeSuffix(inner, start)
	if p.prev.End == end {
		return list
	}
	if list.Tail != nil { // (A, ...B) | C: so it is in the compiler
		return &TypeList{typ{node{p.from(start)}}, []Type{t}, nil, list.Tail}
	}
	return single(t)
}

func single(t Type) *TypeList { return &TypeList{typ{node{t.Span()}}, []Type{t}, nil, nil} }

// functionType reads a type that begins with "(" or "<": a function, a type in parentheses, or, if it may be one, a pack.
func (p *parser) functionType(pack bool) Type {
	p.deeper("type")
	start := p.tok.span.Start
	generic := p.at("<")
	generics := p.generics(false)
	list := p.parenList()
	function := generic || len(list.Names) > 0 || p.at("->") || p.at(":")
	switch {
	case !function && pack:
		return list
	case !function && len(list.Types) == 1 && list.Tail == nil:
		return &GroupType{typ{list.node}, list.Types[0]}
	}
	return p.functionTail(start, generics, list)
}

// functionTail reads "->" and what a function type returns.
func (p *parser) functionTail(start Pos, generics []*Generic, params *TypeList) Type {
	p.deeper("type")
	switch {
	case p.at(":"):
		p.fail("the type that a function type returns stands behind '->', not ':'")
	case !p.at("->") && len(generics)+len(params.Types) == 0 && params.Tail == nil:
		p.expected("'->' behind '()'; 'nil' is the type of nothing")
	}
	p.expect("->", "behind the parameters of a function type")
	returns := p.returnType()
	return &FunctionType{typ{node{p.from(start)}}, generics, params, returns}
}
