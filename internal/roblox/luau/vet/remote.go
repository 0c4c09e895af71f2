package vet

import "github.com/toolboxai/orchestrator/internal/roblox/luau"

// inCondition reports whether n is a part of what decides: the condition of an if or a loop, an operand of and, or, not, or an argument of assert.
func (c *checker) inCondition(n luau.Node) bool {
	for range maxDepth {
		outer := c.tree.parent[n]
		switch p := outer.(type) {
		case *luau.IfStat:
			return p.Cond == n
		case *luau.WhileStat:
			return p.Cond == n
		case *luau.RepeatStat:
			return p.Cond == n
		case *luau.IfExpr:
			if p.Cond == n {
				return true
			}
		case *luau.BinaryExpr:
			if p.Op == "and" || p.Op == "or" {
				return true
			}
		case *luau.UnaryExpr:
			if p.Op == "not" {
				return true
			}
		case *luau.CallExpr:
			if f, ok := p.Func.(*luau.NameExpr); ok && f.Local == nil && f.Name == "assert" {
				return true
			}
		case *luau.MethodCallExpr, *luau.FieldExpr, *luau.IndexExpr, *luau.ParenExpr, *luau.CastExpr:
		default:
			return false
		}
		n = outer
	}
	return false
}

// remoteHandler checks that a function that clients call looks at what they send before it uses it.
func (c *checker) remoteHandler(f *luau.FunctionExpr) {
	if !c.handlesRemote(f) {
		return
	}
	for i, p := range f.Params {
		v := c.scopes.Of(p)
		if i == 0 || v == nil || len(v.Uses) == 0 || c.validated(v.Uses[0]) {
			continue
		}
		c.because("unvalidated-remote", p.Span(), "what a client sends as "+p.Name[:min(len(p.Name), 60)]+" is used before it is checked, and a changed client can send anything")
	}
	if !f.Vararg {
		return
	}
	inspect(f, func(n luau.Node) bool {
		e, ok := n.(*luau.VarargExpr)
		if ok {
			c.add("unvalidated-remote", e.Span())
		}
		return !ok
	})
}

func (c *checker) handlesRemote(f *luau.FunctionExpr) bool {
	calls, _ := c.callers(f)
	for _, call := range calls {
		if call.handler == ofServerRemote {
			return true
		}
	}
	return false
}

// validated reports whether the first use of a parameter is a check of it.
func (c *checker) validated(use *luau.NameExpr) bool {
	if c.examined(use) || c.inCondition(use) {
		return true
	}
	where, self := c.tree.use(use)
	switch where := where.(type) {
	case *luau.BinaryExpr:
		return where.Op == "==" || where.Op == "~="
	case *luau.IndexExpr:
		return where.Index == self && c.eval(where.X).only(table) // a look into an own list, which is nil for anything else
	case *luau.IfStat:
		return where.Cond == self
	}
	return false
}
