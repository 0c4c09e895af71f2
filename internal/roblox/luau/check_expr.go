package luau

const noTarget = -1

// local returns the register of an expression that is nothing but a local of this function.
func (c *compiler) local(e Expr) (int, bool) {
	if n := localName(e); n != nil && n.Local.live {
		return n.Local.reg, true
	}
	return 0, false
}

// localName returns the local that e is, apart from parentheses and casts.
func localName(e Expr) *NameExpr {
	if n, ok := Unparen(e).(*NameExpr); ok && n.Local != nil {
		return n
	}
	return nil
}

// auto computes e to a register of its own, or finds the one that it is in. The caller sets top back.
func (c *compiler) auto(e Expr) int {
	if reg, ok := c.local(e); ok {
		return reg
	}
	reg := c.alloc(e, 1)
	c.exprTemp(e, reg)
	return reg
}

// exprTemp computes e to a register that may be used for parts of it.
func (c *compiler) exprTemp(e Expr, target int) { c.expr(e, target, true) }

// exprTop computes e to a register above which all are free.
func (c *compiler) exprTop(e Expr, target int) {
	top := c.top
	c.top = target + 1
	c.exprTemp(e, target)
	c.top = top
}

// side computes e for what it does.
func (c *compiler) side(e Expr) {
	switch e.(type) {
	case *NameExpr, *VarargExpr, *FunctionExpr:
		return
	}
	if c.fold(e).known() {
		return
	}
	top := c.top
	c.auto(e)
	c.top = top
}

// values computes each of list to its register; the last may be any number of values.
func (c *compiler) values(list []Expr, first int) {
	for i, e := range list {
		if i+1 < len(list) {
			c.exprTop(e, first+i)
			continue
		}
		switch e.(type) {
		case *CallExpr, *MethodCallExpr:
			top := c.top
			c.top = first + i
			c.call(e, 0, true)
			c.top = top
		case *VarargExpr:
		default:
			c.exprTemp(e, first+i)
		}
	}
}

// tempN computes e to n registers.
func (c *compiler) tempN(e Expr, target, n int, targetTop bool) {
	if n == maxResults {
		c.fail(e, "too many results: a call gives fewer than %d values; use a table", maxResults)
	}
	switch e.(type) {
	case *CallExpr, *MethodCallExpr:
		c.call(e, n, targetTop)
	case *VarargExpr:
	default:
		c.exprTemp(e, target)
	}
}

// list computes a list of expressions to n registers.
func (c *compiler) list(list []Expr, target, n int, targetTop bool) {
	for i, e := range list {
		switch {
		case i >= n:
			c.side(e)
		case i+1 == len(list) && len(list) < n:
			c.tempN(e, target+i, n-i, targetTop)
		default:
			c.exprTemp(e, target+i)
		}
	}
}

// expr computes e to a register, which temp says may be used for parts of it.
func (c *compiler) expr(e Expr, target int, temp bool) {
	if c.fold(e).known() {
		return
	}
	top := c.top
	switch e := e.(type) {
	case *ParenExpr:
		c.expr(e.X, target, temp)
	case *CastExpr:
		c.expr(e.X, target, temp)
	case *InstantiateExpr:
		c.expr(e.X, target, temp)
	case *NameExpr:
		if e.Local != nil && !e.Local.live {
			c.upvalue(e, e.Local)
		}
	case *CallExpr, *MethodCallExpr:
		c.call(e, 1, temp && target == c.top-1)
	case *FieldExpr:
		c.fieldExpr(e, target, temp)
	case *IndexExpr:
		c.auto(e.X)
		if !c.plainKey(e.Index) {
			c.auto(e.Index)
		}
	case *FunctionExpr:
		c.functionExpr(e)
	case *TableExpr:
		c.tableExpr(e, temp)
	case *UnaryExpr:
		c.auto(e.X)
	case *BinaryExpr:
		c.binaryExpr(e, target, temp)
	case *IfExpr:
		c.ifExpr(e, target, temp)
	case *InterpExpr:
		c.interpExpr(e)
	}
	c.top = top
}

func (c *compiler) call(e Expr, n int, targetTop bool) {
	top := c.top
	var args []Expr
	var callee Expr
	self := 0
	switch e := e.(type) {
	case *CallExpr:
		args, callee = e.Args, e.Func
	case *MethodCallExpr:
		args, callee, self = e.Args, e.X, 1
	}
	count := max(1+self+len(args), n)
	if !targetTop {
		n = 0
	}
	regs := c.alloc(e, count-n) - n
	if _, ok := c.local(callee); self == 0 || !ok {
		c.exprTop(callee, regs)
	}
	c.values(args, regs+1+self)
	c.top = top
}

func (c *compiler) fieldExpr(e *FieldExpr, target int, temp bool) {
	root := e.X
	if inner, ok := root.(*FieldExpr); ok {
		root = inner.X
	}
	if n, ok := root.(*NameExpr); ok && c.optimize && n.Local == nil && n.Name != "_G" && !c.file.written[n.Name] {
		return // imported as a whole
	}
	if _, ok := c.local(e.X); ok {
		return
	}
	if temp {
		c.exprTemp(e.X, target)
		return
	}
	c.auto(e.X)
}

// functionExpr makes a closure.
func (c *compiler) functionExpr(f *FunctionExpr) {
	if c.children++; c.children > maxClosures {
		c.fail(f, "too many functions: one function can hold %d", maxClosures)
	}
	for _, l := range c.upvals[f] {
		if !l.live {
			c.upvalue(f, l)
		}
	}
}

func (c *compiler) tableExpr(e *TableExpr, temp bool) {
	if len(e.Items) == 0 {
		return
	}
	if !temp {
		c.alloc(e, 1)
	}
	array := 0
	for _, item := range e.Items {
		if item.Key == nil {
			array++
		}
	}
	size := min(array, 16)
	chunk := c.alloc(e, size)
	filled := 0
	for i, item := range e.Items {
		if filled > 0 && (item.Key != nil || filled == size) {
			filled = 0
		}
		if item.Key == nil {
			if i+1 == len(e.Items) {
				c.values([]Expr{item.Value}, chunk+filled)
			} else {
				c.exprTop(item.Value, chunk+filled)
			}
			filled++
			continue
		}
		top := c.top
		if !c.plainKey(item.Key) {
			c.auto(item.Key)
		}
		c.auto(item.Value)
		c.top = top
	}
}

func (c *compiler) interpExpr(e *InterpExpr) {
	var parts []Expr
	for _, x := range e.Exprs {
		if !c.fold(x).isText() {
			parts = append(parts, x)
		}
	}
	first := c.alloc(e, 2+len(parts))
	for i, x := range parts {
		c.exprTop(x, first+2+i)
	}
}
