// Package luau reads Luau, Roblox's dialect of Lua: it parses source text to a tree with positions, finds out what each name stands for, and says in
// plain words where and why a source does not compile. It accepts and refuses what Luau's own compiler does (release 0.711, as it comes in the npm
// package luau-web), which a test shows over a corpus and its mutants; nothing is ever run.
//
// Parsing takes time in proportion to the source, which is bounded by MaxSource, and depth that is bounded as the compiler's own. As for the compiler,
// a source ends at its first zero byte, if it has one.
package luau

import (
	"fmt"
)

// MaxSource is how long a source text may be, in bytes.
const MaxSource = 1 << 20

// Error says where a source text is not Luau, or goes beyond a limit of the compiler.
type Error struct {
	Span    Span   // what is wrong
	Message string // what was expected and what is there instead, without the position
}

func (e *Error) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Span.Start.Line, e.Span.Start.Column, e.Message)
}

// Parse reads a source text. It returns the tree, or an *Error for the first thing for which Luau would not compile it.
func Parse(source string) (*File, error) {
	return parse(source, rules{})
}

// rules are switches with which tests break a rule.
type rules struct {
	breakAnywhere bool
}

func parse(source string, rules rules) (file *File, err error) {
	if len(source) > MaxSource {
		start := Pos{0, 1, 1}
		return nil, &Error{Span{start, start}, fmt.Sprintf("the source has %d bytes; the limit is %d", len(source), MaxSource)}
	}
	p := &parser{lex: newLexer(source), rules: rules, locals: map[string]*Local{}, written: map[string]bool{}}
	defer func() {
		if r := recover(); r != nil {
			failed, ok := r.(*Error)
			if !ok {
				panic(r)
			}
			file, err = nil, failed
		}
	}()
	file = p.file()
	check(file)
	return file, nil
}
