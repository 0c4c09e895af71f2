package vet

import "github.com/toolboxai/orchestrator/internal/roblox/luau"

// checker holds one script against the rules.
type checker struct {
	*report
	source string
	where  Context
	tree   *tree
	scopes *luau.Scopes

	known   map[luau.Expr]values
	locals  map[*luau.Local]values
	globals map[string]values
	results map[result]values
	parts   map[part]values
	pieces  map[*luau.TableExpr]pieces
	answers map[asked]bool
	depth   int

	loops      map[*luau.Local]*luau.ForInStat
	writes     map[string][]luau.Expr      // what is assigned to fields, by their names
	elements   map[*luau.Local][]luau.Expr // what is put into a local table under keys that are computed
	rests      map[*luau.Local]int         // which further result of the last value a local gets
	handlers   map[string]handler          // the events to which functions in fields are connected, by the names of the fields
	indexes    []luau.Expr                 // what stands as __index of metatables
	fires      [][]luau.Expr               // what is handed to bindable events and functions
	grown      map[luau.Node]bool          // loops that are looked through for objects
	chars      bool                        // somewhere characters are made of numbers
	joinedText int                         // bytes that table.concat has put together
	escapes    int                         // letters that are written as numbers
}

func newChecker(source string, where Context, file *luau.File, r *report) *checker {
	c := &checker{
		report: r, source: source, where: where, tree: newTree(file), scopes: luau.Resolve(file),
		known: map[luau.Expr]values{}, locals: map[*luau.Local]values{}, globals: map[string]values{},
		results: map[result]values{}, parts: map[part]values{}, pieces: map[*luau.TableExpr]pieces{}, answers: map[asked]bool{},
		rests: map[*luau.Local]int{}, handlers: map[string]handler{}, grown: map[luau.Node]bool{},
		loops: map[*luau.Local]*luau.ForInStat{}, writes: map[string][]luau.Expr{}, elements: map[*luau.Local][]luau.Expr{},
	}
	for _, n := range c.tree.order {
		c.collect(n)
	}
	for _, n := range c.tree.order {
		switch n := n.(type) {
		case *luau.MethodCallExpr:
			if connects(n.Name.Text) && len(n.Args) == 1 {
				c.collectHandler(n.X, n.Args[0])
			}
		case *luau.AssignStat:
			for i, v := range n.Values[:min(len(n.Values), len(n.Targets))] {
				c.collectHandler(n.Targets[i], v)
			}
		}
	}
	for _, v := range c.scopes.Vars { // first, so that what is made of itself is seen from its declaration
		c.local(v.Local)
	}
	return c
}

// anything stands for a value that is not known.
var anything = new(luau.VarargExpr)

func more[K comparable](m map[K][]luau.Expr, key K, v luau.Expr) {
	switch n := len(m[key]); {
	case n < maxValues:
		m[key] = append(m[key], v)
	case n == maxValues:
		m[key] = append(m[key], anything)
	}
}

// collect notes what the evaluation needs from everywhere.
func (c *checker) collect(n luau.Node) {
	switch n := n.(type) {
	case *luau.ForInStat:
		for _, v := range n.Vars {
			c.loops[v] = n
		}
	case *luau.LocalStat:
		for i, l := range n.Locals[min(len(n.Values), len(n.Locals)):] {
			c.rests[l] = i + 1
		}
	case *luau.TableExpr:
		for _, item := range n.Items {
			if s, ok := luau.StringValue(item.Key); ok && s == "__index" {
				c.indexes = append(c.indexes, item.Value)
			}
		}
	case *luau.MethodCallExpr:
		if (n.Name.Text == "Fire" || n.Name.Text == "Invoke") && len(c.fires) < 4*maxValues {
			c.fires = append(c.fires, n.Args)
		}
	case *luau.AssignStat:
		for i, target := range n.Targets {
			var v luau.Expr = anything
			if i < len(n.Values) {
				v = n.Values[i]
			}
			c.collectWrite(target, v)
		}
	case *luau.CompoundAssignStat:
		c.collectWrite(n.Target, n.Value)
	case *luau.FunctionStat:
		c.collectWrite(n.Target, n.Func)
	case *luau.CallExpr:
		if f, ok := luau.Unparen(n.Func).(*luau.FieldExpr); ok {
			lib, isName := f.X.(*luau.NameExpr)
			if isName && decoder(lib.Name+"."+f.Name.Text) {
				c.chars = true
			}
			if l := c.localOf(first(n.Args)); l != nil && isName && lib.Name == "table" && f.Name.Text == "insert" {
				more(c.elements, l, n.Args[len(n.Args)-1])
			}
		}
	}
}

func (c *checker) collectWrite(target, v luau.Expr) {
	switch target := target.(type) {
	case *luau.FieldExpr:
		if target.Name.Text == "__index" {
			c.indexes = append(c.indexes, v)
		}
		more(c.writes, target.Name.Text, v)
	case *luau.IndexExpr:
		if s, ok := luau.StringValue(target.Index); ok {
			more(c.writes, s, v)
		} else if l := c.localOf(target.X); l != nil {
			more(c.elements, l, v)
		}
	}
}

func first(list []luau.Expr) luau.Expr {
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

// node holds one part of the tree against the rules.
func (c *checker) node(n luau.Node) {
	if e, ok := n.(luau.Expr); ok {
		c.gameUse(e)
		c.httpUse(e)
		c.serviceText(e)
	}
	switch n := n.(type) {
	case *luau.NameExpr:
		c.globalUse(n)
	case *luau.StringExpr:
		c.literal(n.Value, n)
	case *luau.InterpExpr:
		for _, s := range n.Strings {
			c.literal(s, n)
		}
	case *luau.TableExpr:
		c.bytes(n)
	case *luau.FieldExpr:
		c.memberUse(n, n.X, textual(n.Name.Text))
	case *luau.IndexExpr:
		c.memberUse(n, n.X, c.eval(n.Index))
		c.computedAccess(n)
		c.accountIndex(n)
	case *luau.CallExpr:
		c.callRules(n)
	case *luau.MethodCallExpr:
		c.methodRules(n)
	case *luau.BinaryExpr:
		c.account(n)
		c.joined(n)
	case *luau.AssignStat:
		c.assignRules(n)
	case *luau.CompoundAssignStat:
		c.writtenByClient(n.Target)
	case *luau.FunctionExpr:
		c.remoteHandler(n)
	case *luau.WhileStat:
		c.loop(n, n.Cond, n.Body, false)
	case *luau.RepeatStat:
		c.loop(n, n.Cond, n.Body, true)
	}
}
