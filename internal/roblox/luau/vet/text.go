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
	for i, r := range line {
		if unicode.IsSpace(r) || r == 0x2800 {
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

// comments checks the directives of a file that parses.
func (c *checker) comments(list []luau.CommentNode) {
	for _, n := range list {
		c.behindComment(n)
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

// behindComment looks for code that stands on a line behind so much of a comment that a reader does not see it.
func (c *checker) behindComment(n luau.CommentNode) {
	end := n.Span.End
	onLine := c.source[max(end.Offset-end.Column+1, n.Span.Start.Offset):end.Offset]
	if len(onLine) < maxBlank || utf8.RuneCountInString(onLine) < maxBlank {
		return
	}
	for _, r := range c.source[end.Offset:] {
		switch {
		case r == '\n' || r == '-':
			return
		case !unicode.IsSpace(r):
			c.because("hidden-code", luau.Span{Start: end, End: end}, "code stands behind so long a comment that a reader does not see it")
			return
		}
	}
}
