package lesson

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// spelling matches questions that are about how something is written: their options may differ in nothing else.
var spelling = regexp.MustCompile(`(?i)capital|punctuat|comma|apostrophe|spell|quotation|written|upper|lower|hyphen|space`)

// optionKey is equal for options that differ in case, white space and the marks at their end alone.
func optionKey(question, s string) string {
	if spelling.MatchString(question) {
		return s
	}
	return strings.ToLower(strings.Trim(strings.Join(strings.Fields(s), " "), ".,;:!? \"“”"))
}

// textKey is equal for questions that differ in case, white space and punctuation alone. What is calculated with stays.
func textKey(s string) string {
	if spelling.MatchString(s) {
		return s
	}
	key := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), unicode.IsMark(r), unicode.Is(unicode.Sm, r), strings.ContainsRune("-/*%^", r):
			return unicode.ToLower(r)
		}
		return -1
	}, s)
	if key == "" {
		return s
	}
	return key
}

// phrase returns the words of s in lower case, each between spaces.
func phrase(s string) string {
	return " " + strings.Join(strings.FieldsFunc(strings.ToLower(s), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
	}), " ") + " "
}

// telling reports whether s is a word that gives something away where it stands: it has four letters, or two of a script without spaces.
func telling(s string) bool {
	letters := 0
	for _, r := range s {
		if unicode.IsLetter(r) {
			letters++
			if unspaced(r) {
				letters++
			}
		}
	}
	return letters >= 4
}

// giveaways says where a question tells its own answer: a hint holds it, or the text beside its blank does. An answer that stands in the
// text of another type of question is no secret, nor is one that a hint names beside another option.
func (r *rules) giveaways(at string, q Question) {
	if q.Type != MultipleChoice && q.Type != FillBlank && q.Type != ShortAnswer {
		return
	}
	text := phrase(blanks.ReplaceAllString(q.Text, " "))
	for _, answer := range q.CorrectAnswer {
		key := phrase(answer)
		switch {
		case !telling(answer):
			continue
		case !strings.Contains(text, key):
		case q.Type == FillBlank:
			r.broken(at+".text", "holds its own answer, %q: a reader can copy it into the blank", Clip(answer, 80))
			continue
		default:
			continue
		}
		for i, hint := range q.Hints {
			if strings.Contains(phrase(hint), key) && !namesAnother(q, phrase(hint)) {
				r.broken(fmt.Sprintf("%s.hints[%d]", at, i), "gives the answer away: it holds %q; point to it in other words", Clip(answer, 80))
			}
		}
	}
}

func namesAnother(q Question, hint string) bool {
	return slices.ContainsFunc(q.Options, func(o Option) bool { return !o.IsCorrect && strings.Contains(hint, phrase(o.Text)) })
}
