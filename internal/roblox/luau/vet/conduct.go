package vet

import (
	"strconv"

	"github.com/toolboxai/orchestrator/internal/roblox/luau"
)

// minAccount is the smallest number that is taken for that of an account. Test players in Studio have negative ones.
const minAccount = 1000

// account checks a comparison for one that singles out a person's account.
func (c *checker) account(n *luau.BinaryExpr) {
	switch n.Op {
	case "==", "~=", "<", "<=", ">", ">=":
	default:
		return
	}
	x, y := c.eval(n.X), c.eval(n.Y)
	if x.has(userID) && accounts(y) || y.has(userID) && accounts(x) || x.has(userName) && y.has(text) || y.has(userName) && x.has(text) {
		c.add("hard-coded-account", n.Span())
	}
}

// accounts reports whether a value is the number of an account.
func accounts(vs values) bool {
	for _, v := range vs {
		if v.kind == number && v.num >= minAccount {
			return true
		}
		if v.kind == text {
			if n, err := strconv.ParseInt(v.text, 10, 64); err == nil && n >= minAccount {
				return true
			}
		}
	}
	return false
}

// accountIndex checks table[player.UserId] for an own table that lists accounts.
func (c *checker) accountIndex(n *luau.IndexExpr) {
	key := c.eval(n.Index)
	if !key.has(userID) && !key.has(userName) {
		return
	}
	for _, v := range c.eval(n.X) {
		if v.kind != table {
			continue
		}
		for _, item := range v.expr.(*luau.TableExpr).Items {
			if item.Key == nil {
				continue
			}
			k := c.eval(item.Key)
			if key.has(userID) && accounts(k) || key.has(userName) && k.has(text) {
				c.add("hard-coded-account", n.Span())
				return
			}
		}
	}
}

// accountList checks table.find(list, player.UserId).
func (c *checker) accountList(n *luau.CallExpr) {
	what := c.eval(n.Args[1])
	if !what.has(userID) && !what.has(userName) {
		return
	}
	items := c.member(n.Args[0], of(computed))
	if what.has(userID) && accounts(items) || what.has(userName) && items.has(text) {
		c.add("hard-coded-account", n.Span())
	}
}

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
		case *luau.IndexExpr:
			object, key := c.eval(target.X), c.eval(target.Index)
			if object.only(table) || !key.has(client) {
				continue
			}
			if object.has(client) || object.has(game) || object.has(service) || object.has(instance) || object.has(player) {
				c.because("client-commands", target.Span(), "a client says which property of which object is written")
			}
		}
	}
}

// parentSet checks object.Parent = v.
func (c *checker) parentSet(target *luau.FieldExpr, v values) {
	if target.Name.Text != "Parent" {
		return
	}
	object := c.eval(target.X)
	for _, o := range object {
		if o.from&cloned != 0 && o.from&(ofScript|isScript) != 0 && v.trait(swept) {
			c.because("self-copy", target.Span(), "a copy of what lies in the script is put into all objects of the place, as a virus does")
		}
	}
	if c.serverSide() && object.has(client) && !c.checkedBefore(target.X, target) {
		c.because("client-commands", target.Span(), "a client says which object is moved")
	}
}

// serverSide reports whether the script may run on the server.
func (c *checker) serverSide() bool { return c.where != Client }

// clientMethod checks a method that removes or punishes on something that a client sent.
func (c *checker) clientMethod(n *luau.MethodCallExpr) {
	switch n.Name.Text {
	case "Destroy", "Remove", "ClearAllChildren", "Kick", "BreakJoints", "BanAsync", "destroy", "remove":
	default:
		return
	}
	object := c.eval(n.X)
	if c.serverSide() && (object.has(client) || object.trait(clientSent)) && !c.checkedBefore(n.X, n) {
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
