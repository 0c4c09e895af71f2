package composer

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// plainWords are words of a request that ask for nothing in particular.
var plainWords = stems(`add again another any anybody anyone appear avatar away back become begin build can cause character child children class
	classroom click client close code come could count create doing done each easy else end ever every everybody everyone everything far few finish
	first friend fun game get gets getting give given gives go goes going good group happen have having hit jump keep kid kind last lesson let like
	little local long look made make making map many maybe module more move must near need new next nice nobody number object only open over own part
	place play player please press put reach real roblox run same say school screen script see seen server set should show shown simple small some
	somebody someone something stand start started stay step stop student studio subject take takes taken team tell text their theirs then time times touch touched until user very
	wait walk walks want when whenever where while whole word world worth would second seconds minute minutes hour hours`)

var camel = regexp.MustCompile(`\p{Lu}?\p{Ll}+|\p{Lu}+|\p{N}+`)

// leftover returns the words of a request, as they are written, that a script made by the recipe has nothing of: what it does not do.
// code is the script without the comment that repeats the request, topics what the questions in it are about.
func (r recipe) leftover(request, code, topics string) (left []string, done int) {
	known := append(stems(r.about+" "+strings.Join(r.parts, " ")+" "+topics+" "+strings.Join(camel.FindAllString(code, -1), " ")), r.words...)
	for _, word := range strings.FieldsFunc(request, func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) }) {
		stem := stems(word)
		switch {
		case len(stem) == 0 || slices.Contains(plainWords, stem[0]) || number(strings.ToLower(word)) > 0 || slices.Contains(left, word):
		case slices.ContainsFunc(known, func(k string) bool { return akin(k, stem[0]) }):
			done++
		default:
			left = append(left, word)
		}
	}
	return left, done
}

// akin reports whether two stems are forms of one word, such as "open" and "opens", "clos" and "closed".
func akin(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	return a == b || len(a) >= 3 && len(b)-len(a) <= 3 && strings.HasPrefix(b, strings.TrimSuffix(a, "e"))
}
