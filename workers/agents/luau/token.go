// Package luau reads and writes Luau, Roblox's dialect of Lua, as far as the agents need it: it splits source text into
// tokens, finds out whether blocks and brackets are closed and whether something dangerous is named, and quotes text.
//
// It is no parser: what it accepts may still be refused by Roblox. What it refuses never runs there, or should not.
package luau

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Kind is the kind of a token.
type Kind uint8

// The kinds of tokens. Comments are left out.
const (
	Name Kind = iota + 1 // identifiers and keywords
	Number
	String // Text is what stands between the quotes, escapes as written
	Symbol // one operator or bracket, such as "(" or "+="
)

// Token is one token of source text.
type Token struct {
	Kind Kind
	Text string
	Line int // from 1
}

// Problem is something wrong with source text.
type Problem struct {
	Line   int
	Reason string
}

func (p Problem) String() string { return fmt.Sprintf("line %d: %s", p.Line, p.Reason) }

// Tokens splits code. It stops at the first thing that is no token, such as a string that does not end.
func Tokens(code string) ([]Token, *Problem) {
	s := &scanner{code: code, line: 1}
	s.scan(false)
	return s.tokens, s.problem
}

type scanner struct {
	code    string
	at      int
	line    int
	depth   int // of interpolated strings
	tokens  []Token
	problem *Problem
}

// maxDepth bounds how deep interpolated strings nest.
const maxDepth = 16

// symbols of several characters, longest first.
var symbols = []string{"...", "..=", "//=", "==", "~=", "<=", ">=", "..", "//", "+=", "-=", "*=", "/=", "%=", "^=", "->", "::"}

func (s *scanner) fail(line int, format string, args ...any) {
	if s.problem == nil {
		s.problem = &Problem{line, fmt.Sprintf(format, args...)}
	}
	s.at = len(s.code)
}

func (s *scanner) add(kind Kind, text string, line int) {
	s.tokens = append(s.tokens, Token{kind, text, line})
}

func (s *scanner) rest() string { return s.code[s.at:] }

// scan reads tokens to the end of the code or, within an interpolated string, to the brace that ends the expression.
func (s *scanner) scan(inString bool) {
	braces := 0
	for s.at < len(s.code) {
		c := s.code[s.at]
		switch {
		case c == '\n':
			s.line++
			s.at++
		case c == ' ' || c == '\t' || c == '\r':
			s.at++
		case strings.HasPrefix(s.rest(), "--"):
			s.comment()
		case c == '"' || c == '\'':
			s.quoted(c)
		case c == '`':
			s.interpolated()
		case c == '[' && longLevel(s.rest()) >= 0:
			line := s.line
			if text, ok := s.long(); ok {
				s.add(String, text, line)
			}
		case isDigit(c) || c == '.' && s.at+1 < len(s.code) && isDigit(s.code[s.at+1]):
			s.number()
		case isLetter(c):
			start := s.at
			for s.at < len(s.code) && (isLetter(s.code[s.at]) || isDigit(s.code[s.at])) {
				s.at++
			}
			s.add(Name, s.code[start:s.at], s.line)
		default:
			if inString && c == '}' && braces == 0 {
				return
			}
			switch c {
			case '{':
				braces++
			case '}':
				braces--
			}
			s.symbol()
		}
	}
}

func (s *scanner) symbol() {
	for _, text := range symbols {
		if strings.HasPrefix(s.rest(), text) {
			s.add(Symbol, text, s.line)
			s.at += len(text)
			return
		}
	}
	if c := s.code[s.at]; strings.IndexByte("+-*/%^#<>=(){}[];:,.?|&@!", c) < 0 {
		r, _ := utf8.DecodeRuneInString(s.rest())
		s.fail(s.line, "%q is no part of Luau", r)
		return
	}
	s.add(Symbol, s.code[s.at:s.at+1], s.line)
	s.at++
}

func (s *scanner) comment() {
	s.at += 2
	if longLevel(s.rest()) >= 0 {
		s.long()
		return
	}
	for s.at < len(s.code) && s.code[s.at] != '\n' {
		s.at++
	}
}

// longLevel returns how many = stand in the long bracket that text begins with, or -1 when it begins with none.
func longLevel(text string) int {
	if text == "" || text[0] != '[' {
		return -1
	}
	n := 1
	for n < len(text) && text[n] == '=' {
		n++
	}
	if n < len(text) && text[n] == '[' {
		return n - 1
	}
	return -1
}

func (s *scanner) long() (string, bool) {
	line, level := s.line, longLevel(s.rest())
	closing := "]" + strings.Repeat("=", level) + "]"
	body := s.rest()[level+2:]
	end := strings.Index(body, closing)
	if end < 0 {
		s.fail(line, "a long string or comment does not end")
		return "", false
	}
	s.line += strings.Count(body[:end], "\n")
	s.at += level + 2 + end + len(closing)
	return body[:end], true
}

func (s *scanner) quoted(quote byte) {
	line, start := s.line, s.at+1
	for s.at++; s.at < len(s.code); s.at++ {
		switch s.code[s.at] {
		case quote:
			s.add(String, s.code[start:s.at], line)
			s.at++
			return
		case '\n':
			s.fail(line, "a string does not end on its line")
			return
		case '\\':
			s.escape()
		}
	}
	s.fail(line, "a string does not end")
}

// escape skips the character behind a backslash. A line break may stand there, and behind \z any white space.
func (s *scanner) escape() {
	s.at++
	if s.at >= len(s.code) {
		return
	}
	switch s.code[s.at] {
	case '\n':
		s.line++
	case 'z':
		for s.at+1 < len(s.code) && strings.IndexByte(" \t\r\n", s.code[s.at+1]) >= 0 {
			s.at++
			if s.code[s.at] == '\n' {
				s.line++
			}
		}
	}
}

// interpolated reads a string in backticks. The expressions in its braces are tokens of the code.
func (s *scanner) interpolated() {
	line, start := s.line, s.at+1
	if s.depth++; s.depth > maxDepth {
		s.fail(line, "interpolated strings nest too deep")
		return
	}
	defer func() { s.depth-- }()
	for s.at++; s.at < len(s.code); s.at++ {
		switch s.code[s.at] {
		case '`':
			s.add(String, s.code[start:s.at], line)
			s.at++
			return
		case '\n':
			s.fail(line, "a string does not end on its line")
			return
		case '\\':
			s.escape()
		case '{':
			s.add(String, s.code[start:s.at], line)
			s.add(Symbol, "{", s.line)
			s.at++
			s.scan(true)
			if s.at >= len(s.code) {
				s.fail(line, "an expression in a string does not end")
				return
			}
			s.add(Symbol, "}", s.line)
			start = s.at + 1
		}
	}
	s.fail(line, "a string does not end")
}

func (s *scanner) number() {
	start := s.at
	hex := strings.HasPrefix(s.rest(), "0x") || strings.HasPrefix(s.rest(), "0X")
	for s.at < len(s.code) {
		c := s.code[s.at]
		exponent := !hex && (c == '+' || c == '-') && s.at > start && (s.code[s.at-1] == 'e' || s.code[s.at-1] == 'E')
		if c == '.' && strings.HasPrefix(s.rest(), "..") || !isDigit(c) && !isLetter(c) && c != '.' && !exponent {
			break
		}
		s.at++
	}
	s.add(Number, s.code[start:s.at], s.line)
}

func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isLetter(c byte) bool { return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
