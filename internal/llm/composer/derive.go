package composer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"unicode/utf8"
)

// derive returns all questions of a type that can be made from the subject, each with its fit for the wanted topic.
func (m *mix) derive(kind string, want wants, seed *rand.Rand) []*candidate {
	switch kind {
	case "true_false":
		return m.trueFalse(want, seed)
	case "short_answer":
		return m.shortAnswers(want, seed)
	case "fill_blank":
		return m.fillBlanks(want, seed)
	case "matching":
		return m.matching(want, seed)
	case "ordering":
		return m.ordering(want, seed)
	}
	return m.multipleChoice(want, seed)
}

func (m *mix) hints(first, second string) []string {
	if m.wish.Difficulty == "hard" || m.wish.Difficulty == "expert" {
		return []string{first}
	}
	return []string{first, second}
}

// firstLetter is a hint at a word, which it does not give away.
func firstLetter(s string) string {
	for _, article := range []string{"The ", "A ", "An "} {
		s = strings.TrimPrefix(s, article)
	}
	r := []rune(s)
	switch {
	case strings.Trim(s, "0123456789.,") == "":
		return "The answer is a number."
	case len(r) < 3:
		return fmt.Sprintf("The answer has %d letters.", len(r))
	}
	return fmt.Sprintf("The answer begins with “%s”.", strings.ToUpper(string(r[:1])))
}

// topicHint names key words that are no part of the answer.
func topicHint(k mark, answer string) string {
	var words []string
	for _, word := range strings.Fields(k.Topics) {
		if stem := stems(word); len(stem) == 1 && !slices.Contains(stems(answer), stem[0]) {
			words = append(words, word)
		}
	}
	if len(words) == 0 {
		return "Rule out first what it cannot be."
	}
	return "Key words: " + strings.Join(first(words, 2), ", ") + "."
}

func first[T any](list []T, n int) []T { return list[:min(n, len(list))] }

func (m *mix) multipleChoice(want wants, seed *rand.Rand) []*candidate {
	var out []*candidate
	for i, q := range m.subject.Questions {
		out = append(out, &candidate{key: fmt.Sprint("question ", i), fit: q.fit(want, m.wish.Grade) + 2, make: func() item {
			return m.choose(q.Ask, q.Answer, q.Wrong, q.Why, q.mark, func(string) string { return "Not right. The answer is: " + q.Answer + "." })
		}})
	}
	for i, t := range m.subject.Terms {
		key, fit := fmt.Sprint("term ", i), t.fit(want, m.wish.Grade)
		out = append(out,
			&candidate{key: key, fit: fit, make: func() item {
				wrong := m.others(i, seed)
				return m.choose(fmt.Sprintf("Which term means “%s”?", t.Means), t.Term, names(wrong), definition(t), t.mark,
					func(text string) string { return definition(wrong[slices.Index(names(wrong), text)]) })
			}},
			&candidate{key: key, fit: fit - 1, make: func() item {
				wrong := m.others(i, seed)
				return m.choose(fmt.Sprintf("What does “%s” mean?", t.Term), t.Means, meanings(wrong), definition(t), t.mark,
					func(text string) string {
						return "That is “" + wrong[slices.Index(meanings(wrong), text)].Term + "”."
					})
			}})
	}
	return out
}

func names(list []term) []string {
	out := make([]string, len(list))
	for i, t := range list {
		out[i] = t.Term
	}
	return out
}

func meanings(list []term) []string {
	out := make([]string, len(list))
	for i, t := range list {
		out[i] = t.Means
	}
	return out
}

func definition(t term) string { return fmt.Sprintf("“%s” means: %s.", t.Term, t.Means) }

// others returns three other terms, those with common topics and for the grade first: they are the plausible ones.
func (m *mix) others(i int, seed *rand.Rand) []term {
	var out []term
	want := m.subject.wanted(m.subject.Terms[i].Topics)
	for _, n := range ranked(len(m.subject.Terms), seed, func(n int) int {
		return m.subject.Terms[n].relevance(want) - 3*m.subject.Terms[n].distance(m.wish.Grade)
	}) {
		if n != i && len(out) < 3 {
			out = append(out, m.subject.Terms[n])
		}
	}
	return out
}

func (m *mix) choose(ask, answer string, wrong []string, why string, k mark, explain func(wrong string) string) item {
	var options []option
	for _, text := range shuffled(m.wish.Seed+ask, append([]string{answer}, wrong...)) {
		o := option{ID: string(rune('a' + len(options))), Text: text, IsCorrect: text == answer, Explanation: why}
		if !o.IsCorrect {
			o.Explanation = clip(explain(text), 300)
		}
		options = append(options, o)
	}
	return item{"multiple_choice", ask, options, answer, why, m.hints(topicHint(k, answer), ruleOut(answer, wrong))}
}

// ruleOut names an option that is wrong, one that does not hold the answer in its words.
func ruleOut(answer string, wrong []string) string {
	for _, text := range wrong {
		if !strings.Contains(strings.ToLower(text), strings.ToLower(answer)) {
			return clip(fmt.Sprintf("It is not “%s”.", text), 200)
		}
	}
	return "Cover the options and answer on your own first."
}

func (m *mix) trueFalse(want wants, seed *rand.Rand) []*candidate {
	var out []*candidate
	add := func(key, text string, truth bool, why string, k mark) {
		out = append(out, &candidate{key: key, fit: k.fit(want, m.wish.Grade), make: func() item { return m.judge(text, truth, why, k) }})
	}
	for i, f := range m.subject.Facts {
		sentence, word := f.statement()
		add(fmt.Sprint("fact ", i), sentence, true, fmt.Sprintf("It is right as it stands. The word to remember is “%s”.", word), f.mark)
	}
	for i, t := range m.subject.Terms {
		key := fmt.Sprint("term ", i)
		other := m.stranger(i, seed)
		add(key, definition(t), true, fmt.Sprintf("That is what “%s” means in %s.", t.Term, m.subject.Name), t.mark)
		add(key, fmt.Sprintf("“%s” means: %s.", t.Term, other.Means), false, definition(t)+" What is described here is “"+other.Term+"”.", t.mark)
	}
	for i, q := range m.subject.Questions {
		if q.Closed {
			continue
		}
		key := fmt.Sprint("question ", i)
		wrong := q.Wrong[seed.IntN(len(q.Wrong))]
		add(key, claim(q.Ask, q.Answer), true, q.Why, q.mark)
		add(key, claim(q.Ask, wrong), false, "The answer is: "+q.Answer+". "+q.Why, q.mark)
	}
	return out
}

// claim makes a statement of a question and an answer to it.
func claim(ask, answer string) string {
	return fmt.Sprintf("The answer to “%s” is: %s.", ask, strings.TrimSuffix(answer, "."))
}

// stranger returns a term that has no topic in common with the i-th, so that its meaning is surely a wrong one.
func (m *mix) stranger(i int, seed *rand.Rand) term {
	want := m.subject.wanted(m.subject.Terms[i].Topics)
	order := ranked(len(m.subject.Terms), seed, func(n int) int { return -m.subject.Terms[n].relevance(want) })
	if order[0] == i {
		return m.subject.Terms[order[1]]
	}
	return m.subject.Terms[order[0]]
}

func (m *mix) judge(text string, truth bool, why string, k mark) item {
	verdict := map[bool]string{true: "True", false: "False"}[truth]
	options := []option{
		{ID: "true", Text: "True", IsCorrect: truth, Explanation: ""},
		{ID: "false", Text: "False", IsCorrect: !truth, Explanation: ""},
	}
	return item{"true_false", text, options, verdict, why, m.hints(topicHint(k, ""), "Say it in your own words first, then decide.")}
}

func (m *mix) shortAnswers(want wants, seed *rand.Rand) []*candidate {
	var out []*candidate
	add := func(key, ask, answer, why, hint string, k mark, bonus int) {
		out = append(out, &candidate{key: key, fit: k.fit(want, m.wish.Grade) + bonus, make: func() item {
			return item{"short_answer", ask, []option{}, answer, why, m.hints(topicHint(k, answer), hint)}
		}})
	}
	for i, t := range m.subject.Terms {
		key := fmt.Sprint("term ", i)
		add(key, fmt.Sprintf("Explain in your own words what “%s” means.", t.Term), upper(t.Means)+".", definition(t), "Give an example as well.", t.mark, 0)
		add(key, fmt.Sprintf("Name the term that means: %s.", t.Means), t.Term, definition(t), firstLetter(t.Term), t.mark, -1)
	}
	for i, q := range m.subject.Questions {
		if !q.Closed {
			add(fmt.Sprint("question ", i), q.Ask, q.Answer, q.Why, firstLetter(q.Answer), q.mark, 1)
		}
	}
	return out
}

// upper returns s with a capital at its beginning.
func upper(s string) string {
	_, size := utf8.DecodeRuneInString(s)
	return strings.ToUpper(s[:size]) + s[size:]
}

func (m *mix) fillBlanks(want wants, seed *rand.Rand) []*candidate {
	var out []*candidate
	add := func(key, text, word, why string, k mark, bonus int) {
		if strings.Contains(strings.ToLower(text), strings.ToLower(word)) {
			return // it could be copied into the blank
		}
		out = append(out, &candidate{key: key, fit: k.fit(want, m.wish.Grade) + bonus, make: func() item {
			return item{"fill_blank", text, []option{}, word, why, m.hints(topicHint(k, word), firstLetter(word))}
		}})
	}
	for i, f := range m.subject.Facts {
		sentence, word := f.statement()
		add(fmt.Sprint("fact ", i), f.blanked(), word, sentence, f.mark, 1)
	}
	for i, t := range m.subject.Terms {
		add(fmt.Sprint("term ", i), fmt.Sprintf("The word ____ means: %s.", t.Means), t.Term, definition(t), t.mark, 0)
	}
	return out
}
