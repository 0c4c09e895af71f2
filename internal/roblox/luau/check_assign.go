package luau

// place is where an assignment writes to.
type place struct {
	local bool
	regs  []int // the registers of the local, or of the table and the key
}

// lvalue computes what must be known to assign to a target.
func (c *compiler) lvalue(target Expr) place {
	switch t := target.(type) {
	case *NameExpr:
		switch {
		case t.Local == nil:
			return place{}
		case t.Local.live:
			return place{true, []int{t.Local.reg}}
		}
		c.upvalue(t, t.Local)
	case *FieldExpr:
		return place{false, []int{c.auto(t.X)}}
	case *IndexExpr:
		table := c.auto(t.X)
		if c.plainKey(t.Index) {
			return place{false, []int{table}}
		}
		return place{false, []int{table, c.auto(t.Index)}}
	}
	return place{}
}

// plainKey reports whether a key needs no register.
func (c *compiler) plainKey(key Expr) bool {
	k := c.fold(key)
	return k.isText() || k.state == isNumber && k.number >= 1 && k.number <= 256 && k.number == float64(int(k.number))
}

func (c *compiler) assignStat(s *AssignStat) {
	if len(s.Targets) == 1 && len(s.Values) == 1 {
		if p := c.lvalue(s.Targets[0]); p.local {
			c.expr(s.Values[0], p.regs[0], false)
		} else {
			c.auto(s.Values[0])
		}
		return
	}
	places := make([]place, len(s.Targets))
	for i, t := range s.Targets {
		places[i] = c.lvalue(t)
	}
	c.resolveConflicts(s, places)
	for i := 0; i < len(s.Targets) && i < len(s.Values); i++ {
		switch rest := len(s.Targets) - i; {
		case i+1 == len(s.Values) && rest > 1:
			first := c.alloc(s, rest)
			c.tempN(s.Values[i], first, rest, true)
		case places[i].local:
			c.expr(s.Values[i], places[i].regs[0], false)
		default:
			c.auto(s.Values[i])
		}
	}
	for i := len(s.Targets); i < len(s.Values); i++ {
		c.side(s.Values[i])
	}
}

// resolveConflicts gives a register of its own to each local that is assigned to and still used.
func (c *compiler) resolveConflicts(s *AssignStat, places []place) {
	var assigned, conflict [maxRegisters + 1]bool
	visit := func(e Expr) {
		Inspect(e, func(n Node) bool {
			switch n := n.(type) {
			case Type:
				return false
			case *NameExpr:
				if n.Local != nil && n.Local.live && assigned[n.Local.reg] {
					conflict[n.Local.reg] = true
				}
			}
			return true
		})
	}
	for i, p := range places {
		if p.local {
			if i < len(s.Values) {
				visit(s.Values[i])
			}
			assigned[p.regs[0]] = true
		}
	}
	for i, v := range s.Values {
		if i >= len(places) || !places[i].local {
			visit(v)
		}
	}
	for _, p := range places {
		for _, reg := range p.regs {
			if !p.local && assigned[reg] {
				conflict[reg] = true
			}
		}
	}
	for i, p := range places {
		if p.local && conflict[p.regs[0]] {
			places[i].regs = []int{c.alloc(s, 1)}
		}
	}
}

func (c *compiler) compoundStat(s *CompoundAssignStat) {
	p := c.lvalue(s.Target)
	if !p.local {
		c.alloc(s, 1)
	}
	if s.Op == "..=" {
		args := concats(s.Value)
		first := c.alloc(s, 1+len(args))
		for i, a := range args {
			c.exprTemp(a, first+1+i)
		}
		return
	}
	if c.fold(s.Value).state != isNumber {
		c.auto(s.Value)
	}
}

// concats returns the operands of a chain of "..".
func concats(e Expr) []Expr {
	var out []Expr
	for {
		b, ok := e.(*BinaryExpr)
		if !ok || b.Op != ".." {
			return append(out, e)
		}
		out = append(out, b.X)
		e = b.Y
	}
}
