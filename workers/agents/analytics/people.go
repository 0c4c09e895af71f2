package analytics

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// people knows who is in the records, and under which pseudonym a model reads of them.
type people struct {
	noun   string   // "student" or "player"
	ids    []string // by number, from 0: how the records call them, for tables
	of     []int    // by record: the number of its person, -1 for none
	hidden []alias  // longest first
}

// alias is a text that says who somebody is.
type alias struct {
	text, lower string
	exact       bool // with these capitals only: a short name may be a word of the language
	pseudonym   string
}

// newPeople reads the fields that say who somebody is. Of several, the first in alphabetical order tells people apart, ids first.
func newPeople(noun string, columns []column, records int) *people {
	p := &people{noun: noun, of: make([]int, records)}
	var own, others []column
	for _, c := range columns {
		switch c.role {
		case student:
			own = append(own, c)
		case adult:
			others = append(others, c)
		}
	}
	slices.SortStableFunc(own, func(a, b column) int { return cmp.Compare(rank(a.name), rank(b.name)) })
	numbers, seen := map[string]int{}, map[string]bool{}
	add := func(text, pseudonym string) {
		for _, a := range aliasesOf(text, pseudonym) {
			if !seen[a.text] {
				seen[a.text] = true
				p.hidden = append(p.hidden, a)
			}
		}
	}
	for i := range records {
		p.of[i] = -1
		for _, c := range own {
			text := c.values[i].text
			if text == "" {
				continue
			}
			if p.of[i] < 0 {
				n, known := numbers[text]
				if !known {
					n = len(p.ids)
					numbers[text] = n
					p.ids = append(p.ids, text)
				}
				p.of[i] = n
			}
			add(text, p.pseudonym(p.of[i]))
		}
		for _, c := range others {
			add(c.values[i].text, "a person")
		}
	}
	slices.SortStableFunc(p.hidden, func(a, b alias) int { return cmp.Compare(len(b.text), len(a.text)) })
	return p
}

func rank(name string) int {
	if strings.HasSuffix(strings.ToLower(name), "id") {
		return 0
	}
	return 1
}

// pseudonym is what a model reads instead of a person's name or id.
func (p *people) pseudonym(n int) string { return fmt.Sprintf("%s %d", p.noun, n+1) }

// aliasesOf returns a name or id, and the parts of a name.
func aliasesOf(text, pseudonym string) []alias {
	letters, digits := 0, 0
	for _, r := range text {
		switch {
		case unicode.IsLetter(r):
			letters++
		case unicode.IsDigit(r):
			digits++
		}
	}
	if letters == 0 && digits < 5 || letters+digits < 2 { // "7" is no name, and stands in every text
		return nil
	}
	out := []alias{newAlias(text, pseudonym)}
	if letters == 0 {
		return out
	}
	if parts := strings.Fields(text); len(parts) > 1 {
		for _, part := range parts {
			if part = strings.Trim(part, ".,;'\"()"); utf8.RuneCountInString(part) >= 3 {
				a := newAlias(part, pseudonym)
				a.exact = true
				out = append(out, a)
			}
		}
	}
	return out
}

func newAlias(text, pseudonym string) alias {
	return alias{text: text, lower: strings.ToLower(text), exact: utf8.RuneCountInString(text) <= 3, pseudonym: pseudonym}
}

// hide puts pseudonyms in the place of people in a text that leaves for a model.
func (p *people) hide(text string) string {
	for _, a := range p.hidden {
		text = a.replace(text)
	}
	return text
}

func (a alias) replace(text string) string {
	// Lower case may have another length in some scripts; then only the exact spelling is found.
	haystack, needle := text, a.text
	if lower := strings.ToLower(text); !a.exact && len(lower) == len(text) && len(a.lower) == len(a.text) {
		haystack, needle = lower, a.lower
	}
	var b strings.Builder
	from := 0
	for {
		i := strings.Index(haystack[from:], needle)
		if i < 0 {
			break
		}
		i += from
		end := i + len(needle)
		before, _ := utf8.DecodeLastRuneInString(haystack[:i])
		after, _ := utf8.DecodeRuneInString(haystack[end:])
		first, _ := utf8.DecodeRuneInString(needle)
		last, _ := utf8.DecodeLastRuneInString(needle)
		if joined(before, first) || joined(last, after) {
			b.WriteString(text[from:end])
		} else {
			b.WriteString(text[from:i] + a.pseudonym)
		}
		from = end
	}
	if from == 0 {
		return text
	}
	return b.String() + text[from:]
}

// joined reports whether two characters belong to one word. Scripts that are written without spaces have no such thing.
func joined(a, b rune) bool {
	inWord := func(r rune) bool {
		return (unicode.IsLetter(r) || unicode.IsDigit(r)) && !unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Thai)
	}
	return inWord(a) && inWord(b)
}
