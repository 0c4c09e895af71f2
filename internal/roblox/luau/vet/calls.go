package vet

import (
	"strings"

	"github.com/toolboxai/orchestrator/internal/roblox/luau"
)

// arguments are what one caller hands to a function.
type arguments struct {
	list    []luau.Expr
	open    bool    // more may come behind the list
	handler handler // or it is called for an event
}

// handler says what calls a function.
type handler uint8

const (
	ofServerRemote handler = iota + 1 // OnServerEvent, OnServerInvoke: a player, then what the client sends
	ofClientRemote                    // OnClientEvent, OnClientInvoke
	ofPlayer                          // PlayerAdded and others: a player
	ofAnything                        // DescendantAdded of a service
)

// handed returns what a handler's parameter can be.
func handed(h handler, index int) values {
	switch {
	case h == ofServerRemote && index > 0, h == ofClientRemote:
		return of(client)
	case (h == ofServerRemote || h == ofPlayer) && index == 0:
		return of(player)
	case h == ofAnything && index == 0:
		return one(value{kind: instance, from: swept})
	}
	return of(unknown)
}

// handlerOf says what an event or callback hands to its handler, 0 for others.
func (c *checker) handlerOf(event luau.Expr) handler {
	field, ok := luau.Unparen(event).(*luau.FieldExpr)
	if !ok {
		return 0
	}
	switch field.Name.Text {
	case "OnServerEvent", "OnServerInvoke":
		return ofServerRemote
	case "OnClientEvent", "OnClientInvoke":
		return ofClientRemote
	case "PlayerAdded", "PlayerRemoving", "MouseClick", "Triggered", "PromptTriggered":
		return ofPlayer
	case "DescendantAdded", "DescendantRemoving":
		if xs := c.eval(field.X); xs.has(service) || xs.has(game) {
			return ofAnything
		}
	}
	return 0
}

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
	return nil, false
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

// returned returns what a function hands back first.
func (c *checker) returned(f *luau.FunctionExpr) values {
	if vs, ok := c.results[f]; ok {
		return vs
	}
	c.results[f] = of(computed)
	var out values
	found := false
	inspect(f, func(n luau.Node) bool {
		if r, ok := n.(*luau.ReturnStat); ok {
			found = true
			if len(r.Values) == 0 {
				out = join(out, of(other))
			} else {
				out = join(out, c.eval(r.Values[0]))
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
	c.results[f] = out
	return out
}

// decodes reports whether a function, with those in it, puts characters together.
func (c *checker) decodes(f *luau.FunctionExpr) bool {
	found := false
	luau.Inspect(f, func(n luau.Node) bool {
		if call, ok := n.(*luau.CallExpr); ok && !found {
			for _, v := range c.eval(call.Func) {
				found = found || v.kind == global && decoder(v.text)
			}
		}
		return !found
	})
	return found
}

// decoder reports whether a function of the language makes text of numbers.
func decoder(path string) bool {
	switch path {
	case "string.char", "utf8.char", "buffer.tostring", "buffer.readstring", "string.pack":
		return true
	}
	return false
}

// call returns what a call can hand back first.
func (c *checker) call(e *luau.CallExpr) values {
	var out values
	for _, f := range c.eval(e.Func) {
		switch f.kind {
		case function:
			out = join(out, c.returned(f.expr.(*luau.FunctionExpr)))
		case global:
			out = join(out, c.callGlobal(f.text, e))
		case client:
			out = join(out, of(client))
		default:
			out = join(out, c.callMember(e))
		}
	}
	return out
}

// callMember handles game.GetService(game, name), which is what game:GetService(name) is.
func (c *checker) callMember(e *luau.CallExpr) values {
	x, name, ok := c.memberName(luau.Unparen(e.Func))
	if !ok || len(e.Args) == 0 || !strings.HasPrefix(name, "Get") && !strings.HasPrefix(name, "Find") && !strings.HasPrefix(name, "Wait") {
		return of(unknown)
	}
	return c.methodOf(c.eval(x), name, e.Args[1:])
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
