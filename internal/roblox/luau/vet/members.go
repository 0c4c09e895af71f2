package vet

import (
	"slices"
	"strings"

	"github.com/toolboxai/orchestrator/internal/roblox/luau"
)

// serviceText reports a service by the text that is its name, also one that is put together.
func (c *checker) serviceText(e luau.Expr) {
	switch e.(type) {
	case *luau.StringExpr, *luau.BinaryExpr, *luau.CallExpr, *luau.MethodCallExpr, *luau.InterpExpr:
	default:
		return
	}
	for _, v := range c.eval(e) {
		if v.kind != text {
			continue
		}
		if v.text == "HttpService" && c.stored(e) {
			c.because("computed-access", e.Span(), "the name of HttpService is stored in the place, which hides that it is used")
		}
		if rule := forbiddenServices[v.text]; rule != "" {
			c.add(rule, e.Span())
		}
		if _, plain := e.(*luau.StringExpr); v.text == "HttpService" && !plain {
			c.because("computed-access", e.Span(), "the name of HttpService is put together, which hides that it is used")
		}
	}
}

// stored reports whether a text goes into an attribute or a property.
func (c *checker) stored(e luau.Expr) bool {
	switch where, self := c.tree.use(e); where := where.(type) {
	case *luau.MethodCallExpr:
		return where.Name.Text == "SetAttribute" && where.X != self
	case *luau.AssignStat:
		i := slices.Index(where.Values, self)
		return i >= 0 && i < len(where.Targets) && !c.eval(where.Targets[i]).only(table) && c.localOf(where.Targets[i]) == nil
	}
	return false
}

// memberUse checks x.name, also as x["name"].
func (c *checker) memberUse(n, x luau.Expr, names values) {
	object := c.eval(x)
	own := object.only(table) && !c.proxied() || c.declaration(n)
	for _, name := range names {
		if name.kind != text || own {
			continue
		}
		if rule := forbiddenMembers[name.text]; rule != "" {
			c.add(rule, n.Span())
		}
		if rule := forbiddenServices[name.text]; rule != "" {
			c.add(rule, n.Span())
		}
		where, self := c.tree.use(n)
		call, called := where.(*luau.CallExpr)
		switch name.text {
		case "GetService", "FindService", "getService":
			if !called || call.Func != self || len(call.Args) != 2 || !c.eval(call.Args[1]).only(text) {
				c.add("dynamic-service", n.Span())
			}
		case "Source":
			if object.has(instance) || c.assignedCode(n) {
				c.add("script-source", n.Span())
			}
		case "Clone":
			if object.trait(isScript) {
				c.add("self-copy", n.Span())
			}
		case "GetChildren", "GetDescendants":
			if object.has(game) {
				c.add("service-enumeration", n.Span())
			}
		case "ChildAdded", "DescendantAdded", "ServiceAdded":
			if object.has(game) {
				c.because("service-enumeration", n.Span(), "it is told of all services as they are added, also those that a script must not touch")
			}
		}
	}
}

// declaration reports whether n is the name of a function that is being declared.
func (c *checker) declaration(n luau.Expr) bool {
	f, ok := c.tree.parent[n].(*luau.FunctionStat)
	return ok && f.Target == n
}

// assignedCode reports whether n is set to a text that looks like code, or that is not known.
func (c *checker) assignedCode(n luau.Expr) bool {
	a, ok := c.tree.parent[n].(*luau.AssignStat)
	if !ok {
		return false
	}
	for i, target := range a.Targets {
		if target != n || i >= len(a.Values) {
			continue
		}
		for _, v := range c.eval(a.Values[i]) {
			if v.kind == client || v.kind == decoded || v.kind == text && strings.ContainsAny(v.text, "(=") {
				return true
			}
		}
	}
	return false
}

// computedAccess checks x[key] with a key that the source does not show.
func (c *checker) computedAccess(n *luau.IndexExpr) {
	object, key := c.eval(n.X), c.eval(n.Index)
	if object.has(game) {
		if _, plain := luau.StringValue(n.Index); !plain {
			c.because("computed-access", n.Span(), "which service is reached is computed when the script runs")
		}
		return
	}
	if object.only(table) || key.only(text, number) && !key.secret() {
		return
	}
	where, self := c.tree.use(n)
	call, called := where.(*luau.CallExpr)
	called = called && call.Func == self
	switch {
	case key.secret():
		c.add("computed-access", n.Span())
	case called && !key.has(client) && (object.has(service) || object.has(instance) || c.methodByName(n, call)):
		c.because("computed-access", n.Span(), "which method is called is computed when the script runs")
	}
}

// methodByName reports whether a call is x[key](x, …) on something that is not the file's own object.
func (c *checker) methodByName(n *luau.IndexExpr, call *luau.CallExpr) bool {
	x, isName := luau.Unparen(n.X).(*luau.NameExpr)
	arg, ok := luau.Unparen(first(call.Args)).(*luau.NameExpr)
	if !ok || !isName || x.Name != arg.Name || x.Local != arg.Local || c.eval(x).has(table) {
		return false
	}
	return x.Local == nil || x.Local.Kind != luau.Self
}

// takesName reports whether a method's first argument names a child, a class or a member.
func takesName(method string) bool {
	return strings.HasPrefix(method, "FindFirst") || method == "WaitForChild" || method == "IsA" || method == "GetPropertyChangedSignal"
}
