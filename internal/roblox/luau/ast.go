package luau

import "strings"

// Pos is a place in a source text.
type Pos struct {
	Offset int // in bytes, from 0
	Line   int // from 1
	Column int // in bytes, from 1
}

// Span is a stretch of a source text. End is the first place behind it.
type Span struct{ Start, End Pos }

// Text returns what stands in the span.
func (s Span) Text(source string) string { return source[s.Start.Offset:s.End.Offset] }

// Node is a part of the tree: a *File, *Block, Stat, Expr, Type, *Local, *Attribute or *Generic.
type Node interface {
	// Span returns where the node stands. The spans of its parts lie within it.
	Span() Span
	family() family
}

type node struct{ span Span }

func (n *node) Span() Span     { return n.span }
func (n *node) family() family { return ofOther }

// family tells statements, expressions and types apart, faster than by their interfaces.
type family uint8

const (
	ofOther family = iota
	ofStat
	ofExpr
	ofType
)

// File is a whole source text.
type File struct {
	node
	Body     *Block
	Comments []CommentNode // in their order
	Tokens   int           // how many tokens were read, without comments

	written map[string]bool // globals that are assigned to
}

// CommentNode is a comment.
type CommentNode struct {
	Span Span
	Text string // without the dashes and brackets
	Long bool   // whether it is one in brackets
	// Hot says that it is a directive such as --!strict; Text begins with the "!" then. Header says that it stands before all code, as a mode must.
	Hot, Header bool
}

// Directive returns the first word of a hot comment without its "!", such as "strict" or "native", or "" for another comment.
func (c CommentNode) Directive() string {
	words := strings.Fields(strings.TrimPrefix(c.Text, "!"))
	if !c.Hot || len(words) == 0 {
		return ""
	}
	return words[0]
}

// Mode returns what the last of the comments --!strict, --!nonstrict and --!nocheck at the head says ("strict", …), or "" without one.
func (f *File) Mode() string {
	mode := ""
	for _, c := range f.Comments {
		if c.Hot && c.Header {
			switch d := c.Directive(); d {
			case "strict", "nonstrict", "nocheck":
				mode = d
			}
		}
	}
	return mode
}

// Name is a word of the source that names something.
type Name struct {
	Text string
	Span Span
}

// Local is the declaration of a local variable, parameter or loop variable.
type Local struct {
	node
	Name  string // the span goes on to the end of the type
	Type  Type   // nil without one
	Kind  LocalKind
	Const bool          // declared by const
	Func  *FunctionExpr // the function whose local it is, nil for the chunk itself

	depth   int  // how many functions are open where it is declared, with the chunk
	written bool // assigned behind its declaration
	folded  constant
	reg     int  // the register it has in the model of the compiler
	live    bool // whether it has one
}

// LocalKind says what declared a local.
type LocalKind uint8

// The kinds of locals.
const (
	Variable  LocalKind = iota + 1 // by local or const
	Parameter                      // of a function
	Self                           // the unwritten parameter of function a:b(); its span is the keyword's
	Loop                           // by for
	Function                       // by local function or const function
)

// Attribute is one such as @native, or one of a list such as @[deprecated {use = "f"}].
type Attribute struct {
	node
	Name string
	Args []Expr
}

// Generic is a type parameter: T, T = Default, or a pack T... = Default.
type Generic struct {
	node
	Name    string
	Pack    bool
	Default Type // nil without one
}

// Expr is an expression.
type Expr interface {
	Node
	memo() **constant
}

// Stat is a statement.
type Stat interface {
	Node
	statNode()
}

// Type is a type, or, where several may stand, a pack: *VariadicType, *GenericPack or *TypeList.
type Type interface {
	Node
	typeNode()
}
