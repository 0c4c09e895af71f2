package vet

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// oddRune returns where a line has a character that is not seen, that turns the text round or that looks like the end of the line, or -1.
func oddRune(line string, firstLine bool) (int, string) {
	var before rune
	for i, r := range line {
		_, width := utf8.DecodeRuneInString(line[i:])
		next, _ := utf8.DecodeRuneInString(line[i+width:])
		switch {
		case r == utf8.RuneError:
		case r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069:
			return i, "a character turns the direction of the text round, so that it reads other than it runs"
		case r == '\r' || r == 0x2028 || r == 0x2029 || r == 0x85:
			return i, "an editor begins a new line here and Luau does not, so that a comment reads as code or code as a comment"
		case r == 0xfeff && i == 0 && firstLine: // byte order mark
		case joins(r):
			if before < 0x80 || next < 0x80 && next != 0 && r != 0xfe0f {
				return i, "a character without width stands between letters"
			}
		case unseen(r):
			return i, "a character is not seen"
		}
		before = r
	}
	return -1, ""
}

// joins reports whether a character without width belongs to the letters or emoji beside it: joiners, marks of direction, variation selectors.
func joins(r rune) bool {
	return r == 0x200c || r == 0x200d || r == 0x200e || r == 0x200f || r == 0x61c || r >= 0xfe00 && r <= 0xfe0f
}

// unseen reports whether a character takes no room or looks like a blank.
func unseen(r rune) bool {
	switch {
	case r >= 0x600 && r <= 0x605, r == 0x6dd, r == 0x70f, r >= 0x890 && r <= 0x891, r == 0x8e2, r == 0x110bd, r == 0x110cd:
		return false // signs of numbers and verses, which are seen
	case r == 0x34f, r == 0x115f, r == 0x1160, r == 0x17b4, r == 0x17b5, r == 0x3164, r == 0xffa0, r == 0x2800, r >= 0xe0000 && r <= 0xe0fff:
		return true
	}
	return unicode.Is(unicode.Cf, r)
}

// twins are the Cyrillic and Greek letters that look like Latin ones.
const twins = "аеорсухіјѕһԁԛԝАВЕКМНОРСТУХІЈЅΑΒΕΖΗΙΚΜΝΟΡΤΥΧονρ"

// lookAlike reports whether a word of a text has Latin letters and twins of them.
func lookAlike(s string) bool {
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsLetter(r) }) {
		latin, twin := false, false
		for _, r := range word {
			latin = latin || r < 0x80
			twin = twin || r >= 0x80 && strings.ContainsRune(twins, r)
		}
		if latin && twin {
			return true
		}
	}
	return false
}

// fullWidth reports whether a text has letters of double width, which are other letters than those they look like.
func fullWidth(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r >= 0xff21 && r <= 0xff5a })
}
