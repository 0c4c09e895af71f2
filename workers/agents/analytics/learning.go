package analytics

import (
	"cmp"
	"fmt"
	"slices"
)

// Shares from which learning counts as mastered, and below which somebody needs help. The first is that of mastery learning (Bloom, Learning for
// Mastery, 1968); the second is ours.
const (
	mastered  = 80.0
	needsHelp = 60.0
)

// Answers from which a person, objective or question is judged.
const leastAnswers = 3

// tally is a mean in the making.
type tally struct {
	label string
	n     int
	sum   float64 // of shares, 0 to 1
}

func (t tally) share() float64 { return 100 * t.sum / float64(t.n) }

// tallies keep tallies in the order in which they were first met.
type tallies struct {
	list []tally
	at   map[string]int
}

func (t *tallies) add(label string, share float64) {
	if t.at == nil {
		t.at = map[string]int{}
	}
	i, ok := t.at[label]
	if !ok {
		i = len(t.list)
		t.at[label] = i
		t.list = append(t.list, tally{label: label})
	}
	t.list[i].n++
	t.list[i].sum += share
}

// lowest returns the tallies with enough answers, the worst first.
func (t *tallies) lowest() []tally {
	out := slices.DeleteFunc(slices.Clone(t.list), func(t tally) bool { return t.n < leastAnswers })
	slices.SortStableFunc(out, func(a, b tally) int { return cmp.Compare(a.share(), b.share()) })
	return out
}

// learn computes who has learned what. Each record is an answer, worth a share of its points.
func (s *study) learn() {
	worth := s.worth()
	if worth == nil && len(s.in.Data.Records) == 0 {
		return
	}
	if worth == nil {
		s.note("No field says how good an answer was: name one correct, or score.")
		return
	}
	var all tally
	var persons, goals, questions tallies
	reached := map[string]*tallies{} // by objective: the shares of its students
	goalField, questionField := s.with(objective), s.with(question)
	for i := range s.in.Data.Records {
		share, ok := worth(i)
		if !ok {
			continue
		}
		all.n, all.sum = all.n+1, all.sum+share
		who := ""
		if n := s.people.of[i]; n >= 0 {
			who = fmt.Sprint(n)
			persons.add(who, share)
		}
		if goalField != nil && goalField.values[i].text != "" {
			goal := goalField.values[i].text
			goals.add(goal, share)
			if reached[goal] == nil {
				reached[goal] = &tallies{}
			}
			if who != "" {
				reached[goal].add(who, share)
			}
		}
		if questionField != nil && questionField.values[i].text != "" {
			questions.add(questionField.values[i].text, share)
		}
	}
	if all.n == 0 {
		return
	}
	s.values = max(s.values, all.n)
	s.figures.add(topicMastery, "learning.mean", all.share(), percent, "mean share of points reached")
	s.figures.add(topicMastery, "learning.answers", float64(all.n), "", "number of answers")
	s.figures.add(topicMastery, "threshold.mastery", mastered, percent, "share from which an objective counts as mastered")
	s.figures.add(topicHelp, "threshold.help", needsHelp, percent, "share below which somebody needs help")
	s.goals(goals.list, reached)
	s.questions(questions.lowest())
	s.persons(persons)
}

// worth returns how the share of points of a record is read: right or wrong, points out of a maximum, or points out of the scale that the
// highest of them fits (1, 10, 100, or itself). nil without such a field.
func (s *study) worth() func(i int) (float64, bool) {
	if c := s.with(correct); c != nil && c.numeric {
		return func(i int) (float64, bool) {
			n, ok := c.number(i)
			return n, ok && n >= 0 && n <= 1
		}
	}
	points, most := s.with(score), s.with(maxScore)
	if points == nil || !points.numeric {
		return nil
	}
	scale := 0.0
	for _, n := range points.numbers() {
		scale = max(scale, n)
	}
	switch {
	case scale <= 1:
		scale = 1
	case scale > 10 && scale <= 100:
		scale = 100
	case most == nil:
		s.note("Scores count out of %v, the highest of them: give max_score to have it otherwise.", round(scale))
	}
	return func(i int) (float64, bool) {
		n, ok := points.number(i)
		of := scale
		if most != nil {
			if m, known := most.number(i); known && m > 0 {
				of = m
			}
		}
		return n / of, ok && n >= 0 && n <= of
	}
}

func (s *study) goals(list []tally, reached map[string]*tallies) {
	slices.SortStableFunc(list, func(a, b tally) int { return cmp.Compare(a.share(), b.share()) })
	rows := [][]any{}
	for i, g := range list {
		n := 0
		for _, t := range reached[g.label].list {
			if t.share() >= mastered {
				n++
			}
		}
		row := []any{g.label, round(g.share()), g.n, n, len(reached[g.label].list)}
		rows = append(rows, row)
		if i >= maxNamed {
			continue
		}
		called := s.say(g.label)
		key := "mastery." + slug(called)
		s.figures.add(topicMastery, key, g.share(), percent, "share of points reached on objective %s", called)
		if all := len(reached[g.label].list); all > 0 {
			s.figures.add(topicMastery, key+".mastered_by", float64(n), "", "number of students who have mastered objective %s", called)
			s.figures.add(topicMastery, key+".students", float64(all), "", "number of students who worked on objective %s", called)
		}
	}
	if len(rows) > 0 {
		s.table("Mastery by objective", []string{"objective", "share of points in %", "answers", "students who mastered it", "students"}, rows)
		s.bars("Mastery by objective", "share of points in %", rows, 0, 1)
	}
}

func (s *study) questions(worst []tally) {
	rows := [][]any{}
	for i, q := range worst {
		rows = append(rows, []any{q.label, round(q.share()), q.n})
		if i >= 5 {
			continue
		}
		called := s.say(q.label)
		s.figures.add(topicQuestion, "question."+slug(called), q.share(), percent, "share of points reached on the hard question %s", called)
		s.figures.add(topicQuestion, "question."+slug(called)+".answers", float64(q.n), "", "number of answers to question %s", called)
	}
	if len(rows) > 0 {
		s.table("Hardest questions", []string{"question", "share of points in %", "answers"}, rows)
	}
}

// persons lists everybody, those who need help first. The table says who a pseudonym is; the figures do not.
func (s *study) persons(all tallies) {
	if len(all.list) == 0 {
		return
	}
	slices.SortStableFunc(all.list, func(a, b tally) int { return cmp.Compare(a.share(), b.share()) })
	rows, help, judged := [][]any{}, 0, 0
	for _, t := range all.list {
		n := 0
		_, _ = fmt.Sscan(t.label, &n)
		called, state := s.people.pseudonym(n), "too few answers"
		if t.n >= leastAnswers {
			judged, state = judged+1, ""
		}
		switch {
		case state != "":
		case t.share() < needsHelp:
			state = "needs help"
			if help++; help <= maxNamed {
				s.figures.add(topicHelp, slug(called)+".mean", t.share(), percent, "share of points that %s reached", called)
				s.figures.add(topicHelp, slug(called)+".answers", float64(t.n), "", "number of answers of %s", called)
			}
		case t.share() >= mastered:
			state = "mastered"
		}
		rows = append(rows, []any{called, s.people.ids[n], round(t.share()), t.n, state})
	}
	if judged > 0 {
		s.figures.add(topicHelp, "help.count", float64(help), "", "number of students who need help")
	}
	if few := len(rows) - judged; few > 0 {
		s.note("%d of %d students have fewer than %d answers: whether they need help is not said.", few, len(rows), leastAnswers)
	}
	s.table("Students", []string{"called", "who", "share of points in %", "answers", "state"}, rows)
}
