package quality

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Bounds of what Read rates, and of what Check lets pass.
const (
	// Tolerance is how many grades above the highest one of its class a text may read. The formula looks at lengths only, so a
	// lesson whose subject has long names ("photosynthesis", "denominator") reads two or three grades above what its
	// class understands: what the offline composer writes for the youngest reads like grade 2 to 5 where it is a lesson of 400 words, and
	// up to 6.9 where it is a batch of ten questions, which has 150 words of long names and short answers. Beyond 5 grades no such
	// excuse holds.
	Tolerance = 5
	// leastTop is the lowest grade that a text is held against: the formula was made for readers, and younger children are read to.
	leastTop = 2
	// leastRated is the number of words from which a text is rated at all, leastFailed that from which it may fail: below it one
	// long sentence moves the grade by more than the tolerance.
	leastRated  = 30
	leastFailed = 100
	// leastEnglish is the share of the words that must be among the most common ones of English. Plain English has 40 to 60 %,
	// lists of terms 25 %, other languages in Latin letters below 12 %.
	leastEnglish = 0.2
	maxQuote     = 80 // characters of a text that a detail repeats
)

// Reading says how hard a text is to read.
type Reading struct {
	Grade     float64  // school year of the United States, by Flesch and Kincaid; may be below 0
	Rated     bool     // false: Grade means nothing
	Why       string   // why it is not rated
	Words     int      // that have letters
	Sentences int      // list items and lines of tables count as sentences, headings do not count
	Longest   []string // the three longest sentences, at most 80 characters of each, the longest first
}

// Read rates a text in Markdown by the Flesch–Kincaid grade level: 0.39 × words per sentence + 11.8 × syllables per word − 15.59
// (Kincaid, Fishburne, Rogers and Chissom, "Derivation of New Readability Formulas for Navy Enlisted Personnel", 1975). Code is
// left out, and so are sentences that repeat one of the given texts: those are a teacher's words. Only English is rated.
func Read(text string, given ...string) Reading {
	var r Reading
	known := wordString(strings.Join(given, "\n"))
	syllables, common := 0, 0
	type sized struct {
		text  string
		words int
	}
	var all []sized
	for sentence := range sentences(text) {
		words := wordsOf(sentence)
		if len(words) == 0 || repeats(known, words) {
			continue
		}
		for _, w := range words {
			syllables += Syllables(w)
			if isCommon(w) {
				common++
			}
		}
		r.Words += len(words)
		all = append(all, sized{sentence, len(words)})
	}
	r.Sentences = len(all)
	slices.SortStableFunc(all, func(a, b sized) int { return cmp.Compare(b.words, a.words) })
	for _, s := range all[:min(3, len(all))] {
		r.Longest = append(r.Longest, quote(s.text))
	}
	switch {
	case r.Words < leastRated:
		r.Why = fmt.Sprintf("it has %d words, fewer than %d", r.Words, leastRated)
	case float64(common) < leastEnglish*float64(r.Words):
		r.Why = "it is not in English"
	default:
		r.Rated = true
		perSentence, perWord := float64(r.Words)/float64(r.Sentences), float64(syllables)/float64(r.Words)
		r.Grade = math.Round(10*(0.39*perSentence+11.8*perWord-15.59)) / 10
	}
	return r
}

// Fit returns how well a text suits a class whose highest grade is top: 1 up to that grade, a sixth less for each grade above it. Grades
// below 2 count as 2.
func (r Reading) Fit(top int) float64 {
	return min(max(1-(r.Grade-float64(max(top, leastTop)))/(Tolerance+1), 0), 1)
}

// Check returns a detail when the text is far too hard for a class whose highest grade is top: rated, of at least 100 words and more
// than Tolerance grades above. Grades below 2 count as 2.
func (r Reading) Check(field string, top int) []fault.Detail {
	top = max(top, leastTop)
	if !r.Rated || r.Words < leastFailed || r.Grade <= float64(top+Tolerance) {
		return nil
	}
	var longest strings.Builder
	for i, s := range r.Longest {
		fmt.Fprintf(&longest, " (%d) %q", i+1, s)
	}
	return []fault.Detail{{Field: field, Reason: fmt.Sprintf(
		"reads like grade %.1f (Flesch-Kincaid over %d words in %d sentences), must be at most %d: write shorter sentences and plainer words; the longest sentences are%s",
		r.Grade, r.Words, r.Sentences, top+Tolerance, longest.String())}}
}

// repeats reports whether a sentence stands in the known words, but for its last word, which may have been cut.
func repeats(known string, words []string) bool {
	joined := " " + strings.ToLower(strings.Join(words, " ")) + " "
	if strings.Contains(known, joined) {
		return true
	}
	return len(words) > 3 && strings.Contains(known, " "+strings.ToLower(strings.Join(words[:len(words)-1], " "))+" ")
}

func wordString(s string) string {
	return " " + strings.ToLower(strings.Join(wordsOf(s), " ")) + " "
}

// wordsOf returns the words of s that have letters, without what surrounds them.
func wordsOf(s string) []string {
	var out []string
	for word := range strings.FieldsFuncSeq(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r) && r != '\'' && r != '’'
	}) {
		word = strings.Trim(word, "'’")
		if strings.ContainsFunc(word, unicode.IsLetter) {
			out = append(out, word)
		}
	}
	return out
}

// quote returns s on one line and not longer than a detail may repeat.
func quote(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	r := []rune(s)
	if len(r) <= maxQuote {
		return s
	}
	return string(r[:maxQuote-1]) + "…"
}
