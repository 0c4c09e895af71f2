package luau

func (c *compiler) stat(s Stat) {
	top, locals := c.top, len(c.locals)
	switch s := s.(type) {
	case *LocalStat: // its registers go to the block
		c.localStat(s)
		return
	case *LocalFunctionStat:
		reg := c.alloc(s, 1)
		c.push(s.Local, reg)
		c.functionExpr(s.Func)
		return
	case *Block:
		c.stats(s.Stats)
		c.pop(locals)
	case *IfStat:
		c.ifStat(s)
	case *WhileStat:
		if cond := c.fold(s.Cond); cond.known() && !cond.truth {
			return
		}
		c.loops = append(c.loops, loop{})
		c.condition(s.Cond, noTarget, false)
		c.stat(s.Body)
		c.loops = c.loops[:len(c.loops)-1]
	case *RepeatStat:
		c.repeatStat(s)
		c.pop(locals)
	case *ForStat:
		c.forStat(s)
		c.pop(locals)
	case *ForInStat:
		c.forInStat(s)
		c.pop(locals)
	case *ContinueStat:
		if l := &c.loops[len(c.loops)-1]; l.skipped == nil {
			l.skipped = s
		}
	case *ReturnStat:
		c.returnStat(s)
	case *CallStat:
		c.call(s.Call, 0, false)
	case *AssignStat:
		c.assignStat(s)
	case *CompoundAssignStat:
		c.compoundStat(s)
	case *FunctionStat:
		if n, ok := s.Target.(*NameExpr); !ok || n.Local == nil || !n.Local.live {
			c.exprTemp(s.Func, c.alloc(s, 1))
			c.lvalue(s.Target)
		} else {
			c.functionExpr(s.Func)
		}
	}
	c.top = top
}

func (c *compiler) localStat(s *LocalStat) {
	if c.redundant(s) {
		return
	}
	if c.optimize && len(s.Locals) == 1 && len(s.Values) == 1 {
		if n := localName(s.Values[0]); n != nil && n.Local.live && !n.Local.written && !s.Locals[0].written {
			c.push(s.Locals[0], n.Local.reg)
			return
		}
	}
	first := c.alloc(s, len(s.Locals))
	c.list(s.Values, first, len(s.Locals), true)
	for i, l := range s.Locals {
		c.push(l, first+i)
	}
}

// redundant reports whether all uses of the locals are replaced by their values.
func (c *compiler) redundant(s *LocalStat) bool {
	if !c.optimize || len(s.Values) > len(s.Locals) {
		return false
	}
	for _, l := range s.Locals {
		if !l.folded.known() {
			return false
		}
	}
	return true
}

func (c *compiler) ifStat(s *IfStat) {
	cond := c.fold(s.Cond)
	if cond.known() && !cond.truth {
		if s.Else != nil {
			c.stat(s.Else)
		}
		return
	}
	if and, ok := s.Cond.(*BinaryExpr); ok && and.Op == "and" {
		if right := c.fold(and.Y); right.known() && !right.truth {
			c.side(and.X)
			if s.Else != nil {
				c.stat(s.Else)
			}
			return
		}
	}
	jumps := c.condition(s.Cond, noTarget, false)
	c.stat(s.Then)
	if s.Else != nil && jumps {
		c.stat(s.Else)
	}
}

func (c *compiler) repeatStat(s *RepeatStat) {
	c.loops = append(c.loops, loop{})
	at := len(c.loops) - 1
	kept := -1
	for i, inner := range s.Body.Stats {
		c.stat(inner)
		if skipped := c.loops[at].skipped; skipped != nil && kept < 0 {
			c.checkUntil(s, skipped, s.Body.Stats[i+1:])
			kept = len(c.locals)
		}
	}
	if kept >= 0 {
		c.pop(kept)
	}
	if cond := c.fold(s.Cond); !cond.known() || !cond.truth {
		c.condition(s.Cond, noTarget, true)
	}
	c.loops = c.loops[:at]
}

// checkUntil fails when the condition uses a local that is declared in rest, which a continue jumps over.
func (c *compiler) checkUntil(s *RepeatStat, skipped *ContinueStat, rest []Stat) {
	declared := map[*Local]bool{}
	for _, inner := range rest {
		switch inner := inner.(type) {
		case *LocalStat:
			for _, l := range inner.Locals {
				declared[l] = true
			}
		case *LocalFunctionStat:
			declared[inner.Local] = true
		}
	}
	use := func(at Node, l *Local) {
		if declared[l] {
			c.fail(at, "the condition of 'repeat' uses '%s', which the 'continue' in line %d jumps over; declare it before the 'continue'",
				clip(l.Name), skipped.span.Start.Line)
		}
	}
	Inspect(s.Cond, func(n Node) bool {
		switch n := n.(type) {
		case Type:
			return false
		case *NameExpr:
			use(n, n.Local)
		case *FunctionExpr:
			for _, l := range c.upvals[n] {
				use(n, l)
			}
			return false
		}
		return true
	})
}

func (c *compiler) forStat(s *ForStat) {
	c.loops = append(c.loops, loop{})
	first := c.alloc(s, 3)
	reg := first + 2
	if s.Var.written {
		reg = c.alloc(s, 1)
	}
	c.exprTemp(s.From, first+2)
	c.exprTemp(s.To, first)
	if s.Step != nil {
		c.exprTemp(s.Step, first+1)
	}
	c.push(s.Var, reg)
	c.stat(s.Body)
	c.loops = c.loops[:len(c.loops)-1]
}

func (c *compiler) forInStat(s *ForInStat) {
	c.loops = append(c.loops, loop{})
	first := c.alloc(s, 3)
	c.list(s.Values, first, 3, true)
	vars := c.alloc(s, max(len(s.Vars), 2))
	for i, l := range s.Vars {
		c.push(l, vars+i)
	}
	c.stat(s.Body)
	c.loops = c.loops[:len(c.loops)-1]
}

func (c *compiler) returnStat(s *ReturnStat) {
	if len(s.Values) >= maxResults {
		c.fail(s, "too many results: a function returns fewer than %d values; return a table", maxResults)
	}
	if len(s.Values) == 0 || c.consecutive(s.Values) {
		return
	}
	first := c.alloc(s, len(s.Values))
	c.values(s.Values, first)
}

// consecutive reports whether values are locals in registers one after the other.
func (c *compiler) consecutive(values []Expr) bool {
	first, ok := c.local(values[0])
	for i, v := range values {
		if reg, isLocal := c.local(v); !ok || !isLocal || reg != first+i {
			return false
		}
	}
	return true
}
