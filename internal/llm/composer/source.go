package composer

import (
	"regexp"
	"strings"
)

// sourceLine is one line of source text.
type sourceLine struct {
	number  int    // from 1
	text    string // as written
	code    string // without comments, and with nothing but spaces between quotes; as long as text
	comment bool   // there is a comment on it
}

// indent is how far the line is from the left, in bytes.
func (l sourceLine) indent() int { return len(l.text) - len(strings.TrimLeft(l.text, " \t")) }

// blank reports whether there is no code on the line.
func (l sourceLine) blank() bool { return strings.TrimSpace(l.code) == "" }

// marks are how a language writes comments and texts over several lines.
type marks struct {
	line   string  // begins a comment up to the end of the line
	blocks []block // what goes over lines
	quotes string
}

// block is a comment or a text that may go over lines.
type block struct {
	from, to string
	comment  bool
}

func marksOf(language string) marks {
	switch language {
	case "javascript", "typescript":
		return marks{"//", []block{{"/*", "*/", true}, {"`", "`", false}}, `"'`}
	case "python":
		return marks{"#", []block{{`"""`, `"""`, true}, {"'''", "'''", true}}, `"'`}
	}
	return marks{"--", []block{{"--[[", "]]", true}, {"--[=[", "]=]", true}, {"[[", "]]", false}, {"[=[", "]=]", false}}, "\"'`"}
}

// sourceLines splits source text of a language.
func sourceLines(language, text string) []sourceLine {
	m := marksOf(language)
	var out []sourceLine
	var open *block
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		l := sourceLine{number: i + 1, text: line}
		l.code, l.comment, open = m.mask(line, open)
		out = append(out, l)
	}
	return out
}

// mask blanks what is no code on a line. open is the block that began on an earlier line and has not ended, or nil.
func (m marks) mask(line string, open *block) (code string, comment bool, still *block) {
	out := []byte(line)
	blank := func(from, to int) {
		for i := from; i < to; i++ {
			out[i] = ' '
		}
	}
	for i := 0; i < len(line); {
		rest := line[i:]
		if open == nil {
			if open = m.opens(rest); open != nil {
				blank(i, i+len(open.from))
				comment = comment || open.comment
				i += len(open.from)
				continue
			}
		}
		switch {
		case open != nil:
			comment = comment || open.comment
			end := strings.Index(rest, open.to)
			if end < 0 {
				blank(i, len(line))
				return string(out), comment, open
			}
			blank(i, i+end+len(open.to))
			i, open = i+end+len(open.to), nil
		case strings.HasPrefix(rest, m.line):
			blank(i, len(line))
			return string(out), true, nil
		case strings.IndexByte(m.quotes, line[i]) >= 0:
			end := closing(line, i)
			blank(i+1, end)
			i = end + 1
		default:
			i++
		}
	}
	return string(out), comment, open
}

func (m marks) opens(rest string) *block {
	for i := range m.blocks {
		if strings.HasPrefix(rest, m.blocks[i].from) {
			return &m.blocks[i]
		}
	}
	return nil
}

// closing returns where the text that is quoted at i ends on its line.
func closing(line string, i int) int {
	for j := i + 1; j < len(line); j++ {
		switch line[j] {
		case '\\':
			j++
		case line[i]:
			return j
		}
	}
	return len(line)
}

// function is one function in source text.
type function struct {
	name     string // "" for one without
	from, to int    // the numbers of its first and last line
}

var functionHeads = map[bool]*regexp.Regexp{
	true:  regexp.MustCompile(`^\s*(?:async\s+)?def\s+(\w+)`),
	false: regexp.MustCompile(`\bfunction\b\s*([\w.:]*)`),
}

// functions finds the functions by their indentation: one ends with the first line that stands no deeper than its head. Where the
// code is not indented it finds them shorter than they are.
func functions(language string, lines []sourceLine) []function {
	var out []function
	python := language == "python"
	for i, l := range lines {
		m := functionHeads[python].FindStringSubmatch(l.code)
		if m == nil {
			continue
		}
		f := function{m[1], l.number, l.number}
		if !python && closed(l.code) {
			out = append(out, f)
			continue
		}
		for _, next := range lines[i+1:] {
			if next.blank() {
				continue
			}
			if next.indent() <= l.indent() {
				if !python {
					f.to = next.number
				}
				break
			}
			f.to = next.number
		}
		out = append(out, f)
	}
	return out
}

var endWord = regexp.MustCompile(`\bend\b`)

// closed reports whether what a line opens ends on it.
func closed(code string) bool {
	if n := strings.Count(code, "{"); n > 0 {
		return n == strings.Count(code, "}")
	}
	return endWord.MatchString(code)
}
