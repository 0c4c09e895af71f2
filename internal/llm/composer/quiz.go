package composer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// slot is one question that is wanted.
type slot struct {
	Number    int    `json:"number"`
	Type      string `json:"type"`
	Objective int    `json:"objective"` // from 1
}

// item is one question as an answer holds it.
type item struct {
	Type          string   `json:"type"`
	Text          string   `json:"text"`
	Options       []option `json:"options"`
	CorrectAnswer any      `json:"correct_answer"` // a string or a []string
	Explanation   string   `json:"explanation"`
	Hints         []string `json:"hints"`
}

type option struct {
	ID          string `json:"id"`
	Text        string `json:"text"`
	IsCorrect   bool   `json:"is_correct"`
	Explanation string `json:"explanation"`
}

// wish is what a set of questions is wanted for.
type wish struct {
	Subject    string
	Grade      *grades
	Objectives []objective
	Difficulty string
	Slots      []slot
	Seed       string
}

type quizRequest struct {
	Subject    string      `json:"subject"`
	Objectives []objective `json:"objectives"`
	Grade      *grades     `json:"grade"`
	GradeName  string      `json:"grade_name"`
	Difficulty string      `json:"difficulty"`
}

type quizInput struct {
	Request request[quizRequest] `json:"request"`
	Slots   []slot               `json:"slots"`
	From    int                  `json:"from"`
	To      int                  `json:"to"`
}

func (in quizInput) check() error {
	if in.From < 0 || in.To < in.From || in.To > len(in.Slots) {
		return fault.InvalidField("input.to", "asks for questions %d to %d of %d", in.From, in.To, len(in.Slots))
	}
	return nil
}

func (in quizInput) wish() wish {
	r := in.Request.is
	return wish{r.Subject, r.Grade, r.Objectives, r.Difficulty, in.Slots, in.Request.text}
}

type focus struct {
	Number int    `json:"number"`
	Focus  string `json:"focus"`
}

type quizPlan struct {
	Title string  `json:"title"`
	Plan  []focus `json:"plan"`
}

type quizAnswer struct {
	Questions []item `json:"questions"`
}

func (c *Composer) quizOutline(in quizInput) quizPlan {
	w := in.wish()
	plan := quizPlan{Title: clip(w.Subject, 60) + " quiz: " + clip(objectiveAt(w.Objectives, 1).Title, 70) + w.mixed(c.strange(w))}
	for i, made := range c.questions(w) {
		plan.Plan = append(plan.Plan, focus{w.Slots[i].Number, clip(strings.ReplaceAll(made.Type, "_", " ")+": "+made.Text, 200)})
	}
	return plan
}

// strange returns the numbers of the objectives of which the bank knows nothing, so that their questions are about the subject at large.
func (c *Composer) strange(w wish) []int {
	s := c.bank.subject(w.Subject)
	if s == nil {
		return nil
	}
	if s.Name == "Mathematics" {
		s = s.withArithmetic(w)
	}
	var out []int
	for i, o := range w.Objectives {
		want := s.wanted(o.text())
		if !slices.ContainsFunc(s.marks(), func(m mark) bool { return m.relevance(want) > 0 && m.distance(w.Grade) <= farGrades }) {
			out = append(out, i+1)
		}
	}
	return out
}

// mixed says in a title which objectives are strange.
func (w wish) mixed(strange []int) string {
	switch {
	case len(strange) == 0:
		return ""
	case len(w.Objectives) == 1:
		return " (mixed: the offline bank has nothing on it)"
	}
	return clip(" (mixed: the offline bank has nothing on objectives "+strings.Trim(strings.Join(strings.Fields(fmt.Sprint(strange)), ", "), "[]"), 68) + ")"
}

func (c *Composer) quizDraft(in quizInput) quizAnswer {
	return quizAnswer{c.questions(in.wish())[in.From:in.To]}
}

// questions returns one question for each slot, none of them twice. It always writes the whole set, so that every batch of
// one quiz is cut from the same.
func (c *Composer) questions(w wish) []item {
	s := c.bank.subject(w.Subject)
	if s == nil {
		return scaffoldQuestions(w)
	}
	if s.Name == "Mathematics" {
		s = s.withArithmetic(w)
	}
	m := &mix{subject: s, wish: w, asked: map[string]bool{}, used: map[string]int{}, joined: map[int]int{}, given: map[any]int{}, candidates: map[string][]*candidate{}}
	out := make([]item, len(w.Slots))
	for i, slot := range w.Slots {
		out[i] = m.next(slot)
	}
	return out
}

func objectiveAt(list []objective, number int) objective {
	if number < 1 || number > len(list) {
		return objective{Title: "the subject"}
	}
	return list[number-1]
}

// mix draws questions so that none comes twice and the same entry of the bank is not asked about again and again.
type mix struct {
	subject    *subject
	wish       wish
	asked      map[string]bool
	used       map[string]int          // how often an entry of the bank was asked about
	joined     map[int]int             // how often a term was matched with others
	given      map[any]int             // how often statements were true and false
	candidates map[string][]*candidate // by type and objective, best first
}

// candidate is a question that could be asked.
type candidate struct {
	key  string // the entry of the bank behind it
	of   []int  // the terms that it puts together
	fit  int
	make func() item
	made *item
}

func (c *candidate) item() item {
	if c.made == nil {
		made := c.make()
		c.made = &made
	}
	return *c.made
}

// wear is what an entry loses in fit each time it was asked about: more than a telling word in common with the objective is
// worth, and less than having anything to do with it.
const wear = 12

// next returns the best question for a slot that was not asked yet.
func (m *mix) next(s slot) item {
	var chosen *candidate
	worth := 0
	for _, c := range m.ranked(s) {
		if w := c.fit - wear*m.used[c.key] - m.lean(c, s.Type) - m.matched(c); (chosen == nil || w > worth) && !m.asked[c.item().Text] {
			chosen, worth = c, w
		}
	}
	if chosen == nil {
		return scaffoldQuestion(m.wish, s) // the bank is spent; a test rules it out for what the API admits
	}
	m.asked[chosen.item().Text] = true
	m.used[chosen.key]++
	for _, n := range chosen.of {
		m.joined[n]++
	}
	if s.Type == "true_false" {
		m.given[chosen.item().CorrectAnswer]++
	}
	return chosen.item()
}

// matched is what a group of terms loses in fit for those of it that were matched before.
func (m *mix) matched(c *candidate) int {
	n := 0
	for _, t := range c.of {
		n += m.joined[t]
	}
	return wear * n / matchSize
}

// lean is what a statement loses in fit when the quiz has more of its truth than of the other: less than having anything to do with the objective.
func (m *mix) lean(c *candidate, kind string) int {
	if kind != "true_false" {
		return 0
	}
	other := map[any]any{"True": "False", "False": "True"}[c.item().CorrectAnswer]
	return min(6*max(m.given[c.item().CorrectAnswer]-m.given[other], 0), related-1)
}

func (m *mix) ranked(s slot) []*candidate {
	key := fmt.Sprintf("%s %d", s.Type, s.Objective)
	if list, ok := m.candidates[key]; ok {
		return list
	}
	seed := seeded(m.wish.Seed, key)
	list := m.derive(s.Type, m.subject.wanted(objectiveAt(m.wish.Objectives, s.Objective).text()), seed)
	out := make([]*candidate, len(list))
	for i, n := range ranked(len(list), seed, func(i int) int { return list[i].fit }) {
		out[i] = list[n]
	}
	m.candidates[key] = out
	return out
}
