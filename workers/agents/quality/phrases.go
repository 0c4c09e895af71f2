package quality

import (
	_ "embed"
	"slices"
	"strings"
	"unicode"
)

var (
	//go:embed lists/unsuitable.txt
	unsuitableList string
	//go:embed lists/traces.txt
	tracesList string

	unsuitable = parsePhrases(unsuitableList)
	traces     = parsePhrases(tracesList)
)

// phrases are word sequences to look for in a text.
type phrases struct {
	byFirst map[string][]phrase
	stems   map[string]*group // of words with a *
	longest int               // stem, in bytes
}

type phrase struct {
	words  []string
	unless []string // next words that make it harmless
	group  *group
}

// group is a named part of a list.
type group struct {
	name string
	what string // what a text with one of its phrases does
}

// parsePhrases reads a list; see lists/unsuitable.txt for its format. It is called for the embedded ones, which a test reads.
func parsePhrases(list string) phrases {
	p := phrases{byFirst: map[string][]phrase{}, stems: map[string]*group{}}
	var g *group
	for line := range strings.SplitSeq(list, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			name, what, _ := strings.Cut(line[1:], "] ")
			g = &group{name, what}
		case strings.HasSuffix(line, "*"):
			stem := strings.TrimSuffix(line, "*")
			p.stems[stem], p.longest = g, max(p.longest, len(stem))
		default:
			var unless []string
			head, rest, _ := strings.Cut(line, " -")
			if rest != "" {
				unless = strings.Split(rest, " -")
			}
			for _, text := range expand(head) {
				words := strings.Fields(text)
				p.byFirst[words[0]] = append(p.byFirst[words[0]], phrase{words, unless, g})
			}
		}
	}
	return p
}

// expand returns what "(a|b|) c" stands for.
func expand(s string) []string {
	before, rest, found := strings.Cut(s, "(")
	if !found {
		return []string{s}
	}
	choices, after, _ := strings.Cut(rest, ")")
	var out []string
	for _, tail := range expand(after) {
		for choice := range strings.SplitSeq(choices, "|") {
			out = append(out, before+choice+tail)
		}
	}
	return out
}

// token is a word of a text, in lower case, and where it stands.
type token struct {
	word       string
	start, end int
}

func tokens(text string) []token {
	var out []token
	start := -1
	add := func(end int) {
		if start >= 0 {
			out = append(out, token{strings.Trim(strings.ReplaceAll(strings.ToLower(text[start:end]), "’", "'"), "'"), start, end})
			start = -1
		}
	}
	for i, r := range text {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '\'' || r == '’' {
			if start < 0 {
				start = i
			}
			continue
		}
		add(i)
	}
	add(len(text))
	return slices.DeleteFunc(out, func(t token) bool { return t.word == "" })
}

// hit is a phrase that was found.
type hit struct {
	group *group
	text  string
}

// find calls yield with each phrase of the text until it returns false.
func (p phrases) find(text string, words []token, yield func(hit) bool) {
	for i, t := range words {
		for n := min(len(t.word), p.longest); n > 2; n-- {
			if g := p.stems[t.word[:n]]; g != nil && !yield(hit{g, text[t.start:t.end]}) {
				return
			}
		}
		for _, candidate := range p.byFirst[t.word] {
			if !candidate.matches(words[i:]) {
				continue
			}
			if !yield(hit{candidate.group, text[t.start:words[i+len(candidate.words)-1].end]}) {
				return
			}
			break
		}
	}
}

func (p phrase) matches(words []token) bool {
	if len(words) < len(p.words) {
		return false
	}
	for i, want := range p.words {
		if words[i].word != want {
			return false
		}
	}
	return len(words) == len(p.words) || !slices.Contains(p.unless, words[len(p.words)].word)
}
