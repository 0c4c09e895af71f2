package luau

func (w *walker) expression(e Node) {
	switch e := e.(type) {
	case *InterpExpr:
		each(w, e.Exprs)
	case *IndexExpr:
		w.node(e.X)
		w.node(e.Index)
	case *FieldExpr:
		w.node(e.X)
	case *CallExpr:
		w.node(e.Func)
		each(w, e.Args)
	case *MethodCallExpr:
		w.node(e.X)
		each(w, e.Types)
		each(w, e.Args)
	case *InstantiateExpr:
		w.node(e.X)
		each(w, e.Types)
	case *FunctionExpr:
		w.function(e)
	case *TableExpr:
		for _, item := range e.Items {
			if item.Key != nil {
				w.node(item.Key)
			}
			w.node(item.Value)
		}
	case *UnaryExpr:
		w.node(e.X)
	case *BinaryExpr:
		w.node(e.X)
		w.node(e.Y)
	case *ParenExpr:
		w.node(e.X)
	case *CastExpr:
		w.node(e.X)
		w.node(e.Type)
	case *IfExpr:
		w.node(e.Cond)
		w.node(e.Then)
		w.node(e.Else)
	}
}

func (w *walker) function(f *FunctionExpr) {
	each(w, f.Attributes)
	each(w, f.Generics)
	if f.Self != nil {
		w.node(f.Self)
	}
	each(w, f.Params)
	w.typ(f.VarargType)
	w.typ(f.Returns)
	w.node(f.Body)
}

func (w *walker) types(t Node) {
	switch t := t.(type) {
	case *NamedType:
		each(w, t.Args)
	case *TableType:
		for _, p := range t.Props {
			w.node(p.Type)
		}
		if t.Indexer != nil {
			w.typ(t.Indexer.Key)
			w.node(t.Indexer.Type)
		}
	case *FunctionType:
		each(w, t.Generics)
		w.node(t.Params)
		w.node(t.Returns)
	case *TypeofType:
		w.node(t.X)
	case *UnionType:
		each(w, t.Types)
	case *IntersectionType:
		each(w, t.Types)
	case *GroupType:
		w.node(t.Type)
	case *TypeList:
		each(w, t.Types)
		w.typ(t.Tail)
	case *VariadicType:
		w.typ(t.Type)
	}
}
