package luau

func (c *compiler) binaryExpr(e *BinaryExpr, target int, temp bool) {
	switch e.Op {
	case "and", "or":
		c.andOr(e, target, temp)
	case "..":
		args := concats(e)
		first := c.alloc(e, len(args))
		for i, a := range args {
			c.exprTemp(a, first+i)
		}
	case "==", "~=", "<", "<=", ">", ">=":
		c.compare(e)
	default:
		if c.fold(e.Y).state == isNumber {
			c.auto(e.X)
			return
		}
		if (e.Op == "-" || e.Op == "/") && c.fold(e.X).state == isNumber {
			c.auto(e.Y)
			return
		}
		c.auto(e.X)
		c.auto(e.Y)
	}
}

func (c *compiler) compare(e *BinaryExpr) {
	top := c.top
	x, y := e.X, e.Y
	equal := e.Op == "==" || e.Op == "~="
	if equal && !c.fold(y).known() {
		x, y = y, x
		if !c.fold(y).known() {
			x, y = y, x
		}
	}
	c.auto(x)
	if !equal || !c.fold(y).known() {
		c.auto(y)
	}
	c.top = top
}

func (c *compiler) andOr(e *BinaryExpr, target int, temp bool) {
	if x := c.fold(e.X); x.known() {
		if (e.Op == "and") == x.truth {
			c.expr(e.Y, target, temp)
		} else {
			c.expr(e.X, target, temp)
		}
		return
	}
	if !c.fastCondition(e.X) {
		if _, ok := c.local(e.Y); ok || c.fold(e.Y).known() {
			c.auto(e.X)
			return
		}
	}
	reg := target
	if !temp {
		reg = c.alloc(e, 1)
	}
	c.condition(e.X, reg, e.Op == "or")
	c.exprTemp(e.Y, reg)
}

// fastCondition reports whether e is better computed as a condition than as a value.
func (c *compiler) fastCondition(e Expr) bool {
	if c.fold(e).known() {
		return true
	}
	switch e := e.(type) {
	case *BinaryExpr:
		switch e.Op {
		case "and", "or", "==", "~=", "<", "<=", ">", ">=":
			return true
		}
	case *ParenExpr:
		return c.fastCondition(e.X)
	}
	return false
}

// condition computes e for a jump when it is what truth says, and its value to target unless that is noTarget. It reports whether there is a jump at all.
func (c *compiler) condition(e Expr, target int, truth bool) bool {
	if k := c.fold(e); k.known() {
		return k.truth == truth
	}
	switch e := e.(type) {
	case *BinaryExpr:
		switch e.Op {
		case "and", "or":
			if truth == (e.Op == "and") {
				c.condition(e.X, noTarget, !truth)
				return c.condition(e.Y, target, truth)
			}
			left := c.condition(e.X, target, truth)
			return c.condition(e.Y, target, truth) || left
		case "==", "~=", "<", "<=", ">", ">=":
			c.compare(e)
			return true
		}
	case *UnaryExpr:
		if e.Op == "not" && target == noTarget {
			return c.condition(e.X, noTarget, !truth)
		}
	case *ParenExpr:
		return c.condition(e.X, target, truth)
	}
	top := c.top
	if target == noTarget {
		c.auto(e)
	} else {
		c.exprTemp(e, target)
	}
	c.top = top
	return true
}

func (c *compiler) ifExpr(e *IfExpr, target int, temp bool) {
	if k := c.fold(e.Cond); k.known() {
		if k.truth {
			c.expr(e.Then, target, temp)
		} else {
			c.expr(e.Else, target, temp)
		}
		return
	}
	if reg, ok := c.local(e.Cond); ok {
		if c.cheap(reg, e.Then, e.Else) || c.cheap(reg, e.Else, e.Then) {
			return
		}
	}
	c.condition(e.Cond, noTarget, false)
	c.expr(e.Then, target, temp)
	c.expr(e.Else, target, temp)
}

// cheap reports whether same is the local in reg, and other a local or constant, so that the expression is an "and" or "or" of both.
func (c *compiler) cheap(reg int, same, other Expr) bool {
	if r, ok := c.local(same); !ok || r != reg {
		return false
	}
	_, ok := c.local(other)
	return ok || c.fold(other).known()
}
