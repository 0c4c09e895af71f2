package vet

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/toolboxai/orchestrator/internal/roblox/luau"
)

const (
	maxBlank      = 100  // spaces and tabs in a row before code
	maxLine       = 1000 // characters on a line
	maxBlankLines = 100  // empty lines in a row before code
)

// text checks the source as a reader sees it on a screen.
func (r *report) text(source string) {
	line, empty, offset := 0, 0, 0
	for text := range strings.Lines(source) {
		line++
		text = strings.TrimRight(text, "\r\n")
		at := func(column int) luau.Span {
			p := luau.Pos{Offset: offset + column, Line: line, Column: column + 1}
			return luau.Span{Start: p, End: luau.Pos{Offset: offset + len(text), Line: line, Column: len(text) + 1}}
		}
		if strings.TrimSpace(text) == "" {
			empty++
		} else {
			if empty >= maxBlankLines {
				r.because("hidden-code", at(0), "the code stands below so many empty lines that a reader does not see it")
			}
			empty = 0
		}
		if column := blankRun(text); column >= 0 {
			r.add("hidden-code", at(column))
		} else if utf8.RuneCountInString(text) > maxLine {
			r.because("hidden-code", at(maxLine), "the line is so long that a reader does not see its end")
		}
		if column := strings.IndexByte(text, 0); column >= 0 {
			r.because("hidden-code", at(column), "Luau stops reading at the zero byte, and other tools do not")
		}
		if column, why := oddRune(text, line == 1); column >= 0 {
			r.because("invisible-text", at(column), why)
		}
		offset += len(text) + 1
	}
}

// blankRun returns where code stands behind a long run of blanks, or -1.
func blankRun(line string) int {
	run := 0
	for i := range len(line) {
		if line[i] == ' ' || line[i] == '\t' {
			run++
			continue
		}
		if run >= maxBlank {
			return i
		}
		run = 0
	}
	return -1
}

// oddRune returns where a line has a character that is not seen, or that turns the text round, or -1.
func oddRune(line string, firstLine bool) (int, string) {
	var before rune
	for i, r := range line {
		_, width := utf8.DecodeRuneInString(line[i:])
		next, _ := utf8.DecodeRuneInString(line[i+width:])
		switch {
		case r == utf8.RuneError:
		case r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069:
			return i, "a character turns the direction of the text round, so that it reads other than it runs"
		case r == 0xfeff && i == 0 && firstLine: // byte order mark
		case r == 0x200c || r == 0x200d: // joins letters of some languages, and emoji
			if before < 0x80 || next < 0x80 && next != 0 {
				return i, "a character without width stands between letters"
			}
		case r == 0x200b || r == 0x2060 || r == 0xfeff || r == 0xad || r == 0x180e || r >= 0xe0000 && r <= 0xe0fff || r >= 0x2061 && r <= 0x2064 || r == 0x3164:
			return i, "a character is not seen"
		}
		before = r
	}
	return -1, ""
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

// comments checks the directives of a file that parses.
func (c *checker) comments(list []luau.CommentNode) {
	for _, n := range list {
		switch n.Directive() {
		case "nocheck":
			c.add("nocheck", n.Span)
		case "nolint":
			c.add("nolint", n.Span)
		}
	}
}

// directives looks for --!nocheck in a file that does not parse.
func (r *report) directives(source string) {
	line := 0
	for text := range strings.Lines(source) {
		line++
		if rest, ok := strings.CutPrefix(strings.TrimSpace(text), "--!nocheck"); ok && strings.TrimSpace(rest) == "" {
			p := luau.Pos{Line: line, Column: 1}
			r.add("nocheck", luau.Span{Start: p, End: p})
		}
	}
}
