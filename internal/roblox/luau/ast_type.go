package luau

type typ struct{ node }

func (*typ) typeNode()      {}
func (*typ) family() family { return ofType }

// The types and packs.
type (
	// NamedType is Name, Prefix.Name or Name<Args>, also nil.
	NamedType struct {
		typ
		Prefix Name // its Text is "" without one
		Name   Name
		Args   []Type
	}

	// TableType is a table, also {T}, which is one with an Indexer whose Key is nil.
	TableType struct {
		typ
		Props   []TypeProp
		Indexer *TypeProp // nil without one
	}

	// FunctionType is <Generics>(Params) -> Returns.
	FunctionType struct {
		typ
		Generics []*Generic
		Params   *TypeList
		Returns  Type // *TypeList, *VariadicType or *GenericPack
	}

	// TypeofType is typeof(X). X is checked, never run.
	TypeofType struct {
		typ
		X Expr
	}

	// UnionType is A | B, also A?.
	UnionType struct {
		typ
		Types    []Type
		Optional bool // a "?" stands in it
	}

	// IntersectionType is A & B.
	IntersectionType struct {
		typ
		Types []Type
	}

	// GroupType is (T).
	GroupType struct {
		typ
		Type Type
	}

	// BoolType is true or false as a type.
	BoolType struct {
		typ
		Value bool
	}

	// StringType is a string as a type.
	StringType struct {
		typ
		Value string
	}

	// TypeList is a pack (A, B, ...T): what a function takes or returns.
	TypeList struct {
		typ
		Types []Type
		Names []string // of parameters; nil, or one for each of Types with "" where there is none
		Tail  Type     // nil, *VariadicType or *GenericPack
	}

	// VariadicType is ...T; its Type is nil where only "..." may stand.
	VariadicType struct {
		typ
		Type Type
	}

	// GenericPack is T....
	GenericPack struct {
		typ
		Name string
	}
)

// TypeProp is a property Name: Type, ["Name"]: Type, or an indexer [Key]: Type.
type TypeProp struct {
	Span   Span
	Access string // "read", "write", or "" for both
	Name   Name
	Key    Type // of an indexer; nil for {T}
	Type   Type
}
