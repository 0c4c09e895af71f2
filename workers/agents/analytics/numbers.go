package analytics

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	digits   = regexp.MustCompile(`\d+(?:[.,]\d+)*`)
	grouped  = regexp.MustCompile(`^\d{1,3}(?:,\d{3})+(?:\.\d+)?$`)
	words    = regexp.MustCompile(`(?i)\b(?:(twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)(?:[- ](one|two|three|four|five|six|seven|eight|nine))?|zero|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|hundreds?|thousands?|millions?|billions?|dozens?|half|halved|twice|doubled?|tripled?|thrice)\b`)
	sentence = regexp.MustCompile(`[.!?]\s+|\n+`)
)

// numeral is a number in a text.
type numeral struct {
	text   string
	value  float64
	places int  // behind the point
	known  bool // whether it could be read; a dozen, or a fraction in one character, cannot
	at     int  // byte offset
}

// numerals finds the numbers in a text, whatever digits they are written in, and those in English words from two on.
func numerals(text string) []numeral {
	var out []numeral
	for _, at := range digits.FindAllStringIndex(text, -1) {
		n := numeral{text: text[at[0]:at[1]], at: at[0]}
		s := n.text
		switch {
		case grouped.MatchString(s):
			s = strings.ReplaceAll(s, ",", "")
		case strings.Count(s, ",") == 1 && !strings.Contains(s, "."):
			s = strings.Replace(s, ",", ".", 1) // a decimal comma
		}
		v, err := strconv.ParseFloat(s, 64)
		n.value, n.known = v, err == nil
		if _, behind, ok := strings.Cut(s, "."); ok {
			n.places = len(behind)
		}
		out = append(out, n)
	}
	for _, at := range words.FindAllStringIndex(text, -1) {
		n := numeral{text: text[at[0]:at[1]], at: at[0]}
		n.value, n.known = spelled(n.text)
		out = append(out, n)
	}
	for i, r := range text {
		if unicode.In(r, unicode.No, unicode.Nl) {
			out = append(out, numeral{text: string(r), at: i})
		}
	}
	slices.SortStableFunc(out, func(a, b numeral) int { return cmp.Compare(a.at, b.at) })
	return out
}

// spelled reads a number word from zero to ninety-nine.
func spelled(word string) (float64, bool) {
	small := strings.Fields("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen")
	tens := strings.Fields("twenty thirty forty fifty sixty seventy eighty ninety")
	sum := 0
	for _, part := range strings.FieldsFunc(strings.ToLower(word), func(r rune) bool { return r == '-' || r == ' ' }) {
		if i := slices.Index(small, part); i >= 0 {
			sum += i
		} else if i := slices.Index(tens, part); i >= 0 {
			sum += 20 + 10*i
		} else {
			return 0, false
		}
	}
	return float64(sum), true
}

// says reports whether the numeral is v, rounded to as many places as it has. Below 10 a whole number must be one: a mean of 3.4 attempts is not 3.
// The sign is not looked at: "fell by 3" and a change of -3 are the same.
func (n numeral) says(v float64) bool {
	v = math.Abs(v)
	reach := 0.5 * math.Pow10(-n.places)
	if n.places == 0 && v < 10 {
		reach = 0.005
	}
	return n.known && math.Abs(v-n.value) <= reach*(1+1e-9)
}

// asciiDigits writes decimal digits of all scripts in ASCII, so that a number is a number in any of them.
func asciiDigits(text string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 || !unicode.Is(unicode.Nd, r) {
			return r
		}
		for _, t := range unicode.Nd.R16 {
			if rune(t.Lo) <= r && r <= rune(t.Hi) {
				return '0' + (r-rune(t.Lo))%10
			}
		}
		for _, t := range unicode.Nd.R32 {
			if rune(t.Lo) <= r && r <= rune(t.Hi) {
				return '0' + (r-rune(t.Lo))%10
			}
		}
		return r
	}, text)
}

// scope is what the numbers of a text may be.
type scope struct {
	labels []string  // texts whose digits are no figures, in lower case, longest first
	people *peopleOf // pseudonyms that there are
	given  []numeral // numbers of the question and the period
}

type peopleOf struct {
	pattern *regexp.Regexp // "student 3"
	count   int
}

func newScope(labels []string, noun string, count int, given ...string) scope {
	s := scope{people: &peopleOf{regexp.MustCompile(`(?i)\b` + noun + ` (\d+)\b`), count}}
	for _, text := range given {
		s.given = append(s.given, numerals(asciiDigits(text))...)
	}
	for _, l := range append(slices.Clone(labels), "90th percentile", "p90") {
		if l = lower(asciiDigits(l)); distinct(l) && !slices.Contains(s.labels, l) {
			s.labels = append(s.labels, l)
		}
	}
	slices.SortStableFunc(s.labels, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return s
}

// distinct reports whether a label has digits, and more than digits: a group called 5 does not make every 5 a label, a date does.
func distinct(label string) bool {
	return len(numerals(label)) > 0 && (strings.IndexFunc(label, unicode.IsLetter) >= 0 || len(label) >= 8 && strings.ContainsAny(label, "-/:"))
}

// blank puts spaces in the place of labels and pseudonyms, so that offsets stay.
func (s scope) blank(text string) string {
	out := []byte(lower(text))
	for _, l := range s.labels {
		for from := 0; ; {
			i := bytes.Index(out[from:], []byte(l))
			if i < 0 {
				break
			}
			i += from
			if from = i + len(l); standsAlone(out, i, from) {
				copy(out[i:from], strings.Repeat(" ", len(l)))
			}
		}
	}
	return s.people.pattern.ReplaceAllStringFunc(string(out), func(found string) string {
		n, err := strconv.Atoi(found[strings.LastIndex(found, " ")+1:])
		if err != nil || n < 1 || n > s.people.count {
			return found
		}
		return strings.Repeat(" ", len(found))
	})
}

// lower writes small letters, where they are as long as the capitals.
func lower(text string) string {
	return strings.Map(func(r rune) rune {
		if small := unicode.ToLower(r); utf8.RuneLen(small) == utf8.RuneLen(r) {
			return small
		}
		return r
	}, text)
}

// standsAlone reports whether what is between two offsets is no part of a longer number or word.
func standsAlone(text []byte, from, to int) bool {
	part := func(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' }
	before := from > 0 && (part(text[from-1]) || text[from-1] == '.' && from > 1 && part(text[from-2]))
	after := to < len(text) && (part(text[to]) || (text[to] == '.' || text[to] == ',') && to+1 < len(text) && part(text[to+1]))
	return !before && !after
}

// stray is a number that is not among those that a text may hold.
type stray struct {
	number, sentence string
}

// strays returns the numbers of a text that are none of the figures.
func (s scope) strays(text string, from []Figure) []stray {
	text = asciiDigits(text)
	var out []stray
	for _, n := range numerals(s.blank(text)) {
		fits := slices.ContainsFunc(from, func(f Figure) bool { return n.says(f.Value) }) ||
			slices.ContainsFunc(s.given, func(g numeral) bool { return n.known && g.known && g.value == n.value })
		if !fits {
			out = append(out, stray{n.text, sentenceAt(text, n.at)})
		}
	}
	return out
}

// sentenceAt returns the sentence that an offset is in.
func sentenceAt(text string, at int) string {
	from, to := 0, len(text)
	for _, end := range sentence.FindAllStringIndex(text, -1) {
		if end[1] <= at {
			from = end[1]
		} else if end[0] >= at {
			to = end[0] + 1
			break
		}
	}
	return strings.TrimSpace(text[from:min(to, len(text))])
}

func (s stray) String() string { return fmt.Sprintf("%q in the sentence %q", s.number, s.sentence) }
