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
	// variables, and where a declaration has fewer values than names; Rest says then that it is one more of the results of the last value.
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
	Stat   Stat // *AssignStat, *CompoundAssignStat or *FunctionStat
}

// Resolve collects what the names of a file stand for.
func Resolve(f *File) *Scopes {
	return &Scopes{Globals: map[string][]*NameExpr{}, Assigned: map[string][]Assignment{}, byLocal: map[*Local]*Var{}}
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
