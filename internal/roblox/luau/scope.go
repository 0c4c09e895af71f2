package luau

// Scopes says what the names of a file stand for.
type Scopes struct {
	// Vars has the locals of the file in the order of their declarations.
	Vars []*Var
	// Globals has the uses of each name that no local declares, in their order, assignments included.
	Globals map[string][]*NameExpr
	// Assigned has what is assigned to each global.
	Assigned map[string][]Assignment

	byLocal map[*Local]*Var
}

// Var is a local with its uses.
type Var struct {
	Local *Local
	// Init is what the local is first set to: its value in a declaration, or the function of a local function. It is nil for parameters and loop
	// variables, and where a declaration has fewer values than names. Rest is then the last value, if that is a call or "..." that may give one more.
	Init Expr
	Rest Expr
	// Uses has where the local is read or written, in order.
	Uses []*NameExpr
	// Assignments has the writes among the uses, without the declaration.
	Assignments []Assignment
	// Captured says that an inner function uses the local.
	Captured bool
}

// Assignment is one of a value to a variable.
type Assignment struct {
	Target *NameExpr
	Value  Expr // nil when there are fewer values than targets
	Stat   Stat // *AssignStat, *CompoundAssignStat (Value is what is added then) or *FunctionStat
}

// Binding is what a name stands for where it is used.
type Binding uint8

// The bindings. A loop variable is a local, and self is a parameter.
const (
	Global Binding = iota + 1
	LocalVar
	Param
	Upvalue // a local or parameter of an outer function
)

// Binding returns what the name stands for.
func (e *NameExpr) Binding() Binding {
	switch {
	case e.Local == nil:
		return Global
	case e.Upvalue:
		return Upvalue
	case e.Local.Kind == Parameter || e.Local.Kind == Self:
		return Param
	}
	return LocalVar
}

// Resolve collects what the names of a file stand for.
func Resolve(f *File) *Scopes {
	s := &Scopes{Globals: map[string][]*NameExpr{}, Assigned: map[string][]Assignment{}, byLocal: map[*Local]*Var{}}
	Inspect(f, s.visit)
	return s
}

func (s *Scopes) visit(n Node) bool {
	switch n := n.(type) {
	case *Local:
		s.of(n)
	case *NameExpr:
		if n.Local == nil {
			s.Globals[n.Name] = append(s.Globals[n.Name], n)
			return true
		}
		v := s.of(n.Local)
		v.Uses = append(v.Uses, n)
		v.Captured = v.Captured || n.Upvalue
	case *LocalStat:
		for i, l := range n.Locals {
			switch v := s.of(l); {
			case i < len(n.Values):
				v.Init = n.Values[i]
			case manyResults(n.Values):
				v.Rest = n.Values[len(n.Values)-1]
			}
		}
	case *LocalFunctionStat:
		s.of(n.Local).Init = n.Func
	case *FunctionStat:
		s.assign(n.Target, n.Func, n)
	case *CompoundAssignStat:
		s.assign(n.Target, n.Value, n)
	case *AssignStat:
		for i, target := range n.Targets {
			if i < len(n.Values) {
				s.assign(target, n.Values[i], n)
			} else {
				s.assign(target, nil, n)
			}
		}
	}
	return true
}

func (s *Scopes) assign(target, value Expr, by Stat) {
	n, ok := target.(*NameExpr)
	if !ok {
		return
	}
	a := Assignment{n, value, by}
	if n.Local == nil {
		s.Assigned[n.Name] = append(s.Assigned[n.Name], a)
		return
	}
	v := s.of(n.Local)
	v.Assignments = append(v.Assignments, a)
}

// of returns the Var of a local, which it makes when it is new.
func (s *Scopes) of(l *Local) *Var {
	v := s.byLocal[l]
	if v == nil {
		v = &Var{Local: l}
		s.byLocal[l] = v
		s.Vars = append(s.Vars, v)
	}
	return v
}

// Var returns the local that a name stands for, or nil for a global.
func (s *Scopes) Var(n *NameExpr) *Var { return s.byLocal[n.Local] }

// Of returns what is known of a declaration.
func (s *Scopes) Of(l *Local) *Var { return s.byLocal[l] }

// Constant returns the only value that a name can have: that of a local that is never assigned again. For a global, a parameter and any
// other local it returns nil.
func (s *Scopes) Constant(n *NameExpr) Expr {
	if v := s.Var(n); v != nil && len(v.Assignments) == 0 {
		return v.Init
	}
	return nil
}
