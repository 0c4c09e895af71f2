package vet

import (
	"slices"
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
	if x.has(userID) && accounts(y) || y.has(userID) && accounts(x) || x.has(userName) && named(y) || y.has(userName) && named(x) || c.accountWithin(n) {
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

// named reports whether a value is a text that can be the name of an account.
func named(vs values) bool {
	return slices.ContainsFunc(vs, func(v value) bool { return v.kind == text && len(v.text) >= 3 })
}

// accountWithin reports whether a comparison has the number of an account anywhere in it, beside that of a player.
func (c *checker) accountWithin(n *luau.BinaryExpr) bool {
	if !c.eval(n.X).has(userID) && !c.eval(n.Y).has(userID) {
		return false
	}
	found := false
	inspect(n, func(part luau.Node) bool {
		e, ok := part.(luau.Expr)
		if b, isBinary := part.(*luau.BinaryExpr); isBinary && b.Op == "%" {
			return false
		}
		found = found || ok && accounts(c.eval(e))
		return !found
	})
	return found
}

// accountCall checks a function of the language that compares a player with an account.
func (c *checker) accountCall(f values, args []luau.Expr) {
	if !f.is("rawequal") && !f.is("rawget") && !f.is("string.find") && !f.is("string.match") || len(args) < 2 {
		return
	}
	x, y := c.eval(args[0]), c.eval(args[1])
	if t := tableOf(x); t != nil && f.is("rawget") {
		x = c.items(t, true, nil)
	}
	if x.has(userID) && accounts(y) || y.has(userID) && accounts(x) || x.has(userName) && named(y) || y.has(userName) && named(x) {
		c.add("hard-coded-account", args[0].Span())
	}
}

// tableOf returns the first table of the file among values.
func tableOf(vs values) *luau.TableExpr {
	for _, v := range vs {
		if t, ok := v.expr.(*luau.TableExpr); ok {
			return t
		}
	}
	return nil
}

// accountMethod checks a method that takes an account.
func (c *checker) accountMethod(n *luau.MethodCallExpr) {
	if len(n.Args) == 0 {
		return
	}
	object, arg := c.eval(n.X), c.eval(n.Args[0])
	switch n.Name.Text {
	case "GetPlayerByUserId", "IsFriendsWith":
		if accounts(arg) {
			c.add("hard-coded-account", n.Span())
		}
	case "FindFirstChild", "WaitForChild":
		if object.isService("Players") && named(arg) && !arg.hasText("LocalPlayer") {
			c.add("hard-coded-account", n.Span())
		}
	}
}

// accountIndex checks table[player.UserId] for an own table that lists accounts.
func (c *checker) accountIndex(n *luau.IndexExpr) {
	key := c.eval(n.Index)
	if !key.has(userID) && !key.has(userName) && !accounts(key) && !named(key) {
		return
	}
	for _, v := range c.eval(n.X) {
		if v.kind != table {
			continue
		}
		k := c.items(v.expr.(*luau.TableExpr), true, nil)
		if key.has(userID) && accounts(k) || key.has(userName) && named(k) || accounts(key) && k.has(userID) || named(key) && k.has(userName) {
			c.add("hard-coded-account", n.Span())
		}
	}
}

// accountList checks table.find(list, player.UserId).
func (c *checker) accountList(n *luau.CallExpr, args []luau.Expr) {
	what := c.eval(args[1])
	if !what.has(userID) && !what.has(userName) {
		return
	}
	items := c.member(args[0], of(computed))
	if what.has(userID) && accounts(items) || what.has(userName) && named(items) {
		c.add("hard-coded-account", n.Span())
	}
}
