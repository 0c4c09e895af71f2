package vet

import (
	"slices"

	"github.com/toolboxai/orchestrator/internal/roblox/luau"
)

// name returns what a variable can hold.
func (c *checker) name(e *luau.NameExpr) values {
	if e.Local != nil {
		return c.local(e.Local)
	}
	if vs, ok := c.globals[e.Name]; ok {
		return vs
	}
	c.globals[e.Name] = of(unknown)
	vs := c.globalName(e)
	c.globals[e.Name] = vs
	return vs
}

func (c *checker) globalName(e *luau.NameExpr) values {
	var out values
	switch e.Name {
	case "game", "Game":
		out = of(game)
	case "workspace", "Workspace":
		out = one(value{kind: service, text: "Workspace"})
	case "script":
		out = one(value{kind: instance, from: isScript})
	default:
		out = one(value{kind: global, text: e.Name})
	}
	assigned := c.scopes.Assigned[e.Name]
	if len(assigned) > 0 && out.has(global) {
		out = nil // its own global
	}
	for _, a := range assigned {
		out = join(out, c.assigned(a))
	}
	return out
}

func (c *checker) assigned(a luau.Assignment) values {
	if compound, ok := a.Stat.(*luau.CompoundAssignStat); ok {
		return tainted(c.eval(compound.Value))
	}
	stat, ok := a.Stat.(*luau.AssignStat)
	if a.Value != nil || !ok || len(stat.Values) == 0 {
		return c.eval(a.Value)
	}
	last := len(stat.Values) - 1
	return c.furtherResult(stat.Values[last], slices.Index(stat.Targets, luau.Expr(a.Target))-last)
}

// local returns what a local can hold, from all that the file ever puts into it.
func (c *checker) local(l *luau.Local) values {
	if vs, ok := c.locals[l]; ok {
		return vs
	}
	if c.depth >= maxDepth {
		return of(unknown)
	}
	c.locals[l] = of(computed) // a value made of itself
	c.depth++
	vs := c.declared(l)
	if v := c.scopes.Of(l); v != nil {
		for _, a := range v.Assignments {
			vs = join(vs, c.assigned(a))
		}
	}
	c.depth--
	if len(vs) == 0 {
		vs = of(unknown)
	}
	c.locals[l] = vs
	return vs
}

func (c *checker) declared(l *luau.Local) values {
	v := c.scopes.Of(l)
	switch {
	case l.Kind == luau.Self || v == nil:
		return of(unknown)
	case l.Kind == luau.Parameter:
		return c.parameter(l)
	case l.Kind == luau.Loop:
		return c.loopVar(l)
	case v.Init != nil:
		return c.eval(v.Init)
	case v.Rest != nil:
		return c.furtherResult(v.Rest, c.rests[l])
	case len(v.Assignments) > 0:
		return nil
	}
	return of(other)
}

// loopVar returns what a loop puts into its variable.
func (c *checker) loopVar(l *luau.Local) values {
	loop, ok := c.loops[l]
	if !ok {
		return of(computed) // of a numeric loop
	}
	if len(loop.Values) == 0 {
		return of(unknown)
	}
	source := luau.Unparen(loop.Values[0])
	if call, isCall := source.(*luau.CallExpr); isCall && len(call.Args) > 0 {
		if f := c.eval(call.Func); f.is("pairs") || f.is("ipairs") || f.is("next") {
			source = call.Args[0]
		}
	}
	key := loop.Vars[0] == l
	var out values
	for _, v := range c.eval(source) {
		switch v.kind {
		case client:
			out = join(out, of(client))
		case global:
			if key {
				out = join(out, of(computed))
			} else {
				out = join(out, one(value{kind: global, text: v.text + ".*"}))
			}
		case instances:
			if key {
				out = join(out, of(computed))
			} else {
				out = join(out, c.ofList(v))
			}
		case table:
			out = join(out, c.items(v.expr.(*luau.TableExpr), key, source))
		default:
			out = join(out, of(unknown))
		}
	}
	return out
}

// ofList returns an element of a list of instances.
func (c *checker) ofList(list value) values {
	if list.text == "players" {
		return of(player)
	}
	return one(value{kind: instance, from: list.from})
}

// items returns all keys or all values of an own table.
func (c *checker) items(t *luau.TableExpr, keys bool, x luau.Expr) values {
	about := part{t, keys}
	out, ok := c.parts[about]
	if !ok {
		c.parts[about] = of(unknown)
		for _, item := range t.Items {
			switch {
			case !keys:
				out = join(out, c.eval(item.Value))
			case item.Key != nil:
				out = join(out, c.eval(item.Key))
			default:
				out = join(out, of(computed))
			}
		}
		c.parts[about] = out
	}
	if l := c.localOf(x); !keys {
		for _, v := range c.elements[l] {
			out = join(out, c.eval(v))
		}
	}
	if len(out) == 0 {
		return of(unknown)
	}
	return out
}

// part is the keys or the values of a table.
type part struct {
	table *luau.TableExpr
	keys  bool
}

// parameter returns what a function is called with, as far as all its callers are known.
func (c *checker) parameter(l *luau.Local) values {
	f := l.Func
	if f == nil {
		return of(unknown)
	}
	index := slices.Index(f.Params, l)
	calls, all := c.callers(f)
	var out values
	for _, args := range calls {
		switch {
		case args.handler != 0:
			out = join(out, c.handed(args.handler, index))
		case index < len(args.list):
			out = join(out, c.eval(args.list[index]))
		case args.open:
			out = join(out, of(unknown))
		default:
			out = join(out, of(other))
		}
	}
	if !all || len(out) == 0 {
		return join(out, of(unknown))
	}
	return out
}
