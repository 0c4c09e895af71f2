package luau

type expr struct {
	node
	folded *constant // what it is known to be, once fold has been asked
}

func (*expr) family() family { return ofExpr }

// The expressions.
type (
	// NilExpr is nil.
	NilExpr struct{ expr }

	// BoolExpr is true or false.
	BoolExpr struct {
		expr
		Value bool
	}

	// NumberExpr is a number. Text is how it is written.
	NumberExpr struct {
		expr
		Value float64
		Text  string
	}

	// StringExpr is a string, also one in backticks without a part to compute. Value has its escapes decoded.
	StringExpr struct {
		expr
		Value string
	}

	// InterpExpr is a string in backticks: Strings[0], Exprs[0], Strings[1] …; Strings has one more. Strings have their escapes decoded.
	InterpExpr struct {
		expr
		Strings []string
		Exprs   []Expr
	}

	// VarargExpr is "...".
	VarargExpr struct{ expr }

	// NameExpr is the use of a variable.
	NameExpr struct {
		expr
		Name    string
		Local   *Local // what it names, nil for a global
		Upvalue bool   // Local belongs to an outer function
	}

	// IndexExpr is X[Index].
	IndexExpr struct {
		expr
		X, Index Expr
	}

	// FieldExpr is X.Name.
	FieldExpr struct {
		expr
		X    Expr
		Name Name
		// Colon says that it is the name of function X:Name().
		Colon bool
	}

	// CallExpr is Func(Args), also when the parentheses are left out before a string or table.
	CallExpr struct {
		expr
		Func Expr
		Args []Expr
	}

	// MethodCallExpr is X:Name(Args), or X:Name<<Types>>(Args).
	MethodCallExpr struct {
		expr
		X     Expr
		Name  Name
		Types []Type
		Args  []Expr
	}

	// InstantiateExpr is X<<Types>>.
	InstantiateExpr struct {
		expr
		X     Expr
		Types []Type
	}

	// FunctionExpr is a function: its own expression, or what a statement declares.
	FunctionExpr struct {
		expr
		Attributes []*Attribute
		Generics   []*Generic
		Self       *Local // nil unless it is declared as a:b()
		Params     []*Local
		Vararg     bool
		VarargType Type // nil without one; *VariadicType or *GenericPack
		Returns    Type // nil without one; *TypeList, *VariadicType or *GenericPack
		Body       *Block
		Name       string // the last word of its name, "" without one
	}

	// TableExpr is a table.
	TableExpr struct {
		expr
		Items []TableItem
	}

	// UnaryExpr is Op X, with "not", "-" or "#".
	UnaryExpr struct {
		expr
		Op string
		X  Expr
	}

	// BinaryExpr is X Op Y, with an operator as it is written.
	BinaryExpr struct {
		expr
		Op   string
		X, Y Expr
	}

	// ParenExpr is (X).
	ParenExpr struct {
		expr
		X Expr
	}

	// CastExpr is X :: Type.
	CastExpr struct {
		expr
		X    Expr
		Type Type
	}

	// IfExpr is if Cond then Then else Else. An elseif is an IfExpr as Else, whose span begins at the elseif.
	IfExpr struct {
		expr
		Cond, Then, Else Expr
	}
)

// TableItem is Value, Name = Value (Key is a *StringExpr then, and Named is true), or [Key] = Value.
type TableItem struct {
	Key   Expr // nil for an item of the list
	Value Expr
	Named bool
}

// Unparen returns what stands in the parentheses and casts around e.
func Unparen(e Expr) Expr {
	for {
		switch x := e.(type) {
		case *ParenExpr:
			e = x.X
		case *CastExpr:
			e = x.X
		default:
			return e
		}
	}
}

// StringValue returns the value of a string constant, also within parentheses and casts.
func StringValue(e Expr) (string, bool) {
	s, ok := Unparen(e).(*StringExpr)
	if !ok {
		return "", false
	}
	return s.Value, true
}
