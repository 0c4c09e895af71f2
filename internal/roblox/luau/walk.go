package luau

// Inspect calls f for a node and then, if f returned true, for each of its parts, in the order of the source. Types are visited as well.
func Inspect(n Node, f func(Node) bool) {
	w := walker{f: f}
	w.node(n)
}

type walker struct{ f func(Node) bool }

func (w *walker) node(n Node) {
	if !w.f(n) {
		return
	}
	switch n.family() {
	case ofStat:
		w.statement(n)
	case ofExpr:
		w.expression(n)
	case ofType:
		w.types(n)
	case ofOther:
		w.other(n)
	}
}

func (w *walker) other(n Node) {
	switch n := n.(type) {
	case *File:
		w.node(n.Body)
	case *Local:
		w.typ(n.Type)
	case *Attribute:
		each(w, n.Args)
	case *Generic:
		w.typ(n.Default)
	}
}

func (w *walker) typ(t Type) {
	if t != nil {
		w.node(t)
	}
}

// each visits the nodes of a list.
func each[N Node](w *walker, list []N) {
	for _, n := range list {
		w.node(n)
	}
}

func (w *walker) statement(s Node) {
	switch s := s.(type) {
	case *Block:
		each(w, s.Stats)
	case *LocalStat:
		each(w, s.Locals)
		each(w, s.Values)
	case *LocalFunctionStat:
		w.node(s.Local)
		w.node(s.Func)
	case *FunctionStat:
		w.node(s.Target)
		w.node(s.Func)
	case *AssignStat:
		each(w, s.Targets)
		each(w, s.Values)
	case *CompoundAssignStat:
		w.node(s.Target)
		w.node(s.Value)
	case *CallStat:
		w.node(s.Call)
	case *IfStat:
		w.node(s.Cond)
		w.node(s.Then)
		if s.Else != nil {
			w.node(s.Else)
		}
	case *WhileStat:
		w.node(s.Cond)
		w.node(s.Body)
	case *RepeatStat:
		w.node(s.Body)
		w.node(s.Cond)
	case *ForStat:
		w.node(s.Var)
		w.node(s.From)
		w.node(s.To)
		if s.Step != nil {
			w.node(s.Step)
		}
		w.node(s.Body)
	case *ForInStat:
		each(w, s.Vars)
		each(w, s.Values)
		w.node(s.Body)
	case *ReturnStat:
		each(w, s.Values)
	case *TypeStat:
		each(w, s.Generics)
		w.node(s.Type)
	case *TypeFunctionStat:
		w.node(s.Func)
	}
}
