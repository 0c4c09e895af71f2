package vet

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/toolboxai/orchestrator/internal/roblox/luau"
)

const (
	minBlob    = 160 // bytes of base64 or hexadecimal digits in a row that are no word
	minPiece   = 32  // bytes of a line of such data
	minControl = 8   // control characters in a text
	minBytes   = 64  // numbers from 0 to 255 in a table
	minEscapes = 3   // letters and digits that are written as numbers
)

// literal checks a constant text as it stands in the source.
func (c *checker) literal(s string, n luau.Expr) {
	if blob(s) || binary(s) || byteList(s, c.chars) {
		c.add("encoded-data", n.Span())
	}
	if lookAlike(s) {
		c.because("invisible-text", n.Span(), "a word mixes letters of two alphabets that look the same")
	}
	escaped, letters := escapedLetters(n.Span().Text(c.source))
	if c.escapes += letters; escaped >= minEscapes || letters > 0 && c.escapes >= minEscapes {
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
	pieces := 0
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return r != '+' && r != '/' && r != '=' && r != '-' && r != '_' && !alphanumeric(r) }) {
		if len(word) >= minBlob && encoded(word) {
			return true
		}
		if len(word) >= minPiece && encoded(word) {
			pieces += len(word)
		}
	}
	return pieces >= minBlob || slices.ContainsFunc(strings.Fields(s), base85)
}

// base85 reports whether a word is data in letters, digits and punctuation: it has a great many of them, and many that neither JSON nor an address has.
func base85(word string) bool {
	if len(word) < minBlob || strings.Contains(word, "://") {
		return false
	}
	distinct, odd := map[rune]bool{}, map[rune]bool{}
	for _, r := range word {
		if r >= 0x7f {
			return false
		}
		distinct[r] = true
		if !alphanumeric(r) && !strings.ContainsRune("\"{}[]:,./_-=&?%", r) {
			odd[r] = true
		}
	}
	return len(distinct) >= 45 && len(odd) >= 8
}

// byteList reports whether a text is a list of bytes: pairs of hexadecimal digits, or decimal numbers where characters are made of numbers.
func byteList(s string, decimal bool) bool {
	bytes, hexadecimal := 0, false
	distinct := map[string]bool{}
	for _, token := range strings.FieldsFunc(s, func(r rune) bool { return !alphanumeric(r) }) {
		_, err := strconv.ParseUint(token, 16, 8)
		_, notDecimal := strconv.ParseUint(token, 10, 8)
		switch {
		case len(token) == 2 && err == nil:
			hexadecimal = hexadecimal || notDecimal != nil
		case decimal && notDecimal == nil:
		default:
			bytes, hexadecimal = 0, false
			clear(distinct)
			continue
		}
		bytes++
		distinct[token] = true
		if bytes >= minBytes && len(distinct) >= minBytes/4 && (decimal || hexadecimal) {
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

// escapedLetters counts letters, digits and such in a literal that are written as numbers, and the letters among them.
func escapedLetters(literal string) (all, letters int) {
	for i := 0; i+1 < len(literal); i++ {
		if literal[i] != '\\' {
			continue
		}
		i++
		code, ok := escape(literal[i:])
		if ok && code > ' ' && code < 0x7f {
			all++
			if alphanumeric(rune(code)) && code > '9' {
				letters++
			}
		}
	}
	return all, letters
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
