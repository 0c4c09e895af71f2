package luau

// binding is a name with a type, before it is visible.
type binding struct {
	name Name
	typ  Type
}

func (p *parser) binding() binding {
	b := binding{name: p.name("the name of a variable")}
	if p.accept(":") {
		b.typ = p.typ()
	}
	return b
}

func (p *parser) bindings() []binding {
	list := []binding{p.binding()}
	for p.accept(",") {
		list = append(list, p.binding())
	}
	return list
}

// localStat reads what follows local or const.
func (p *parser) localStat(attributes []*Attribute, start Pos, constant bool) Stat {
	if p.at("function") {
		return p.localFunction(attributes, start, constant)
	}
	if len(attributes) > 0 {
		p.expected("'function' behind 'local' with an attribute")
	}
	s := &LocalStat{Const: constant}
	vars := p.bindings()
	if p.accept("=") {
		s.Values = p.exprs()
	}
	for _, v := range vars {
		s.Locals = append(s.Locals, p.declare(v.name, v.typ, Variable, constant))
	}
	s.span = p.from(start)
	if constant && len(s.Values) != len(vars) && !manyResults(s.Values) {
		p.failAt(s.span, "'const' declares %d variables with %d values; each needs one", len(vars), len(s.Values))
	}
	return s
}

// manyResults reports whether the last of some values can be more than one.
func manyResults(values []Expr) bool {
	if len(values) == 0 {
		return false
	}
	switch values[len(values)-1].(type) {
	case *CallExpr, *MethodCallExpr, *VarargExpr:
		return true
	}
	return false
}

func (p *parser) localFunction(attributes []*Attribute, start Pos, constant bool) Stat {
	s := &LocalFunctionStat{}
	open := p.tok
	p.next()
	n := p.name("the name of the function")
	s.Func = p.functionBody(&open, attributes, signature{name: n.Text, start: start, declare: func() {
		s.Local = p.declare(n, nil, Function, constant)
	}})
	s.span = p.from(start)
	return s
}

func (p *parser) functionStat(attributes []*Attribute, start Pos) Stat {
	s := &FunctionStat{}
	open := p.tok
	p.next()
	if p.tok.kind != name {
		p.expected("the name of the function")
	}
	last := Name{p.tok.text, p.tok.span}
	s.Target = p.nameExpr()
	depth := p.depth
	for p.at(".") {
		p.next()
		last = p.name("the name of a field")
		s.Target = p.field(s.Target, last, false)
		p.deeper("name of the function")
	}
	p.depth = depth
	self := p.accept(":")
	if self {
		last = p.name("the name of a method")
		s.Target = p.field(s.Target, last, true)
	}
	if n, ok := s.Target.(*NameExpr); ok {
		if n.Local != nil {
			n.Local.written = true
		} else {
			p.written[n.Name] = true
		}
	}
	s.Func = p.functionBody(&open, attributes, signature{name: last.Text, start: start, self: self})
	s.span = p.from(start)
	return s
}

func (p *parser) field(x Expr, n Name, colon bool) *FieldExpr {
	return &FieldExpr{expr{node: node{Span{x.Span().Start, n.Span.End}}}, x, n, colon}
}

// signature is what stands before a function's generics.
type signature struct {
	name    string
	start   Pos    // of its attributes
	self    bool   // it has the parameter self, unwritten
	declare func() // makes its own name visible, if it has a local one
}

// functionBody reads a function from its generics to its end.
func (p *parser) functionBody(open *token, attributes []*Attribute, sig signature) *FunctionExpr {
	f := &FunctionExpr{Attributes: attributes, Name: sig.name}
	f.Generics = p.generics(false)
	paren := p.tok
	p.expect("(", "before the parameters of a function")
	var params []binding
	if !p.at(")") {
		params = p.params(f)
	}
	p.closes(")", &paren)
	f.Returns = p.returnAnnotation()
	if sig.declare != nil {
		sig.declare()
	}
	n := len(p.stack)
	p.funcs = append(p.funcs, &function{expr: f, vararg: f.Vararg})
	if sig.self {
		f.Self = p.declare(Name{"self", open.span}, nil, Self, false)
	}
	for _, b := range params {
		f.Params = append(f.Params, p.declare(b.name, b.typ, Parameter, false))
	}
	f.Body = p.block()
	p.funcs = p.funcs[:len(p.funcs)-1]
	p.undeclare(n)
	p.closes("end", open)
	f.span = p.from(open.span.Start)
	if len(attributes) > 0 {
		f.span.Start = sig.start
	}
	return f
}

// params reads the parameters of a function.
func (p *parser) params(f *FunctionExpr) []binding {
	var list []binding
	for {
		if p.accept("...") {
			f.Vararg = true
			if p.accept(":") {
				f.VarargType = p.variadic()
			}
			return list
		}
		list = append(list, p.binding())
		if !p.accept(",") {
			return list
		}
	}
}

// typeStat reads what follows type.
func (p *parser) typeStat(start Pos, exported bool) Stat {
	if p.at("function") {
		return p.typeFunction(start, exported)
	}
	s := &TypeStat{Exported: exported}
	s.Name = p.name("the name of a type")
	s.Generics = p.generics(true)
	p.expect("=", "behind the name of a type")
	s.Type = p.typ()
	s.span = p.from(start)
	return s
}

func (p *parser) typeFunction(start Pos, exported bool) Stat {
	s := &TypeFunctionStat{Exported: exported}
	open := p.tok
	p.next()
	s.Name = p.name("the name of a type function")
	outside := p.outside
	p.outside = len(p.funcs) + 1
	s.Func = p.functionBody(&open, nil, signature{name: s.Name.Text})
	p.outside = outside
	s.span = p.from(start)
	return s
}
