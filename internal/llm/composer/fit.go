package composer

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strings"
	"unicode"
)

// grades is a range of grades, K is 0. The zero value with any set stands for all.
type grades struct {
	From int `json:"from"`
	To   int `json:"to"`
}

// objective is what students are to learn.
type objective struct {
	Title       string `json:"title"`
	Description string `json:"description"`
	BloomLevel  string `json:"bloom_level"`
}

func (o objective) text() string {
	if o.Description == "" {
		return o.Title
	}
	return o.Title + ": " + o.Description
}

// small words say nothing about the topic of an objective. Each stands between spaces.
const small = " a able about after all also an and any are as at basic be before between both by can describe different do does each " +
	"explain find for from give has have how identify important in into is it its know learn make makes mean means more most name not " +
	"of on one or other our part parts people some student students such than that the their them there these they thing things this " +
	"three to two understand understanding up use used uses using was what when where which who why will with work works world write " +
	"you your "

// stems returns the words of s that say what it is about: in lower case, at most six letters of each, without the s of a
// plural.
func stems(s string) []string {
	var out []string
	for word := range strings.FieldsFuncSeq(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		letters := []rune(strings.TrimSuffix(word, "s"))
		if len(letters) < 2 || strings.Contains(small, " "+word+" ") {
			continue
		}
		if stem := string(letters[:min(len(letters), 6)]); !slices.Contains(out, stem) {
			out = append(out, stem)
		}
	}
	return out
}

// wants holds the stems of a topic with the weight of each.
type wants map[string]int

// wanted returns the stems of a text. Those that much of the subject is about weigh less than telling ones.
func (s *subject) wanted(text string) wants {
	w := wants{}
	for _, stem := range stems(text) {
		w[stem] = 2
		if s.common[stem] {
			w[stem] = 1
		}
	}
	return w
}

// relevance says how much an entry has to do with what is wanted: 0 for nothing. An entry on another topic that happens to hold a word of it,
// as one on mummies holds "life", has nothing to do with life in the trenches: such words count where they are most of what is wanted.
func (m mark) relevance(w wants) int {
	n, said, on := 0, 0, false
	for _, stem := range m.topics {
		n += 3 * w[stem]
		on = on || w[stem] > 0
	}
	for _, stem := range m.words {
		if n += 2 * w[stem]; w[stem] > 0 {
			said++
		}
	}
	if !on && 2*said <= len(w) {
		return 0
	}
	return n
}

// distance says how many grades lie between an entry and those that are wanted; nil wants any.
func (m mark) distance(g *grades) int {
	if g == nil {
		return 0
	}
	return max(m.from-g.To, g.From-m.to, 0)
}

// related is what an entry gains by having anything to do with what is wanted, in fit.
const related = 15

// fit ranks an entry: relevance first, as long as its grades are not far off.
func (m mark) fit(want wants, g *grades) int {
	fit := m.relevance(want) - 3*m.distance(g)
	if m.relevance(want) > 0 {
		fit += related
	}
	return fit
}

// ranked returns the numbers from 0 to n-1, those with the best fit first and equals in an order that seed shuffles.
func ranked(n int, seed *rand.Rand, fit func(i int) int) []int {
	order := seed.Perm(n)
	scores := make([]int, n)
	for i := range scores {
		scores[i] = fit(i)
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	return order
}

// seeded returns a source of chance that follows from the given texts alone.
func seeded(parts ...string) *rand.Rand {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return rand.New(rand.NewPCG(binary.LittleEndian.Uint64(sum[:8]), binary.LittleEndian.Uint64(sum[8:16])))
}

// shuffled returns a copy of list in an order that follows from its own content and key.
func shuffled[T any](key string, list []T) []T {
	out := slices.Clone(list)
	seeded(key).Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}
