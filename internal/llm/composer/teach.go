package composer

import (
	"fmt"
	"slices"
	"strings"
)

// How many entries one objective gets.
const (
	maxTerms     = 4
	maxFacts     = 4
	maxSequences = 1
	maxAsked     = 2
	// farGrades is how many grades an entry may be off to be of use.
	farGrades = 4
	// telling is the relevance of an entry that has two telling words in common with an objective.
	telling = 11
)

// deal gives every entry to the objective that it fits best, and of each kind the best to each objective.
func (l *lesson) deal(seed string) []holding {
	s, g := l.subject, &l.r.Grade
	want := make([]wants, len(l.r.Objectives))
	for i, o := range l.r.Objectives {
		want[i] = s.wanted(o.text())
	}
	terms := deal(s.Terms, func(t term) mark { return t.mark }, want, g, seed, maxTerms, s.least(want, g))
	facts := deal(s.Facts, func(f fact) mark { return f.mark }, want, g, seed, maxFacts, s.least(want, g))
	sequences := deal(s.Sequences, func(q sequence) mark { return q.mark }, want, g, seed, maxSequences, alike(len(want), telling))
	questions := deal(s.Questions, func(q question) mark { return q.mark }, want, g, seed, maxAsked, s.least(want, g))
	out := make([]holding, len(want))
	taken := map[string]bool{}
	for i := range out {
		h := holding{terms: terms[i], facts: facts[i], sequences: sequences[i], questions: questions[i]}
		h.known = slices.ContainsFunc(s.marks(), func(m mark) bool { return m.relevance(want[i]) > 0 && m.distance(g) <= farGrades })
		for _, t := range h.terms {
			taken[t.Term] = true
		}
		out[i] = h
	}
	for i := range out {
		if !out[i].known || i == 0 && len(taken) == 0 {
			out[i].terms = l.spare(taken, seed)
		}
	}
	return out
}

// least returns, for each of want, the relevance from which an entry is of use: half of the best there is. A word in common, such as "war",
// is not enough where there is more to be had.
func (s *subject) least(want []wants, g *grades) []int {
	out := alike(len(want), 1)
	for at, w := range want {
		for _, m := range s.marks() {
			if m.distance(g) <= farGrades {
				out[at] = max(out[at], (m.relevance(w)+1)/2)
			}
		}
	}
	return out
}

func alike(n, value int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = value
	}
	return out
}

// spare returns two words of the subject that nobody has, so that there is something to start from.
func (l *lesson) spare(taken map[string]bool, seed string) []term {
	var out []term
	s := l.subject
	for _, i := range ranked(len(s.Terms), seeded(seed, "spare"), func(i int) int { return -s.Terms[i].distance(&l.r.Grade) }) {
		if t := s.Terms[i]; len(out) < 2 && !taken[t.Term] {
			out, taken[t.Term] = append(out, t), true
		}
	}
	return out
}

// deal hands out entries: each to the one of want that it suits best, at most n to each, the best ones. What has less relevance
// than its least, or less than half as much as the best, is left out.
func deal[E any](entries []E, of func(E) mark, want []wants, g *grades, seed string, n int, least []int) [][]E {
	best := make([]int, len(want))
	for at, w := range want {
		for _, e := range entries {
			best[at] = max(best[at], of(e).relevance(w))
		}
	}
	out := make([][]E, len(want))
	for at, w := range want {
		for _, i := range ranked(len(entries), seeded(seed, fmt.Sprint("deal ", at)), func(i int) int { return of(entries[i]).fit(w, g) }) {
			m := of(entries[i])
			r := m.relevance(w)
			if r >= least[at] && 2*r >= best[at] && m.distance(g) <= farGrades && len(out[at]) < n && suitsBest(m, want, best, at) {
				out[at] = append(out[at], entries[i])
			}
		}
	}
	return out
}

// suitsBest reports whether no other of want gets the entry: one that it is twice as relevant to, else one that gets more of its own best from
// it. Of equals, the one that is about less gets it, then the first.
func suitsBest(m mark, want []wants, best []int, at int) bool {
	mine := m.relevance(want[at])
	for i, w := range want {
		other := m.relevance(w)
		if i == at || mine >= 2*other {
			continue
		}
		if other >= 2*mine {
			return false
		}
		theirs, ours := other*best[at], mine*best[i]
		if theirs > ours || theirs == ours && other > 0 && (best[i] < best[at] || best[i] == best[at] && i < at) {
			return false
		}
	}
	return true
}

// teach writes the section of some objectives.
func (l *lesson) teach(number int, objectives []int) section {
	var b strings.Builder
	for _, n := range objectives {
		o, h := l.r.Objectives[n-1], l.shares[n-1]
		fmt.Fprintf(&b, "**Goal.** %s\n\n", clip(o.text(), 900))
		if l.subject == nil {
			b.WriteString(l.form(o))
			continue
		}
		b.WriteString(l.level())
		if !h.known {
			fmt.Fprintf(&b, "[The offline bank has nothing on this goal. Write two or three sentences that explain it, and an example.] Words of %s that may help:\n\n", l.subject.Name)
		}
		if h.known && len(h.terms)+len(h.facts)+len(h.sequences)+len(h.questions) == 0 {
			b.WriteString("This goal shares its words and facts with the other goals of the lesson. Look back at them: which belong here, and why? Find one more example together.\n\n")
		}
		l.write(&b, h)
	}
	return section{chapterTitle(l.r, number, objectives), strings.TrimSpace(clip(b.String(), 6000)), l.activity(number, objectives), objectives}
}

func (l *lesson) level() string {
	switch {
	case l.r.Grade.To <= 2:
		return "Read it aloud together, point at things, and let the class repeat the new words.\n\n"
	case l.r.Difficulty == "easy":
		return "Take it step by step: first the words, then what we know.\n\n"
	case l.r.Difficulty == "hard" || l.r.Difficulty == "expert":
		return "Before you read on: write down what you expect, and why. Afterwards say which of it holds.\n\n"
	}
	return "Read it in pairs and explain it to each other.\n\n"
}

func (l *lesson) write(b *strings.Builder, h holding) {
	if len(h.terms) > 0 {
		b.WriteString("**Words to know**\n\n")
		for _, t := range h.terms {
			fmt.Fprintf(b, "- **%s** – %s.\n", t.Term, t.Means)
		}
		b.WriteString("\n")
	}
	if len(h.facts) > 0 {
		b.WriteString("**What we know**\n\n")
		for _, f := range h.facts {
			sentence, _ := f.statement()
			fmt.Fprintf(b, "- %s\n", sentence)
		}
		b.WriteString("\n")
	}
	for _, s := range h.sequences {
		fmt.Fprintf(b, "**In order** – %s:\n\n", s.Order)
		for i, text := range s.Items {
			fmt.Fprintf(b, "%d. %s\n", i+1, text)
		}
		b.WriteString("\n")
	}
	for _, q := range h.questions {
		fmt.Fprintf(b, "**Talk about it.** %s *(For the teacher: %s. %s)*\n\n", q.Ask, strings.TrimSuffix(q.Answer, "."), q.Why)
	}
	if l.r.Multilingual && len(h.terms) > 0 {
		fmt.Fprintf(b, "**For learners of English.** Say “%s” aloud, draw it, and write the word in your own language next to it.\n\n", h.terms[0].Term)
	}
}

// form is the section of a goal in a subject that the bank does not know.
func (l *lesson) form(o objective) string {
	words := "[key term 1], [key term 2], [key term 3]"
	if found := first(keyWords(o.Title), 3); len(found) > 0 {
		words = strings.Join(found, ", ")
	}
	return fmt.Sprintf("**Explain.** [Write three to five sentences that explain this goal to %s.]\n\n"+
		"**Words to know.** [Define: %s.]\n\n"+
		"**Example.** [Give one example from the students' own lives.]\n\n"+
		"**Common mistake.** [Name one thing that students often get wrong here, and how to see that it is wrong.]\n\n"+
		"**Talk about it.** What would change if this were not so? [Write down two answers that you expect.]\n\n", l.r.GradeName, clip(words, 300))
}

// activity is what students do meanwhile: something with the content of the section, in turns.
func (l *lesson) activity(number int, objectives []int) string {
	h := l.shares[objectives[0]-1]
	place := sceneOf(l.r.EnvironmentType).name
	switch {
	case l.subject == nil:
		return fmt.Sprintf("In the %s: [say what students build, sort or look for here, and how they know that they are done].", place)
	case h.grave():
		return fmt.Sprintf("A quiet place in the %s: everybody writes one sentence to remember on the wall, and reads those of the others. There are no points here.", place)
	case len(h.sequences) > 0:
		items := shuffled(l.r.Subject, h.sequences[0].Items)
		return fmt.Sprintf("Order relay in the %s: step on the plates in the right order – %s. The plates read: %s.", place, h.sequences[0].Order, strings.Join(items, "; "))
	case len(h.terms) > 1 && number%2 == 1:
		var words []string
		for _, t := range h.terms {
			words = append(words, t.Term)
		}
		return fmt.Sprintf("Sorting station in the %s: carry the blocks %s to the signs with their meanings.", place, strings.Join(words, ", "))
	case len(h.questions) > 0:
		q := h.questions[0]
		return fmt.Sprintf("Gate in the %s: the group agrees on an answer to “%s” and walks through the gate with it: %s.",
			place, q.Ask, strings.Join(shuffled(q.Ask, append([]string{q.Answer}, q.Wrong...)), "; "))
	}
	what := clip(l.r.Objectives[objectives[0]-1].Title, 200)
	if len(h.terms) > 0 {
		what = h.terms[0].Term
	}
	return fmt.Sprintf("Build it in the %s: make a model of “%s” from parts and label it so that another group understands it.", place, what)
}

// grave reports whether it is about what is no game.
func (h holding) grave() bool {
	about := func(m mark) bool {
		return strings.Contains(m.Topics, "holocaust") || strings.Contains(m.Topics, "slave")
	}
	return slices.ContainsFunc(h.terms, func(t term) bool { return about(t.mark) }) || slices.ContainsFunc(h.facts, func(f fact) bool { return about(f.mark) }) ||
		slices.ContainsFunc(h.questions, func(q question) bool { return about(q.mark) })
}

// interactive returns things to touch that are made of the lesson's words.
func (l *lesson) interactive() []string {
	words := l.vocabulary()
	return []string{
		fmt.Sprintf("A word wall: touching “%s” shows what it means.", clip(words[0].Term, 100)),
		"A question box at each station, with a hint after the first wrong answer.",
	}
}

// care returns screen elements for those who need them.
func (l *lesson) care() []string {
	var out []string
	if l.r.Multilingual {
		out = append(out, "A button next to each key term that explains it in plain English.")
	}
	if len(l.r.AccessibilityFeatures) > 0 {
		out = append(out, clip("Settings for: "+strings.Join(l.r.AccessibilityFeatures, ", ")+".", 300))
	}
	return append(out, "The score of each group, shown when a station is done.")
}
