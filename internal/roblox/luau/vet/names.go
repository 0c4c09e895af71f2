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
	for _, a := range assigned[:min(len(assigned), maxValues)] {
		out = join(out, c.assigned(a))
	}
	return out
}

func (c *checker) assigned(a luau.Assignment) values {
	if compound, ok := a.Stat.(*luau.CompoundAssignStat); ok {
		return tainted(c.eval(compound.Value))
	}
	if a.Value == nil {
		return of(unknown)
	}
	return c.eval(a.Value)
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
		for _, a := range v.Assignments[:min(len(v.Assignments), maxValues)] {
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
		return c.furtherResult(v.Rest)
	case len(v.Assignments) > 0:
		return nil
	}
	return of(other)
}

// furtherResult returns what a call hands back behind its first result.
func (c *checker) furtherResult(e luau.Expr) values {
	call, ok := luau.Unparen(e).(*luau.CallExpr)
	if !ok || len(call.Args) == 0 {
		return of(unknown)
	}
	if f := c.eval(call.Func); f.is("pcall") || f.is("xpcall") {
		var out values
		for _, v := range c.eval(call.Args[0]) {
			if v.kind != function {
				return of(unknown)
			}
			out = join(out, c.returned(v.expr.(*luau.FunctionExpr)))
		}
		return out
	}
	return of(unknown)
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
	var out []values
	for _, item := range t.Items {
		switch {
		case !keys:
			out = append(out, c.eval(item.Value))
		case item.Key != nil:
			out = append(out, c.eval(item.Key))
		default:
			out = append(out, of(computed))
		}
		if len(out) > 4*maxValues {
			break
		}
	}
	if l := c.localOf(x); !keys {
		for _, v := range c.elements[l] {
			out = append(out, c.eval(v))
		}
	}
	if len(out) == 0 {
		return of(unknown)
	}
	return join(out...)
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
			out = join(out, handed(args.handler, index))
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
