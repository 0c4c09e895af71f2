package luau

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// quoted reads a string in quotes.
func (l *lexer) quoted(quote byte) token {
	l.skip(1)
	from := l.at
	for {
		switch c := l.peek(0); c {
		case quote:
			l.skip(1)
			return token{kind: quoted, text: l.source[from : l.at-1]}
		case 0, '\r', '\n':
			return token{kind: broken, text: "a string that does not end on its line"}
		case '\\':
			l.escape()
		default:
			l.skip(1)
		}
	}
}

// interpolated reads a part of a string in backticks: to a brace, which makes it one of kind open, or to the backtick.
func (l *lexer) interpolated(open, closed kind) token {
	from := l.at
	for {
		switch l.peek(0) {
		case '`':
			l.skip(1)
			return token{kind: closed, text: l.source[from : l.at-1]}
		case 0, '\r', '\n':
			return token{kind: broken, text: "a string in backticks that does not end on its line"}
		case '\\':
			if l.peek(1) == 'u' && l.peek(2) == '{' {
				l.skip(3)
				continue
			}
			l.escape()
		case '{':
			l.braces = append(l.braces, 'i')
			l.skip(1)
			if l.peek(0) == '{' {
				l.skip(1)
				return token{kind: broken, text: `two braces in a string in backticks; write \{ for a brace`}
			}
			return token{kind: open, text: l.source[from : l.at-1]}
		default:
			l.skip(1)
		}
	}
}

// escape goes over a backslash and what belongs to it, as far as that matters for where the string ends.
func (l *lexer) escape() {
	l.skip(1)
	switch l.peek(0) {
	case 0:
	case '\r':
		l.skip(1)
		if l.peek(0) == '\n' {
			l.skipAny()
		}
	case 'z':
		l.skip(1)
		for isSpace(l.peek(0)) {
			l.skipAny()
		}
	default:
		l.skipAny()
	}
}

// unescape decodes the escapes of a string in quotes or backticks.
func unescape(s string) (string, bool) {
	if !strings.Contains(s, `\`) {
		return s, true
	}
	out := make([]byte, 0, len(s))
	for s != "" {
		end := strings.IndexByte(s, '\\')
		if end < 0 {
			end = len(s)
		}
		out = append(out, s[:end]...)
		if s = s[end:]; s == "" {
			break
		}
		var ok bool
		if out, s, ok = unescapeOne(out, s[1:]); !ok {
			return "", false
		}
	}
	return string(out), true
}

// unescapeOne appends what the escape means whose backslash stood before s, and returns what follows it.
func unescapeOne(out []byte, s string) ([]byte, string, bool) {
	if s == "" {
		return nil, "", false
	}
	c, rest := s[0], s[1:]
	switch {
	case c == '\r':
		return append(out, '\n'), strings.TrimPrefix(rest, "\n"), true
	case c == 'x':
		if len(rest) < 2 {
			return nil, "", false
		}
		code, err := strconv.ParseUint(rest[:2], 16, 8)
		return append(out, byte(code)), rest[2:], err == nil
	case c == 'z':
		return out, strings.TrimLeft(rest, " \t\n\v\f\r"), true
	case c == 'u':
		return unescapeUnicode(out, rest)
	case isDigit(c):
		n := 1
		for n < 3 && n < len(s) && isDigit(s[n]) {
			n++
		}
		code, err := strconv.ParseUint(s[:n], 10, 8)
		return append(out, byte(code)), s[n:], err == nil
	}
	if i := strings.IndexByte("abfnrtv", c); i >= 0 {
		c = "\a\b\f\n\r\t\v"[i]
	}
	return append(out, c), rest, true
}

// unescapeUnicode reads {…} with 1 to 16 hexadecimal digits. As in the compiler, only the lowest 32 bits count, and halves of surrogate pairs are
// encoded like other characters.
func unescapeUnicode(out []byte, s string) ([]byte, string, bool) {
	end := strings.IndexByte(s, '}')
	if !strings.HasPrefix(s, "{") || end < 2 || end > 17 {
		return nil, "", false
	}
	wide, err := strconv.ParseUint(s[1:end], 16, 64)
	code := rune(uint32(wide)) //nolint:gosec // wraps as in the compiler
	if err != nil || code < 0 || code > utf8.MaxRune {
		return nil, "", false
	}
	if code >= 0xD800 && code <= 0xDFFF {
		return append(out, 0xE0|byte(code>>12), 0x80|byte(code>>6&0x3F), 0x80|byte(code&0x3F)), s[end+1:], true
	}
	return utf8.AppendRune(out, code), s[end+1:], true
}

// unfold returns what a string in long brackets means: without its first line break, and with "\n" for each "\r\n".
func unfold(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return strings.TrimPrefix(s, "\n")
}

// numberValue returns the value of a number as it is written, and false when it is malformed.
func numberValue(text string) (float64, bool) {
	text = strings.ReplaceAll(text, "_", "")
	if len(text) > 2 && text[0] == '0' {
		switch text[1] | ' ' {
		case 'x':
			return wholeNumber(text[2:], 16)
		case 'b':
			return wholeNumber(text[2:], 2)
		}
	}
	if strings.IndexFunc(text, func(r rune) bool { return !strings.ContainsRune("0123456789.eE+-", r) }) >= 0 {
		return 0, false
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil && !isRange(err) {
		return 0, false
	}
	return v, true
}

// wholeNumber reads digits of a base. What needs more than 64 bits is as large as these can say.
func wholeNumber(digits string, base int) (float64, bool) {
	for _, c := range digits {
		if _, err := strconv.ParseUint(string(c), base, 8); err != nil {
			return 0, false
		}
	}
	v, _ := strconv.ParseUint(digits, base, 64) // the largest when it is out of range
	return float64(v), true
}

func isRange(err error) bool { return errors.Is(err, strconv.ErrRange) }
