package composer

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// maxAmount bounds how many of a thing a script makes or gives.
const maxAmount = 100

// gains are the words for what players gain, with the name that stands in their list.
var gains = []struct{ stem, name string }{
	{"point", "Points"}, {"score", "Score"}, {"star", "Stars"}, {"coin", "Coins"}, {"gem", "Gems"}, {"token", "Tokens"}, {"badge", "Badges"}, {"win", "Wins"},
}

// gain returns the name of what a request counts, or otherwise.
func gain(text, otherwise string) string {
	words := stems(text)
	for _, c := range gains {
		if slices.Contains(words, c.stem) {
			return c.name
		}
	}
	return otherwise
}

// amount returns how many of a thing a text names, such as 8 for "8 checkpoints" and "eight blue checkpoints"; 0 when it does not.
func amount(text string, things ...string) int {
	words := wordsOf(text)
	for i, w := range words {
		n := number(w)
		if n < 1 || n > maxAmount {
			continue
		}
		for _, next := range words[i+1 : min(i+3, len(words))] {
			if seconds("1 "+next) > 0 {
				break // a length of time
			}
			if stem := stems(next); len(stem) == 1 && slices.Contains(things, stem[0]) {
				return n
			}
		}
	}
	return 0
}

// number reads a whole number, in digits or as a word; 0 when it is none.
func number(word string) int {
	if n, err := strconv.Atoi(word); err == nil {
		return n
	}
	words := []string{"", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}
	if n := slices.Index(words, word); n > 0 {
		return n
	}
	return map[string]int{"twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30, "sixty": 60}[word]
}

func wordsOf(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}
