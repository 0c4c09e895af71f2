package vet

import (
	"slices"
	"strings"

	"github.com/toolboxai/orchestrator/internal/roblox/luau"
)

// loop checks a while or repeat loop that has no end of its own.
func (c *checker) loop(n luau.Stat, cond luau.Expr, body *luau.Block, until bool) {
	always, isBool := luau.Unparen(cond).(*luau.BoolExpr)
	constant := isBool && always.Value != until
	if _, isNumber := luau.Unparen(cond).(*luau.NumberExpr); isNumber && !until {
		constant = true
	}
	yields := c.yields(body) || c.yields(cond)
	leaves := c.leaves(body)
	if (constant || len(body.Stats) == 0 && !isBool) && !yields && !leaves {
		c.add("endless-loop", n.Span())
	}
	if (constant || c.yields(cond)) && !leaves {
		c.grows(body)
	}
}

// leaves reports whether a loop's body has a way out of it.
func (c *checker) leaves(body *luau.Block) bool {
	return c.ask(askLeaves, body, false, func(n luau.Node) bool {
		switch n := n.(type) {
		case *luau.BreakStat, *luau.ReturnStat:
			return true
		case *luau.CallExpr:
			return c.eval(n.Func).is("error")
		}
		return false
	})
}

// pauses are the functions of the language that let others run.
var pauses = []string{"task.wait", "wait", "coroutine.yield", "Wait"}

// yields reports whether code lets others run, also in a function that it calls. Of functions that are not in the file nothing is known, so they may.
func (c *checker) yields(n luau.Node) bool {
	return c.ask(askYields, n, false, func(part luau.Node) bool {
		switch part := part.(type) {
		case *luau.MethodCallExpr:
			name := part.Name.Text
			return name == "Wait" || name == "wait" || name == "WaitForChild" || strings.HasSuffix(name, "Async") || strings.HasPrefix(name, "Invoke") ||
				c.eval(part.X).only(unknown)
		case *luau.CallExpr:
			return slices.ContainsFunc(c.eval(part.Func), func(f value) bool { return c.yieldsIn(f, part) })
		}
		return false
	})
}

// yieldsIn reports whether a call lets others run when it calls f.
func (c *checker) yieldsIn(f value, call *luau.CallExpr) bool {
	switch f.kind {
	case global:
		if (f.text == "pcall" || f.text == "xpcall") && len(call.Args) > 0 {
			body, ok := luau.Unparen(call.Args[0]).(*luau.FunctionExpr)
			return ok && c.yields(body)
		}
		return slices.Contains(pauses, f.text)
	case function:
		return c.yields(f.expr)
	}
	return f.kind == unknown
}

// grows checks code that runs again and again for objects that it makes and never counts or removes.
func (c *checker) grows(body luau.Node) {
	if c.grown[body] || c.bounded(body) {
		return
	}
	c.grown[body] = true
	inspect(body, func(n luau.Node) bool {
		switch n := n.(type) {
		case *luau.Block:
			if n != body && c.grown[n] {
				return false
			}
			c.grown[n] = true
		case *luau.CallExpr:
			f := c.eval(n.Func)
			if f.is("Instance.new") || f.is("Instance.fromExisting") {
				c.add("unbounded-instances", n.Span())
			}
			for _, v := range f {
				if v.kind == function && c.creates(v.expr) && !c.bounded(v.expr) {
					c.add("unbounded-instances", n.Span())
				}
			}
		case *luau.MethodCallExpr:
			if n.Name.Text == "Clone" {
				c.add("unbounded-instances", n.Span())
			}
		}
		return true
	})
}

// creates reports whether a function makes objects.
func (c *checker) creates(f luau.Node) bool {
	return c.ask(askCreates, f, false, func(n luau.Node) bool {
		switch n := n.(type) {
		case *luau.CallExpr:
			return c.eval(n.Func).is("Instance.new")
		case *luau.MethodCallExpr:
			return n.Name.Text == "Clone"
		}
		return false
	})
}

// bounded reports whether code counts what it makes, or removes it again.
func (c *checker) bounded(body luau.Node) bool {
	return c.ask(askBounded, body, true, func(n luau.Node) bool {
		switch n := n.(type) {
		case *luau.IfStat:
			return c.compares(n.Cond)
		case *luau.MethodCallExpr:
			return n.Name.Text == "Destroy" || n.Name.Text == "AddItem" || n.Name.Text == "ClearAllChildren"
		case *luau.FieldExpr:
			return n.Name.Text == "Destroy"
		}
		return false
	})
}

// compares reports whether a condition compares sizes.
func (c *checker) compares(cond luau.Expr) bool {
	found := false
	inspect(cond, func(n luau.Node) bool {
		b, ok := n.(*luau.BinaryExpr)
		found = found || ok && (b.Op == "<" || b.Op == "<=" || b.Op == ">" || b.Op == ">=")
		return !found
	})
	return found
}

// frames are the events that fire for every frame or step.
var frames = []string{"Heartbeat", "Stepped", "RenderStepped", "PreRender", "PreAnimation", "PreSimulation", "PostSimulation"}

// heartbeat checks a connection to an event of every frame.
func (c *checker) heartbeat(n *luau.MethodCallExpr) {
	var handler luau.Expr
	switch event, isField := luau.Unparen(n.X).(*luau.FieldExpr); {
	case n.Name.Text == "BindToRenderStep" && len(n.Args) > 0:
		handler = n.Args[len(n.Args)-1]
	case isField && n.Name.Text != "Once" && connects(n.Name.Text) && slices.Contains(frames, event.Name.Text) && len(n.Args) > 0:
		handler = n.Args[0]
	default:
		return
	}
	c.add("heartbeat-work", n.Span())
	for _, v := range c.eval(handler) {
		if v.kind == function {
			c.grows(v.expr)
		}
	}
}

// storeWrites are the methods that write to a data store.
var storeWrites = []string{"SetAsync", "UpdateAsync", "IncrementAsync", "RemoveAsync"}

// dataStore checks a write to a data store.
func (c *checker) dataStore(n *luau.MethodCallExpr) {
	if !slices.Contains(storeWrites, n.Name.Text) || c.eval(n.X).only(table) {
		return
	}
	c.add("data-store-write", n.Span())
	if !c.protected(n) {
		c.add("data-store-unprotected", n.Span())
	}
}

// memberWrite checks pcall(store.SetAsync, store, …), which is a write as well.
func (c *checker) memberWrite(n *luau.CallExpr) {
	for _, a := range n.Args {
		if f, ok := luau.Unparen(a).(*luau.FieldExpr); ok && slices.Contains(storeWrites, f.Name.Text) {
			c.add("data-store-write", n.Span())
		}
	}
}

// protected reports whether an error in n is caught: it runs in a function that is handed to pcall, or to one of the file's that calls pcall.
func (c *checker) protected(n luau.Node) bool {
	for f := c.tree.function(n); f != nil; f = c.tree.function(f) {
		where, self := c.tree.use(f)
		call, ok := where.(*luau.CallExpr)
		if !ok || call.Func == self {
			continue
		}
		for _, v := range c.eval(call.Func) {
			if v.kind == global && (v.text == "pcall" || v.text == "xpcall") || v.kind == function && c.callsPcall(v.expr) {
				return true
			}
		}
	}
	return false
}

// callsPcall reports whether a function calls pcall.
func (c *checker) callsPcall(f luau.Node) bool {
	return c.ask(askCalls, f, false, func(n luau.Node) bool {
		call, ok := n.(*luau.CallExpr)
		return ok && c.eval(call.Func).is("pcall")
	})
}
