package vet

import "github.com/toolboxai/orchestrator/internal/roblox/luau"

// furtherResult returns what stands at a place behind the first result of an expression; 1 is the second.
func (c *checker) furtherResult(e luau.Expr, at int) values {
	switch e := luau.Unparen(e).(type) {
	case *luau.VarargExpr:
		return c.varargs(e)
	case *luau.MethodCallExpr:
		if e.Name.Text != "Wait" || at == 0 {
			return of(unknown)
		}
		if h := c.handlerOf(e.X); h != 0 {
			return c.handed(h, at)
		}
	case *luau.CallExpr:
		return c.furtherOfCall(e, at)
	}
	return of(unknown)
}

func (c *checker) furtherOfCall(e *luau.CallExpr, at int) values {
	if inner, args, ok := c.protectedCall(e); ok {
		if at == 1 {
			return c.apply(inner, args)
		}
		return c.furtherOf(c.eval(inner), at-1)
	}
	return c.furtherOf(c.eval(e.Func), at)
}

// furtherOf returns a further result of what may be called.
func (c *checker) furtherOf(fs values, at int) values {
	var out values
	for _, f := range fs {
		if f.kind != function {
			return join(out, of(unknown))
		}
		out = join(out, c.returnedAt(f.expr.(*luau.FunctionExpr), at))
	}
	return out
}

// protectedCall returns what pcall or xpcall calls, and with what.
func (c *checker) protectedCall(e *luau.CallExpr) (luau.Expr, []luau.Expr, bool) {
	switch f := c.eval(e.Func); {
	case f.is("pcall") && len(e.Args) > 0:
		return e.Args[0], e.Args[1:], true
	case f.is("xpcall") && len(e.Args) > 1:
		return e.Args[0], e.Args[2:], true
	}
	return nil, nil, false
}

// effective returns what a call calls in the end, through pcall, task.spawn and the like.
func (c *checker) effective(e *luau.CallExpr) (luau.Expr, []luau.Expr) {
	if f, args, ok := c.protectedCall(e); ok {
		return f, args
	}
	f := c.eval(e.Func)
	switch {
	case len(e.Args) > 0 && (f.is("task.spawn") || f.is("task.defer") || f.is("spawn") || f.is("coroutine.wrap") || f.is("coroutine.create")):
		return e.Args[0], e.Args[1:]
	case len(e.Args) > 1 && (f.is("task.delay") || f.is("delay")):
		return e.Args[1], e.Args[2:]
	}
	return e.Func, e.Args
}

// varargs returns what "..." can have in it, at any place.
func (c *checker) varargs(e *luau.VarargExpr) values {
	f := c.tree.function(e)
	if f == nil {
		return of(unknown)
	}
	calls, all := c.callers(f)
	var out values
	for _, args := range calls {
		if args.handler != 0 {
			out = join(out, c.handed(args.handler, len(f.Params)))
		}
		for i := len(f.Params); i < len(args.list); i++ {
			out = join(out, c.eval(args.list[i]))
		}
		all = all && !args.open
	}
	if !all || len(out) == 0 {
		return join(out, of(unknown))
	}
	return out
}
