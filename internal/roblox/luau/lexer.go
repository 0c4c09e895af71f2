package luau

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// lexer splits a source text into tokens. It never fails: what is no token is a broken one.
type lexer struct {
	source    string // up to its first zero byte
	at        int
	line      int
	lineStart int    // where the line begins
	braces    []byte // the braces open since the outermost string in backticks: 'i' for one of a string, '{' for another
	comments  []CommentNode
	tokens    int
	steps     int // how many bytes were looked at, for the tests
}

func newLexer(source string) *lexer {
	if end := strings.IndexByte(source, 0); end >= 0 {
		source = source[:end]
	}
	return &lexer{source: source, line: 1}
}

func (l *lexer) pos() Pos { return Pos{l.at, l.line, l.at - l.lineStart + 1} }

// peek returns the byte n places ahead, or 0 behind the end.
func (l *lexer) peek(n int) byte {
	if l.at+n < len(l.source) {
		return l.source[l.at+n]
	}
	return 0
}

// skip goes over n bytes, none of which is a line break.
func (l *lexer) skip(n int) { l.at += n; l.steps += n }

// skipAny goes over one byte.
func (l *lexer) skipAny() {
	if l.source[l.at] == '\n' {
		l.line++
		l.lineStart = l.at + 1
	}
	l.skip(1)
}

func (l *lexer) skipWhile(f func(byte) bool) {
	for l.at < len(l.source) && f(l.source[l.at]) {
		l.skip(1)
	}
}

// next reads the next token, and notes the comments before it.
func (l *lexer) next() token {
	for {
		for isSpace(l.peek(0)) {
			l.skipAny()
		}
		if l.peek(0) != '-' || l.peek(1) != '-' {
			break
		}
		if t := l.comment(); t.kind == broken {
			return t
		}
	}
	start := l.pos()
	t := l.scan()
	t.span = Span{start, l.pos()}
	l.tokens++
	return t
}

func (l *lexer) comment() token {
	start := l.pos()
	l.skip(2)
	from := l.at
	c := CommentNode{}
	if l.peek(0) == '[' && l.bracket() >= 0 {
		text, ok := l.long(l.bracket())
		if !ok {
			return token{kind: broken, text: "a comment that does not end", span: Span{start, l.pos()}}
		}
		c.Text, c.Long = text, true
	} else {
		l.skipWhile(func(b byte) bool { return b != '\n' && b != '\r' })
		c.Text = l.source[from:l.at]
		if strings.HasPrefix(c.Text, "!") {
			c.Hot, c.Header = true, l.tokens == 0
			c.Text = strings.TrimRight(c.Text, " \t\r\n\v\f")
		}
	}
	c.Span = Span{start, l.pos()}
	l.comments = append(l.comments, c)
	return token{}
}

// bracket returns how many "=" stand between the two brackets at which the lexer is, -1 when there is one bracket only and no "=", and -2 when the
// second bracket is missing behind an "=".
func (l *lexer) bracket() int {
	n := 1
	for l.peek(n) == '=' {
		n++
	}
	l.steps += n
	switch {
	case l.peek(n) == l.source[l.at]:
		return n - 1
	case n == 1:
		return -1
	}
	return -2
}

// long reads what stands in long brackets with level "=" in them.
func (l *lexer) long(level int) (string, bool) {
	l.skip(level + 2)
	from := l.at
	for l.at < len(l.source) {
		if l.source[l.at] != ']' {
			l.skipAny()
			continue
		}
		if n := l.bracket(); n == level {
			text := l.source[from:l.at]
			l.skip(level + 2)
			return text, true
		}
		l.skip(1)
		l.skipWhile(func(b byte) bool { return b == '=' })
	}
	return "", false
}

func (l *lexer) scan() token {
	c := l.peek(0)
	switch {
	case l.at >= len(l.source):
		return token{kind: eof}
	case isLetter(c):
		from := l.at
		l.skipWhile(isWord)
		if word := l.source[from:l.at]; isKeyword(word) {
			return token{kind: keyword, text: word}
		}
		return token{kind: name, text: l.source[from:l.at]}
	case isDigit(c), c == '.' && isDigit(l.peek(1)):
		return l.number()
	case c == '"', c == '\'':
		return l.quoted(c)
	case c == '`':
		l.skip(1)
		return l.interpolated(interpL, interp)
	case c == '[' && l.bracket() != -1:
		if level := l.bracket(); level >= 0 {
			if text, ok := l.long(level); ok {
				return token{kind: long, text: text}
			}
		}
		return token{kind: broken, text: "a string in brackets that does not end"}
	case c == '@':
		return l.attribute()
	}
	return l.operator(c)
}

// operators of several characters, those that begin with another one before it.
var operators = []string{"...", "..=", "//=", "..", "//", "==", "~=", "<=", ">=", "+=", "-=", "*=", "/=", "%=", "^=", "->", "::"}

func (l *lexer) operator(c byte) token {
	for _, op := range operators {
		if op[0] == c && strings.HasPrefix(l.source[l.at:], op) {
			l.skip(len(op))
			return token{kind: keyword, text: op}
		}
	}
	switch {
	case c >= utf8.RuneSelf:
		r, size := utf8.DecodeRuneInString(l.source[l.at:])
		l.skip(size)
		return token{kind: broken, text: fmt.Sprintf("the character %q (U+%04X), which may stand in strings and comments only", r, r)}
	case strings.IndexByte("+-*/%^#<>=~(){}[];:,.?|&!", c) < 0:
		l.skip(1)
		return token{kind: broken, text: fmt.Sprintf("the character %q, which is no part of Luau", c)}
	}
	l.skip(1)
	switch {
	case c == '{' && len(l.braces) > 0:
		l.braces = append(l.braces, '{')
	case c == '}' && len(l.braces) > 0:
		top := l.braces[len(l.braces)-1]
		l.braces = l.braces[:len(l.braces)-1]
		if top == 'i' {
			return l.interpolated(interpM, interpR)
		}
	}
	return token{kind: keyword, text: l.source[l.at-1 : l.at]}
}

// attribute reads @name, or @[.
func (l *lexer) attribute() token {
	l.skip(1)
	if l.peek(0) == '[' {
		l.skip(1)
		return token{kind: keyword, text: "@["}
	}
	from := l.at
	if isLetter(l.peek(0)) {
		l.skipWhile(isWord)
	}
	return token{kind: attrName, text: l.source[from:l.at]}
}

// number reads what looks like a number. Whether it is one is for the parser to say.
func (l *lexer) number() token {
	from := l.at
	l.skip(1)
	l.skipWhile(func(b byte) bool { return isDigit(b) || b == '.' || b == '_' })
	if l.peek(0) == 'e' || l.peek(0) == 'E' {
		l.skip(1)
		if l.peek(0) == '+' || l.peek(0) == '-' {
			l.skip(1)
		}
	}
	l.skipWhile(isWord)
	return token{kind: number, text: l.source[from:l.at]}
}

func isSpace(c byte) bool  { return c == ' ' || c >= '\t' && c <= '\r' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isLetter(c byte) bool { return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func isWord(c byte) bool   { return isLetter(c) || isDigit(c) }
