package vet

import (
	"math"
	"strings"
	"unicode/utf8"

	"github.com/toolboxai/orchestrator/internal/roblox/luau"
)

const (
	minBlob    = 160 // bytes of base64 or hexadecimal digits in a row that are no word
	minControl = 8   // control characters in a text
	minBytes   = 64  // numbers from 0 to 255 in a table
	minEscapes = 3   // letters and digits that are written as numbers
)

// literal checks a constant text as it stands in the source.
func (c *checker) literal(s string, n luau.Expr) {
	if blob(s) || binary(s) {
		c.add("encoded-data", n.Span())
	}
	if lookAlike(s) {
		c.because("invisible-text", n.Span(), "a word mixes letters of two alphabets that look the same")
	}
	if escapedLetters(n.Span().Text(c.source)) >= minEscapes {
		c.add("escaped-text", n.Span())
	}
}

// joined checks a text that is put together of constants, where it is complete.
func (c *checker) joined(n *luau.BinaryExpr) {
	if where, _ := c.tree.use(n); n.Op != ".." {
		return
	} else if outer, ok := where.(*luau.BinaryExpr); ok && outer.Op == ".." {
		return
	}
	if s, ok := c.eval(n).constant(text); ok && blob(s.text) {
		c.add("encoded-data", n.Span())
	}
}

// blob reports whether a text has a long run without spaces that looks like base64 or hexadecimal data.
func blob(s string) bool {
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return r != '+' && r != '/' && r != '=' && r != '-' && r != '_' && !alphanumeric(r) }) {
		if len(word) >= minBlob && encoded(word) {
			return true
		}
	}
	return false
}

func alphanumeric(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

// encoded tells data from words that were written together: it has many digits, or changes its case all the time.
func encoded(word string) bool {
	digits, changes, letters := 0, 0, 0
	last := byte(0)
	distinct := map[byte]bool{}
	for i := range len(word) {
		b := word[i]
		distinct[b] = true
		switch {
		case b >= '0' && b <= '9':
			digits++
		case b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z':
			letters++
			if last != 0 && (b < 'a') != (last < 'a') {
				changes++
			}
			last = b
		}
	}
	return len(distinct) >= 10 && (digits*12 > len(word) || changes*6 > letters)
}

// binary reports whether a text is no text: it has many control characters, or bytes that are no UTF-8.
func binary(s string) bool {
	odd := 0
	for _, r := range s {
		if r < ' ' && r != '\n' && r != '\t' && r != '\r' || r == utf8.RuneError {
			odd++
		}
	}
	return odd >= minControl
}

// escapedLetters counts letters, digits and such in a literal that are written as numbers.
func escapedLetters(literal string) int {
	n := 0
	for i := 0; i+1 < len(literal); i++ {
		if literal[i] != '\\' {
			continue
		}
		i++
		code, ok := escape(literal[i:])
		if ok && code > ' ' && code < 0x7f {
			n++
		}
	}
	return n
}

// escape reads the number behind a backslash.
func escape(s string) (code int, ok bool) {
	var digits string
	base := 10
	switch {
	case s[0] == 'x' && len(s) > 2:
		base, digits = 16, s[1:3]
	case strings.HasPrefix(s, "u{"):
		base, digits = 16, s[2:]
	case s[0] >= '0' && s[0] <= '9':
		digits = s[:min(3, len(s))]
	default:
		return 0, false
	}
	for _, b := range []byte(digits) {
		d := strings.IndexByte("0123456789abcdef", b|0x20)
		if b >= '0' && b <= '9' {
			d = int(b - '0')
		}
		if d < 0 || d >= base || code > utf8.MaxRune {
			break
		}
		code, ok = code*base+d, true
	}
	return code, ok
}

// bytes checks a table for data: numbers of one byte each, or pieces of a long text.
func (c *checker) bytes(t *luau.TableExpr) {
	distinct := map[float64]bool{}
	var text strings.Builder
	numbers := 0
	for _, item := range t.Items {
		switch v := luau.Unparen(item.Value).(type) {
		case *luau.NumberExpr:
			if v.Value >= 0 && v.Value < 256 && v.Value == math.Trunc(v.Value) {
				numbers++
				distinct[v.Value] = true
			}
		case *luau.StringExpr:
			if text.Len() < maxText && item.Key == nil {
				text.WriteString(v.Value)
			}
		}
	}
	if c.chars && numbers >= minBytes && len(distinct) >= minBytes/2 || blob(text.String()) {
		c.add("encoded-data", t.Span())
	}
}
