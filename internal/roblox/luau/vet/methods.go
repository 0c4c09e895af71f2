package vet

import (
	"strings"

	"github.com/toolboxai/orchestrator/internal/roblox/luau"
)

// method returns what x:name(args) can hand back first.
func (c *checker) method(e *luau.MethodCallExpr) values {
	return c.methodOf(c.eval(e.X), e.Name.Text, e.Args)
}

func (c *checker) methodOf(x values, name string, args []luau.Expr) values {
	var out values
	for _, object := range x {
		out = join(out, c.methodOn(object, name, args))
	}
	return out
}

func (c *checker) methodOn(object value, name string, args []luau.Expr) values {
	key := of(other)
	if len(args) > 0 {
		key = c.eval(args[0])
	}
	if takesName(name) && name != "IsA" && key.hasText("HttpService") && object.kind != table {
		return one(value{kind: service, text: "HttpService"})
	}
	switch name {
	case "InvokeClient":
		return of(client)
	case "GetService", "FindService", "getService", "service":
		return c.servicesOf(key)
	case "GetFullName", "GetAttribute":
		return of(computed)
	}
	switch object.kind {
	case text, computed, decoded:
		rest := []values{one(object)}
		for _, a := range args {
			rest = append(rest, c.resultOf(name, c.eval(a)))
		}
		return stringCall(name, rest)
	case table:
		return c.ownMethod(object, name)
	case client:
		return of(client)
	case userName:
		return c.ofName(name, args)
	case game, service, instance, player:
		return c.instanceMethod(object, name, key, args)
	}
	if name == "GetPlayerFromCharacter" {
		return of(player)
	}
	return of(unknown)
}

// servicesOf returns a service for each name.
func (c *checker) servicesOf(names values) values {
	var out values
	for _, n := range names {
		if n.kind == text {
			out = join(out, c.ofGame(n))
		} else {
			out = join(out, of(unknown))
		}
	}
	return out
}

// resultOf returns what a function that is handed to gsub puts in, and other arguments as they are.
func (c *checker) resultOf(method string, arg values) values {
	if f, ok := arg.constant(function); ok && method == "gsub" {
		return c.returned(f.expr.(*luau.FunctionExpr))
	}
	return arg
}

// ownMethod returns what a method of an own table hands back.
func (c *checker) ownMethod(object value, name string) values {
	var out values
	for _, v := range c.ofTable(object.expr.(*luau.TableExpr), value{kind: text, text: name}, nil) {
		if v.kind != function {
			return of(unknown)
		}
		out = join(out, c.returned(v.expr.(*luau.FunctionExpr)))
	}
	return out
}

// ofName returns what a method makes of a player's name. A part of it whose length is not known is no name.
func (c *checker) ofName(method string, args []luau.Expr) values {
	if method != "sub" {
		return of(userName)
	}
	for _, a := range args {
		if !c.eval(a).only(number) {
			return of(computed)
		}
	}
	return of(userName)
}

// instanceMethod returns what a method of an object of the place hands back.
func (c *checker) instanceMethod(object value, name string, key values, args []luau.Expr) values {
	switch {
	case strings.HasPrefix(name, "FindFirstAncestor"):
		if object.kind == service || key.hasText("DataModel") || key.hasText("ServiceProvider") || key.hasText("Game") || key.hasText("game") {
			return of(game)
		}
		return of(instance)
	case name == "GetPlayers":
		return one(value{kind: instances, text: "players"})
	case name == "GetPlayerFromCharacter" || name == "GetPlayerByUserId":
		return of(player)
	case name == "GetChildren" || name == "GetDescendants" || name == "QueryDescendants":
		from := object.from & ofScript
		if object.from&isScript != 0 {
			from |= ofScript
		}
		if object.kind == game || object.kind == service && name != "GetChildren" {
			from |= swept
		}
		return one(value{kind: instances, from: from})
	case name == "GetTagged" || name == "GetConnectedParts" || strings.HasPrefix(name, "GetPartBounds"):
		return of(instances)
	case name == "Clone":
		return one(value{kind: instance, from: object.from | cloned})
	case name == "WaitForChild" || strings.HasPrefix(name, "FindFirstChild") || name == "FindFirstDescendant":
		if object.kind == game {
			return c.servicesOf(key)
		}
		return c.child(object, key, len(args))
	}
	return of(unknown)
}

func (c *checker) child(object value, key values, args int) values {
	if args == 0 {
		return of(unknown)
	}
	from := object.from & (ofScript | clientSent)
	if object.from&isScript != 0 {
		from |= ofScript
	}
	if key.has(client) {
		from |= clientSent
	}
	return one(value{kind: instance, from: from})
}
