package luau

import "fmt"

// token is a piece of source text that is no comment and no white space.
type token struct {
	kind kind
	span Span
	text string // of names, keywords, operators and numbers as they are written; of strings what stands between their delimiters
}

type kind uint8

const (
	eof      kind = iota + 1
	name          // that is no keyword
	keyword       // or operator: text says which
	number        //
	quoted        // a string in quotes
	long          // a string in brackets
	interp        // a string in backticks without an expression
	interpL       // from a backtick to the first expression
	interpM       // from one expression to the next
	interpR       // from the last expression to the backtick
	attrName      // @name; text is the name, which may be empty
	broken        // text says what is wrong with it
)

// is reports whether t is this keyword or operator.
func (t *token) is(text string) bool { return t.kind == keyword && t.text == text }

// String describes the token for a message.
func (t *token) String() string {
	switch t.kind {
	case eof:
		return "the end of the source"
	case broken:
		return t.text
	case quoted, long:
		return "a string"
	case interp, interpL:
		return "a string in backticks"
	case interpM, interpR:
		return "the rest of a string in backticks"
	case attrName:
		return fmt.Sprintf("'@%s'", t.text)
	}
	return fmt.Sprintf("'%s'", clip(t.text))
}

// clip shortens what a message shows of a source.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

// keyword reports whether a word is reserved.
func isKeyword(word string) bool {
	switch word {
	case "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in", "local", "nil", "not", "or", "repeat", "return",
		"then", "true", "until", "while":
		return true
	}
	return false
}
