package vet

import (
	"slices"

	"github.com/toolboxai/orchestrator/internal/roblox/luau"
)

// gameUse checks what becomes of the DataModel, through which every service is reached.
func (c *checker) gameUse(e luau.Expr) {
	if !reads(e) || !c.eval(e).has(game) {
		return
	}
	where, self := c.tree.use(e)
	switch where := where.(type) {
	case *luau.FieldExpr, *luau.LocalStat, *luau.BinaryExpr, *luau.UnaryExpr, *luau.IfExpr, *luau.IfStat, *luau.CallStat, *luau.WhileStat, nil:
		return
	case *luau.MethodCallExpr:
		if where.X == self || where.Name.Text == "IsDescendantOf" || where.Name.Text == "IsAncestorOf" {
			return
		}
	case *luau.IndexExpr:
		if where.X == self {
			return // see computedAccess
		}
	case *luau.AssignStat:
		if c.toLocal(where, self) {
			return
		}
	case *luau.CallExpr:
		f := c.eval(where.Func)
		if where.Func == self || f.is("typeof") || f.is("type") || f.is("print") || f.is("tostring") || f.is("assert") || c.memberOfGame(where) {
			return
		}
	}
	c.add("game-handed-on", e.Span())
}

// reads reports whether an expression may have as its value what is held elsewhere.
func reads(e luau.Expr) bool {
	switch e.(type) {
	case *luau.NameExpr, *luau.CallExpr, *luau.MethodCallExpr, *luau.FieldExpr, *luau.IndexExpr, *luau.BinaryExpr, *luau.IfExpr:
		return true
	}
	return false
}

// toLocal reports whether an assignment gives value to a local variable.
func (c *checker) toLocal(a *luau.AssignStat, value luau.Node) bool {
	for i, v := range a.Values {
		if luau.Node(v) == value && i < len(a.Targets) && c.localOf(a.Targets[i]) != nil {
			return true
		}
	}
	return false
}

// target reports whether n is what a value is assigned to.
func (c *checker) target(n *luau.NameExpr) bool {
	return slices.ContainsFunc(c.scopes.Assigned[n.Name], func(a luau.Assignment) bool { return a.Target == n })
}

// directly reports whether a function is called by its name alone, so that all that has its result is known.
func (c *checker) directly(f *luau.FunctionExpr) bool {
	where, self := c.tree.use(f)
	var l *luau.Local
	switch where := where.(type) {
	case *luau.CallExpr:
		if inner, _, ok := c.protectedCall(where); ok && luau.Unparen(inner) == luau.Expr(f) {
			outer, _ := c.tree.use(where)
			_, kept := outer.(*luau.LocalStat)
			return kept
		}
		return where.Func == self
	case *luau.LocalFunctionStat:
		l = where.Local
	case *luau.LocalStat:
		if i := slices.Index(where.Values, self); i >= 0 && i < len(where.Locals) {
			l = where.Locals[i]
		}
	}
	v := c.scopes.Of(l)
	return v != nil && len(v.Assignments) == 0 && !slices.ContainsFunc(v.Uses, func(use *luau.NameExpr) bool {
		call, ok := c.tree.parent[use].(*luau.CallExpr)
		return !ok || call.Func != luau.Expr(use)
	})
}

// memberOfGame reports whether a call is game.Name(game, …).
func (c *checker) memberOfGame(call *luau.CallExpr) bool {
	x, _, ok := c.memberName(luau.Unparen(call.Func))
	return ok && c.eval(x).has(game)
}

// httpUse checks what becomes of HttpService.
func (c *checker) httpUse(e luau.Expr) {
	if !reads(e) || !c.eval(e).isService("HttpService") {
		return
	}
	where, self := c.tree.use(e)
	switch where := where.(type) {
	case *luau.FieldExpr:
		if slices.Contains(httpMethods, where.Name.Text) {
			return
		}
	case *luau.LocalStat, *luau.BinaryExpr, *luau.IfExpr, *luau.IfStat, *luau.CallStat, nil:
		return
	case *luau.MethodCallExpr:
		if where.X == self && slices.Contains(httpMethods, where.Name.Text) {
			return
		}
	case *luau.IndexExpr:
		if s, ok := c.eval(where.Index).constant(text); ok && slices.Contains(httpMethods, s.text) {
			return
		}
	case *luau.AssignStat:
		if c.toLocal(where, self) {
			return
		}
	case *luau.ReturnStat:
		if f := c.tree.function(where); f != nil && where.Values[0] == self && c.directly(f) {
			return // the call has the service as its value
		}
	case *luau.CallExpr:
		for _, a := range append([]luau.Expr{where.Func}, where.Args...) {
			if x, name, ok := c.memberName(luau.Unparen(a)); ok && slices.Contains(httpMethods, name) && c.eval(x).isService("HttpService") {
				return
			}
		}
	}
	c.add("http-request", e.Span())
}
