package vet

import (
	"slices"
	"strings"

	"github.com/toolboxai/orchestrator/internal/roblox/luau"
)

// callers returns what a function is called with. all is false when there may be calls that the file does not show.
func (c *checker) callers(f *luau.FunctionExpr) (calls []arguments, all bool) {
	where, self := c.tree.use(f)
	if local, ok := where.(*luau.LocalFunctionStat); ok {
		return c.callersOf(local.Local)
	}
	if local, ok := where.(*luau.LocalStat); ok {
		for i, e := range local.Values {
			if e == self && i < len(local.Locals) {
				return c.callersOf(local.Locals[i])
			}
		}
	}
	if args, ok := c.callAt(where, self); ok {
		return []arguments{args}, true
	}
	if passed, ok := where.(*luau.CallExpr); ok && c.depth < maxDepth {
		return c.callersWithin(passed, self)
	}
	return c.namedHandler(where, self), false
}

// callersWithin returns what calls a function that is handed to one of the file's.
func (c *checker) callersWithin(passed *luau.CallExpr, self luau.Expr) (calls []arguments, all bool) {
	c.depth++
	defer func() { c.depth-- }()
	if outer, result := c.tree.use(passed); outer != nil {
		if args, ok := c.callAt(outer, result); ok && args.handler != 0 {
			return []arguments{args}, false // what the file's function makes of it is connected to an event
		}
	}
	at := slices.Index(passed.Args, self)
	f, ok := c.eval(passed.Func).constant(function)
	if !ok || at < 0 || at >= len(f.expr.(*luau.FunctionExpr).Params) {
		return nil, false
	}
	return c.callersOf(f.expr.(*luau.FunctionExpr).Params[at])
}

func (c *checker) callersOf(l *luau.Local) (calls []arguments, all bool) {
	v := c.scopes.Of(l)
	if v == nil || len(v.Uses) > 4*maxValues {
		return nil, false
	}
	all = len(v.Assignments) == 0
	for _, use := range v.Uses {
		where, self := c.tree.use(use)
		if args, ok := c.callAt(where, self); ok {
			calls = append(calls, args)
		} else {
			all = false
		}
	}
	return calls, all
}

// callAt returns the arguments with which the code at where calls the function that it takes as self.
func (c *checker) callAt(where luau.Node, self luau.Expr) (arguments, bool) {
	switch where := where.(type) {
	case *luau.CallExpr:
		if where.Func == self {
			return arguments{list: where.Args, open: openEnded(where.Args)}, true
		}
		f := c.eval(where.Func)
		skip := -1
		switch {
		case f.is("pcall") || f.is("task.spawn") || f.is("task.defer") || f.is("spawn") || f.is("coroutine.wrap"):
			skip = 1
		case f.is("task.delay") || f.is("delay") || f.is("xpcall"):
			skip = 2
		}
		if skip > 0 && len(where.Args) >= skip && (where.Args[0] == self || skip == 2 && where.Args[1] == self) {
			return arguments{list: where.Args[skip:], open: openEnded(where.Args)}, true
		}
		if event, ok := c.connected(where); ok && len(where.Args) == 2 && where.Args[1] == self {
			if h := c.handlerOf(event); h != 0 {
				return arguments{handler: h}, true
			}
		}
	case *luau.MethodCallExpr:
		if connects(where.Name.Text) && len(where.Args) == 1 {
			if h := c.handlerOf(where.X); h != 0 {
				return arguments{handler: h}, true
			}
		}
	case *luau.AssignStat:
		for i, v := range where.Values {
			if v == self && i < len(where.Targets) {
				if h := c.handlerOf(where.Targets[i]); h != 0 {
					return arguments{handler: h}, true
				}
			}
		}
	}
	return arguments{}, false
}

// connects reports whether a method of an event takes its handler.
func connects(method string) bool {
	switch method {
	case "Connect", "connect", "Once", "ConnectParallel":
		return true
	}
	return false
}

// openEnded reports whether the last of args may stand for several.
func openEnded(args []luau.Expr) bool {
	if len(args) == 0 {
		return false
	}
	switch args[len(args)-1].(type) {
	case *luau.VarargExpr, *luau.CallExpr, *luau.MethodCallExpr:
		return true
	}
	return false
}

// result is one of the results of a function.
type result struct {
	of *luau.FunctionExpr
	at int
}

// maxResults bounds which results of a function are told apart.
const maxResults = 8

// returned returns what a function hands back first.
func (c *checker) returned(f *luau.FunctionExpr) values { return c.returnedAt(f, 0) }

// returnedAt returns what a function hands back at a place.
func (c *checker) returnedAt(f *luau.FunctionExpr, at int) values {
	if at >= maxResults {
		return of(unknown)
	}
	about := result{f, at}
	if vs, ok := c.results[about]; ok {
		return vs
	}
	c.results[about] = of(computed)
	var out values
	found := false
	inspect(f, func(n luau.Node) bool {
		if r, ok := n.(*luau.ReturnStat); ok {
			found = true
			switch last := len(r.Values) - 1; {
			case at <= last:
				out = join(out, c.eval(r.Values[at]))
			case openEnded(r.Values):
				out = join(out, c.furtherResult(r.Values[last], at-last))
			default:
				out = join(out, of(other))
			}
		}
		return true
	})
	if !found {
		out = of(other)
	}
	if !out.only(text, number, other, function, table, service, game) && c.decodes(f) {
		out = append(out[:len(out):len(out)], value{kind: decoded})
	}
	c.results[about] = out
	return out
}

// decodes reports whether a function, with those in it, puts characters together.
func (c *checker) decodes(f *luau.FunctionExpr) bool {
	return c.ask(askDecodes, f, true, func(n luau.Node) bool {
		call, ok := n.(*luau.CallExpr)
		return ok && slices.ContainsFunc(c.eval(call.Func), func(v value) bool { return v.kind == global && decoder(v.text) })
	})
}

// decoder reports whether a function of the language makes text of numbers.
func decoder(path string) bool {
	switch path {
	case "string.char", "utf8.char", "buffer.tostring", "buffer.readstring", "string.pack", "string.*", "utf8.*", "buffer.*":
		return true
	}
	return false
}

// call returns what a call can hand back first.
func (c *checker) call(e *luau.CallExpr) values { return c.apply(e.Func, e.Args) }

// apply returns what a function hands back first when it is called with args.
func (c *checker) apply(fn luau.Expr, args []luau.Expr) values {
	var out values
	for _, f := range c.eval(fn) {
		switch f.kind {
		case function:
			out = join(out, c.returned(f.expr.(*luau.FunctionExpr)))
		case global:
			out = join(out, c.callGlobal(f.text, args))
		case client:
			out = join(out, of(client))
		default:
			out = join(out, c.callMember(fn, args))
		}
	}
	return out
}

// callMember handles game.GetService(game, name), which is what game:GetService(name) is.
func (c *checker) callMember(fn luau.Expr, args []luau.Expr) values {
	x, name, ok := c.memberName(luau.Unparen(fn))
	if !ok || len(args) == 0 || !strings.HasPrefix(name, "Get") && !strings.HasPrefix(name, "Find") && !strings.HasPrefix(name, "Wait") {
		return of(unknown)
	}
	return c.methodOf(c.eval(x), name, args[1:])
}

// memberName returns the object and the only name of x.name or x["name"].
func (c *checker) memberName(e luau.Expr) (luau.Expr, string, bool) {
	switch e := e.(type) {
	case *luau.FieldExpr:
		return e.X, e.Name.Text, true
	case *luau.IndexExpr:
		if s, ok := c.eval(e.Index).constant(text); ok {
			return e.X, s.text, true
		}
	}
	return nil, "", false
}
