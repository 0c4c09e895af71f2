package composer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// matchSize is how many terms one question matches with their meanings.
const matchSize = 4

func (m *mix) matching(want wants, seed *rand.Rand) []*candidate {
	order := ranked(len(m.subject.Terms), seed, func(i int) int { return m.subject.Terms[i].fit(want, m.wish.Grade) })
	var out []*candidate
	for round := range 3 { // each round joins every term with others that are farther down the order
		for at := range order {
			var group []term
			var of []int
			fit := 0
			for step := range matchSize {
				n := order[(at+step*(round+1))%len(order)]
				t := m.subject.Terms[n]
				group, of, fit = append(group, t), append(of, n), fit+t.fit(want, m.wish.Grade)
			}
			out = append(out, &candidate{
				key: fmt.Sprint("terms ", at/matchSize), of: of, fit: fit / matchSize, make: func() item { return m.match(group) },
			})
		}
	}
	return out
}

func (m *mix) match(group []term) item {
	made := item{Type: "matching", Options: []option{}, Hints: m.hints("Begin with the term that you know best.", firstLetterOf(group[0]))}
	var names, partners []string
	for i, t := range group {
		names, partners = append(names, t.Term), append(partners, t.Means)
		made.Options = append(made.Options, option{ID: string(rune('a' + i)), Text: t.Term, IsCorrect: true, Explanation: definition(t)})
	}
	made.Text = "Match each term with its meaning: " + strings.Join(names, ", ") + "."
	made.CorrectAnswer = partners
	made.Explanation = clip("Each term has one meaning. "+definition(group[0]), 600)
	return made
}

func firstLetterOf(t term) string {
	words := strings.Fields(t.Means)
	return clip(fmt.Sprintf("The meaning of “%s” begins with “%s”.", t.Term, strings.Join(first(words, 3), " ")), 200)
}

func (m *mix) ordering(want wants, seed *rand.Rand) []*candidate {
	var out []*candidate
	for i, s := range m.subject.Sequences {
		key, fit := fmt.Sprint("sequence ", i), s.fit(want, m.wish.Grade)
		for size := min(len(s.Items), 6); size >= 3; size-- {
			all := parts(len(s.Items), size)
			seed.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			for _, part := range first(all, maxParts) {
				items := make([]string, size)
				for j, at := range part {
					items[j] = s.Items[at]
				}
				out = append(out, &candidate{
					key: key, fit: fit - (min(len(s.Items), 6) - size), make: func() item { return m.arrange(s, items) },
				})
			}
		}
	}
	return out
}

// maxParts bounds how many parts of one size are taken from a sequence.
const maxParts = 40

// parts yields the ways to take size of n things in their order.
func parts(n, size int) [][]int {
	var out [][]int
	var walk func(from int, taken []int)
	walk = func(from int, taken []int) {
		if len(taken) == size {
			out = append(out, slices.Clone(taken))
			return
		}
		for i := from; i <= n-(size-len(taken)); i++ {
			walk(i+1, append(taken, i))
		}
	}
	walk(0, nil)
	return out
}

func (m *mix) arrange(s sequence, items []string) item {
	shown := shuffled(m.wish.Seed+strings.Join(items, ";"), items)
	if slices.Equal(shown, items) {
		slices.Reverse(shown)
	}
	made := item{
		Type: "ordering", Text: fmt.Sprintf("Put in order – %s: %s.", s.Order, strings.Join(shown, "; ")), CorrectAnswer: items,
		Explanation: "The right order is: " + strings.Join(items, "; ") + ".",
		Hints:       m.hints(clip(fmt.Sprintf("“%s” comes before “%s”.", items[0], items[len(items)-1]), 200), clip(fmt.Sprintf("It begins with “%s”.", items[0]), 200)),
	}
	for i, text := range shown {
		made.Options = append(made.Options, option{ID: string(rune('a' + i)), Text: text, IsCorrect: true})
	}
	return made
}
