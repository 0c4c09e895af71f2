package vet

import (
	"strings"
	"unicode"
)

// latin are the letters that twins look like, in their order.
const latin = "aeopcyxijshdqw" + "ABEKMHOPCTYXIJS" + "ABEZHIKMNOPTYXovp"

// latinOf is the Latin letter for each twin.
var latinOf = func() map[rune]rune {
	m, i := map[rune]rune{}, 0
	for _, r := range twins {
		m[r] = rune(latin[i])
		i++
	}
	return m
}()

// Visible returns a text as it may stand in a string or a comment of a script: letters of another alphabet that look like Latin ones are
// those in a word that has Latin ones too, letters of double width have a single one, and what is not seen or turns the text round is left
// out. A text in any one alphabet stays as it is, but for joiners without width.
func Visible(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 0xff01 && r <= 0xff5e:
			return r - 0xff01 + '!'
		case r == 0x2028, r == 0x2029, r == 0x85, r == '\r':
			return '\n'
		case unicode.Is(unicode.Cf, r), unseen(r), joins(r), r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, s)
	var b strings.Builder
	for s != "" {
		end := strings.IndexFunc(s, func(r rune) bool { return !unicode.IsLetter(r) })
		if end < 0 {
			end = len(s)
		}
		word := s[:end]
		if lookAlike(word) {
			word = strings.Map(func(r rune) rune {
				if l, ok := latinOf[r]; ok {
					return l
				}
				return r
			}, word)
		}
		b.WriteString(word)
		s = s[end:]
		end = strings.IndexFunc(s, unicode.IsLetter)
		if end < 0 {
			end = len(s)
		}
		b.WriteString(s[:end])
		s = s[end:]
	}
	return b.String()
}
