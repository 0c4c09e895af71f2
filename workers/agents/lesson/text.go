package lesson

import (
	"strings"
	"unicode"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Clean returns s on one line: white space collapsed, control characters and other invisible ones removed.
func Clean(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r >= 0xe0000 && r <= 0xe0fff || r == 0x3164: // tags, variation selectors and a letter that is blank
			return -1
		case unicode.IsGraphic(r):
			return r
		}
		return -1
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// CleanAll cleans every string of a list and drops those that come to nothing.
func CleanAll(list []string) []string {
	out := make([]string, 0, len(list))
	for _, s := range list {
		if s = Clean(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// Required cleans a text that must say something, or returns an Invalid fault for its field.
func Required(field, s string) (string, error) {
	if s = Clean(s); s == "" {
		return "", fault.InvalidField(field, "is blank")
	}
	return s, nil
}

// Clip cuts s to at most n characters.
func Clip(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return strings.TrimSpace(string(r[:n-1])) + "…"
}

// idle words carry no subject matter: the small words of English, and the verbs that objectives begin with. Each stands between
// spaces.
const idle = " a an and are as at be by can do does for from has have how in into is it its of on or that the their them then there " +
	"these they this to was what when where which who why will with your you about after all also any between both each more most not " +
	"one other some such than through two up use used using via able analyze analyse apply classify compare create define demonstrate " +
	"describe design determine discuss evaluate examine explain explore find identify illustrate interpret introduce know learn list " +
	"make name outline recall recognize relate remember show solve state student students summarize tell understand understanding write "

// Words returns the words of s that carry subject matter, in lower case and cut to a stem of at most six letters, each once.
// Where a script puts no spaces between words, every two neighbouring characters count as one.
func Words(s string) []string {
	var out []string
	seen := map[string]bool{}
	add := func(word string) {
		if !seen[word] {
			seen[word] = true
			out = append(out, word)
		}
	}
	for word := range strings.FieldsFuncSeq(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		letters := []rune(word)
		switch {
		case unspaced(letters[0]):
			for i := range max(len(letters)-1, 1) {
				add(string(letters[i:min(i+2, len(letters))]))
			}
		case len(letters) >= 3 && !strings.Contains(idle, " "+word+" "):
			add(strings.TrimSuffix(string(letters[:min(len(letters), 6)]), "s"))
		}
	}
	return out
}

func unspaced(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
}

// Overlap returns which share of the words of s also stand in text, from 0 to 1. It is 1 when s has no such words.
func Overlap(s, text string) float64 {
	words := Words(s)
	if len(words) == 0 {
		return 1
	}
	there := map[string]bool{}
	for _, w := range Words(text) {
		there[w] = true
	}
	found := 0
	for _, w := range words {
		if there[w] {
			found++
		}
	}
	return float64(found) / float64(len(words))
}
