package luau

// typ reads a type.
func (p *parser) typ() Type {
	depth := p.depth
	start := p.tok.span.Start
	var first Type
	if !p.at("|") && !p.at("&") {
		first = p.simpleType(false)
		p.depth = depth
	}
	t := p.typeSuffix(first, start)
	p.depth = depth
	return t
}

// typeSuffix reads the rest of a union or intersection that begins with first, if that is not nil.
func (p *parser) typeSuffix(first Type, start Pos) Type {
	var parts []Type
	if first != nil {
		parts = append(parts, first)
	}
	p.deeper("type")
	optional, union, intersection := 0, false, false
	for p.at("|") || p.at("&") || p.at("?") || p.at("...") {
		switch p.tok.text {
		case "...":
			p.fail("a type cannot be followed by '...' here")
		case "?":
			p.next()
			optional++
			union = true
		default:
			union = union || p.at("|")
			intersection = intersection || p.at("&")
			p.next()
			depth := p.depth
			parts = append(parts, p.simpleType(false))
			p.depth = depth
		}
		if len(parts) > maxTypes {
			p.fail("the type has too many parts: %d are the limit; name some of them", maxTypes)
		}
	}
	at := typ{node{p.from(start)}}
	switch {
	case union && intersection:
		p.failAt(at.span, "a type cannot mix '|' or '?' with '&'; put parentheses around one of them")
	case union:
		return &UnionType{at, parts, optional > 0}
	case intersection:
		return &IntersectionType{at, parts}
	}
	return first
}

// simpleType reads a type that is no union or intersection. With pack, a list in parentheses may be a *TypeList.
func (p *parser) simpleType(pack bool) Type {
	p.deeper("type")
	at := typ{node{p.tok.span}}
	switch p.tok.kind {
	case name:
		return p.namedType()
	case quoted, long:
		t := &StringType{at, p.stringValue()}
		p.next()
		return t
	case interp, interpL:
		p.fail("a string in backticks cannot be a type; put it in quotes")
	case attrName:
		p.fail("an attribute cannot stand in a type")
	case keyword:
		switch p.tok.text {
		case "nil":
			n := Name{"nil", p.tok.span}
			p.next()
			return &NamedType{typ: at, Name: n}
		case "true", "false":
			t := &BoolType{at, p.at("true")}
			p.next()
			return t
		case "{":
			return p.tableType()
		case "(", "<":
			return p.functionType(pack)
		case "function":
			p.fail("'function' is no type; write one such as '(...any) -> ...any'")
		}
	}
	p.expected("a type")
	return nil
}

func (p *parser) namedType() Type {
	t := &NamedType{}
	start := p.tok.span.Start
	t.Name = p.name("a type")
	switch {
	case p.accept("."):
		t.Prefix, t.Name = t.Name, p.name("the name of a type behind '.'")
	case p.at("..."):
		p.fail("'...' behind the name of a type makes a pack, which cannot stand here")
	case t.Name.Text == "typeof":
		open := p.tok
		p.expect("(", "behind 'typeof'")
		x := p.expr(0)
		p.closes(")", &open)
		return &TypeofType{typ{node{p.from(start)}}, x}
	}
	if p.at("<") {
		t.Args = p.typeArgs()
	}
	t.span = p.from(start)
	return t
}

// tableType reads {…} as a type.
func (p *parser) tableType() Type {
	p.deeper("type")
	t := &TableType{}
	open := p.tok
	p.next()
	for !p.at("}") {
		start := p.tok.span.Start
		access := ""
		if p.tok.kind == name && (p.tok.text == "read" || p.tok.text == "write") && !p.peek().is(":") {
			access = p.tok.text
			p.next()
		}
		switch {
		case p.at("["):
			p.bracketProp(t, access, start)
		case len(t.Props) == 0 && t.Indexer == nil && (p.tok.kind != name || !p.peek().is(":")):
			value := p.typ()
			t.Indexer = &TypeProp{p.from(start), access, Name{}, nil, value}
			p.closes("}", &open)
			t.span = p.from(open.span.Start)
			return t
		default:
			n := p.name("the name of a field, or '}'")
			p.expect(":", "behind the name of a field")
			value := p.typ()
			t.Props = append(t.Props, TypeProp{p.from(start), access, n, nil, value})
		}
		if !p.accept(",") && !p.accept(";") {
			break
		}
	}
	p.closes("}", &open)
	t.span = p.from(open.span.Start)
	return t
}

// bracketProp reads ["name"]: Type or an indexer.
func (p *parser) bracketProp(t *TableType, access string, start Pos) {
	open := p.tok
	p.next()
	if (p.tok.kind == quoted || p.tok.kind == long) && p.peek().is("]") {
		n := Name{p.stringValue(), p.tok.span}
		for _, c := range []byte(n.Text) {
			if c == 0 {
				p.fail("the name of a field cannot have a zero byte")
			}
		}
		p.next()
		p.next()
		p.expect(":", "behind the name of a field")
		value := p.typ()
		t.Props = append(t.Props, TypeProp{p.from(start), access, n, nil, value})
		return
	}
	if t.Indexer != nil {
		p.failAt(open.span, "a table type has one indexer only, and there is one already")
	}
	key := p.typ()
	p.closes("]", &open)
	p.expect(":", "behind the key of a table type")
	value := p.typ()
	t.Indexer = &TypeProp{p.from(start), access, Name{}, key, value}
}
