package quality

import (
	"iter"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	fencedCode = regexp.MustCompile("(?ms)^[ \t]*```.*?(?:^[ \t]*```[ \t]*$|\\z)")
	inlineCode = regexp.MustCompile("`[^`\n]*`")
	markup     = regexp.MustCompile(`\*\*|__|[*~|>]|^#+`)
	listMarker = regexp.MustCompile(`^(?:[-+•]|\d{1,3}[.)])\s+`)
	gap        = regexp.MustCompile(`_{3,}`)
	forTeacher = regexp.MustCompile(`\[[^\[\]\n]{4,}\]`)
)

// sentences yields the sentences of a text in Markdown. A list item, a line of a table and a paragraph each end one; a line break
// within a paragraph does not. Headings, what stands in square brackets for a teacher to fill in, and lines of one or two words without an end, are no sentences.
func sentences(text string) iter.Seq[string] {
	text = forTeacher.ReplaceAllString(inlineCode.ReplaceAllString(fencedCode.ReplaceAllString(text, "\n\n"), " "), " ")
	return func(yield func(string) bool) {
		var block strings.Builder
		flush := func() bool {
			ok := split(block.String(), yield)
			block.Reset()
			return ok
		}
		for line := range strings.SplitSeq(text, "\n") {
			line = strings.TrimSpace(line)
			heading, table := strings.HasPrefix(line, "#"), strings.HasPrefix(line, "|")
			item := listMarker.MatchString(line)
			if (line == "" || heading || table || item) && !flush() {
				return
			}
			if heading {
				continue
			}
			line = listMarker.ReplaceAllString(line, "")
			line = gap.ReplaceAllString(markup.ReplaceAllString(line, " "), "something")
			block.WriteString(line + " ")
		}
		flush()
	}
}

// split yields the sentences of one block.
func split(block string, yield func(string) bool) bool {
	const least = 3 // words of a sentence without an end
	start := 0
	for i, r := range block {
		if !ends(block, i, r) {
			continue
		}
		if s := strings.TrimSpace(block[start : i+utf8.RuneLen(r)]); len(wordsOf(s)) > 0 && !yield(s) {
			return false
		}
		start = i + utf8.RuneLen(r)
	}
	if s := strings.TrimSpace(block[start:]); len(wordsOf(s)) >= least {
		return yield(s)
	}
	return true
}

// abbreviations whose full stop ends no sentence.
const abbreviations = " mr mrs ms dr st vs etc e.g i.e no fig approx prof jr sr u.s u.k a.m p.m "

// ends reports whether the character at i ends a sentence.
func ends(block string, i int, r rune) bool {
	switch r {
	case '!', '?', '…', '。', '！', '？':
	case '.':
		word := strings.ToLower(strings.TrimLeft(block[strings.LastIndexAny(block[:i], " \t\n")+1:i], "(“\"'‘["))
		if strings.Contains(abbreviations, " "+word+" ") || len(word) == 1 && unicode.IsLetter(rune(word[0])) && word != "i" {
			return false
		}
	case ';':
		return true
	default:
		return false
	}
	next, _ := utf8.DecodeRuneInString(block[i+utf8.RuneLen(r):])
	return next == utf8.RuneError || unicode.IsSpace(next) || unicode.In(next, unicode.Quotation_Mark, unicode.Pe, unicode.Pf) || r > unicode.MaxLatin1
}
