package vet

import "github.com/toolboxai/orchestrator/internal/roblox/luau"

// tree knows the nodes of a file that run, in their order, and what each is a part of. Types and type functions never run.
type tree struct {
	order  []luau.Node
	parent map[luau.Node]luau.Node
}

func newTree(file *luau.File) *tree {
	t := &tree{parent: map[luau.Node]luau.Node{}}
	var open []luau.Node
	luau.Inspect(file, func(n luau.Node) bool {
		switch n.(type) {
		case luau.Type, *luau.TypeStat, *luau.TypeFunctionStat, *luau.Generic:
			return false
		}
		for len(open) > 0 && !within(n, open[len(open)-1]) {
			open = open[:len(open)-1]
		}
		if len(open) > 0 {
			t.parent[n] = open[len(open)-1]
		}
		t.order = append(t.order, n)
		switch n.(type) {
		case *luau.Attribute, *luau.Local:
			return false
		}
		open = append(open, n)
		return true
	})
	return t
}

func within(n, outer luau.Node) bool {
	inner, span := n.Span(), outer.Span()
	return inner.Start.Offset >= span.Start.Offset && inner.End.Offset <= span.End.Offset
}

// use returns the part of the code that takes the value of n, through parentheses and casts, and n or what stands in its place there.
func (t *tree) use(n luau.Expr) (luau.Node, luau.Expr) {
	for {
		switch p := t.parent[n].(type) {
		case *luau.ParenExpr:
			n = p
		case *luau.CastExpr:
			n = p
		default:
			return p, n
		}
	}
}

// function returns the innermost function around n, or nil for the chunk itself.
func (t *tree) function(n luau.Node) *luau.FunctionExpr {
	for n = t.parent[n]; n != nil; n = t.parent[n] {
		if f, ok := n.(*luau.FunctionExpr); ok {
			return f
		}
	}
	return nil
}

// inspect visits what runs when n does: its parts without the functions in it. It stops when f returns false.
func inspect(n luau.Node, f func(luau.Node) bool) {
	going := true
	luau.Inspect(n, func(part luau.Node) bool {
		if _, inner := part.(*luau.FunctionExpr); !going || inner && part != n {
			return false
		}
		if _, isType := part.(luau.Type); isType {
			return false
		}
		going = f(part)
		return going
	})
}
