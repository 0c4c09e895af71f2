package vet

import (
	"slices"

	"github.com/toolboxai/orchestrator/internal/roblox/luau"
)

// assignRules checks an assignment.
func (c *checker) assignRules(n *luau.AssignStat) {
	for i, target := range n.Targets {
		var v values
		if i < len(n.Values) {
			v = c.eval(n.Values[i])
		}
		switch target := target.(type) {
		case *luau.FieldExpr:
			c.parentSet(target, v)
		default:
			c.writtenByClient(target)
		}
	}
}

// writtenByClient checks object[key] = v, and what adds to it.
func (c *checker) writtenByClient(target luau.Expr) {
	index, ok := target.(*luau.IndexExpr)
	if !ok {
		return
	}
	object, key := c.eval(index.X), c.eval(index.Index)
	if object.only(table) || !key.has(client) {
		return
	}
	if object.has(client) || object.has(game) || object.has(service) || object.has(instance) || object.has(player) {
		c.because("client-commands", target.Span(), "a client says which property of which object is written")
	}
}

// parentSet checks object.Parent = v.
func (c *checker) parentSet(target *luau.FieldExpr, v values) {
	if target.Name.Text != "Parent" {
		return
	}
	object := c.eval(target.X)
	for _, o := range object {
		if o.from&cloned != 0 && o.from&(ofScript|isScript|aroundScript) != 0 && v.trait(swept) {
			c.because("self-copy", target.Span(), "a copy of what lies in the script is put into all objects of the place, as a virus does")
		}
	}
	named := slices.ContainsFunc(object, func(o value) bool { return o.kind == client || o.from&(clientSent|cloned) == clientSent })
	if c.serverSide() && named && !c.checkedBefore(target.X, target) {
		c.because("client-commands", target.Span(), "a client says which object is moved")
	}
}

// serverSide reports whether the script may run on the server.
func (c *checker) serverSide() bool { return c.where != Client }

// clientMethod checks a method that removes or punishes on something that a client sent.
func (c *checker) clientMethod(n *luau.MethodCallExpr) {
	switch n.Name.Text {
	case "Destroy", "Remove", "ClearAllChildren", "Kick", "BreakJoints", "BanAsync", "destroy", "remove", "AddItem":
	default:
		return
	}
	x := n.X
	if n.Name.Text == "AddItem" {
		x = first(n.Args)
	}
	object := c.eval(x)
	if c.serverSide() && (object.has(client) || object.trait(clientSent)) && !c.checkedBefore(x, n) {
		c.because("client-commands", n.Span(), "a client says which object is removed or which player is punished")
	}
}

// checkedBefore reports whether a variable of which x is made is looked at in a condition before, other than whether it is there.
func (c *checker) checkedBefore(x luau.Expr, at luau.Node) bool {
	found := false
	inspect(x, func(n luau.Node) bool {
		name, ok := n.(*luau.NameExpr)
		if !ok || name.Local == nil || found {
			return !found
		}
		if v := c.scopes.Of(name.Local); v != nil {
			for _, use := range v.Uses[:min(len(v.Uses), 64)] {
				found = found || use.Span().Start.Offset < at.Span().Start.Offset && c.examined(use)
			}
		}
		return !found
	})
	return found
}

// examined reports whether a use of a variable asks what it is: its type, its class, its place or its fields in a condition.
func (c *checker) examined(use *luau.NameExpr) bool {
	where, self := c.tree.use(use)
	switch where := where.(type) {
	case *luau.CallExpr:
		f := c.eval(where.Func)
		return where.Func != self && (f.is("typeof") || f.is("type") || f.is("tonumber") || f.is("table.find") || f.has(function) && c.inCondition(where))
	case *luau.MethodCallExpr:
		return c.inCondition(where) && (where.X != self || where.Name.Text == "IsA" || where.Name.Text == "IsDescendantOf" || where.Name.Text == "GetAttribute")
	case *luau.BinaryExpr:
		return where.Op != ".." && c.inCondition(where)
	case *luau.FieldExpr, *luau.IndexExpr:
		return c.inCondition(where)
	}
	return false
}
