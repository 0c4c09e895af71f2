package luau

type stat struct{ node }

func (*stat) statNode()      {}
func (*stat) family() family { return ofStat }

// The statements.
type (
	// Block is a list of statements. As a statement it is do … end.
	Block struct {
		stat
		Stats []Stat
	}

	// LocalStat is local Locals = Values, or const. Values may be fewer or more.
	LocalStat struct {
		stat
		Locals []*Local
		Values []Expr
		Const  bool
	}

	// LocalFunctionStat is local function, or const function.
	LocalFunctionStat struct {
		stat
		Local *Local
		Func  *FunctionExpr
	}

	// FunctionStat is function Target(): Target is a *NameExpr or *FieldExpr.
	FunctionStat struct {
		stat
		Target Expr
		Func   *FunctionExpr
	}

	// AssignStat is Targets = Values. A target is a *NameExpr, *FieldExpr or *IndexExpr.
	AssignStat struct {
		stat
		Targets, Values []Expr
	}

	// CompoundAssignStat is Target Op Value, with an Op such as "+=".
	CompoundAssignStat struct {
		stat
		Op            string
		Target, Value Expr
	}

	// CallStat is a call: a *CallExpr or *MethodCallExpr.
	CallStat struct {
		stat
		Call Expr
	}

	// IfStat is if Cond then Then else Else. Else is nil, a *Block, or, for an elseif, an *IfStat.
	IfStat struct {
		stat
		Cond Expr
		Then *Block
		Else Stat
	}

	// WhileStat is while Cond do Body end.
	WhileStat struct {
		stat
		Cond Expr
		Body *Block
	}

	// RepeatStat is repeat Body until Cond. Cond sees the locals of Body.
	RepeatStat struct {
		stat
		Body *Block
		Cond Expr
	}

	// ForStat is for Var = From, To, Step do Body end.
	ForStat struct {
		stat
		Var      *Local
		From, To Expr
		Step     Expr // nil without one
		Body     *Block
	}

	// ForInStat is for Vars in Values do Body end.
	ForInStat struct {
		stat
		Vars   []*Local
		Values []Expr
		Body   *Block
	}

	// ReturnStat is return Values.
	ReturnStat struct {
		stat
		Values []Expr
	}

	// BreakStat is break.
	BreakStat struct{ stat }

	// ContinueStat is continue.
	ContinueStat struct{ stat }

	// TypeStat is type Name<Generics> = Type.
	TypeStat struct {
		stat
		Name     Name
		Generics []*Generic
		Type     Type
		Exported bool
	}

	// TypeFunctionStat is type function Name(). It runs when types are checked, not when the script runs.
	TypeFunctionStat struct {
		stat
		Name     Name
		Func     *FunctionExpr
		Exported bool
	}
)
