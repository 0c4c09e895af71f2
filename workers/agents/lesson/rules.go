package lesson

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Blank is what stands for a word to fill in. Longer and shorter runs, from three underscores, are accepted as well.
const Blank = "____"

var blanks = regexp.MustCompile(`_{3,}`)

// rules collects what is wrong with an answer.
type rules struct {
	details []fault.Detail
}

func (r *rules) broken(field, format string, args ...any) {
	r.details = append(r.details, fault.Detail{Field: field, Reason: fmt.Sprintf(format, args...)})
}

// Wanted says what questions are held against.
type Wanted struct {
	Slots []Slot
	Taken []string // texts of questions that were asked before
	Grade int      // the highest of the class
	Given []string // the teacher's own words, which count for nothing where it is rated how hard the questions are to read
}

// CheckQuestions tidies questions and says what is wrong with them: their number, their order of types, each one's shape, keys that a sum
// contradicts, answers that are given away, and whether they read far above the grade. Path names the list in the details:
// "answer.questions". Texts that differ in case and punctuation alone count as the same.
func CheckQuestions(path string, questions []Question, want Wanted) []fault.Detail {
	var r rules
	slots := want.Slots
	if len(questions) != len(slots) {
		r.broken(path, "has %d questions, must have exactly %d", len(questions), len(slots))
		return r.details
	}
	seen := map[string]int{}
	for _, text := range want.Taken {
		seen[textKey(Clean(text))] = -1
	}
	for i := range questions {
		q, at := &questions[i], fmt.Sprintf("%s[%d]", path, i)
		q.tidy()
		if q.Type != slots[i].Type {
			r.broken(at+".type", "is %q, must be %q as planned for question %d", q.Type, slots[i].Type, slots[i].Number)
			continue
		}
		if other, twice := seen[textKey(q.Text)]; twice {
			if other < 0 {
				r.broken(at+".text", "repeats a question that was asked before")
			} else {
				r.broken(at+".text", "repeats %s[%d]", path, other)
			}
		}
		seen[textKey(q.Text)] = i
		before := len(r.details)
		if r.checkShape(at, *q); len(r.details) == before {
			r.sums(at, *q)
			r.giveaways(at, *q)
		}
	}
	return append(r.details, Reading(questions, want.Given).Check(path, want.Grade)...)
}

func (q *Question) tidy() {
	q.Text, q.Explanation, q.Hints = Clean(q.Text), Clean(q.Explanation), CleanAll(q.Hints)
	if q.Options == nil {
		q.Options = []Option{}
	}
	for i := range q.Options {
		o := &q.Options[i]
		o.Text, o.Explanation = Clean(o.Text), Clean(o.Explanation)
	}
	for i, a := range q.CorrectAnswer {
		q.CorrectAnswer[i] = Clean(a)
	}
}

// checkShape holds a question against the rules of its type:
//
//   - multiple_choice: two options or more, some marked correct and some not; correct_answer is the text of the marked option,
//     or a list of their texts in the order of the options.
//   - true_false: two options with the ids "true" and "false" in this order, one of them marked; correct_answer is its text.
//   - short_answer: no options; correct_answer is a model answer.
//   - fill_blank: no options; the text holds a blank (____) for each word to fill in; correct_answer holds those words in order.
//   - matching: two options or more, all marked; correct_answer holds the partner of each option, in the order of the options,
//     each once. Whoever shows the question shuffles the partners.
//   - ordering: three options or more, all marked, not in the right order; correct_answer holds their texts in the right order.
func (r *rules) checkShape(at string, q Question) {
	if q.Text == "" {
		r.broken(at+".text", "is blank")
	}
	if slices.Contains(q.CorrectAnswer, "") || len(q.CorrectAnswer) == 0 {
		r.broken(at+".correct_answer", "is blank")
		return
	}
	if !r.checkOptions(at, q) {
		return
	}
	switch q.Type {
	case MultipleChoice:
		r.marked(at, q)
		if n := countMarked(q); n == len(q.Options) {
			r.broken(at+".options", "are all marked correct; at least one must be wrong")
		}
	case TrueFalse:
		r.trueFalse(at, q)
	case ShortAnswer:
		if len(q.CorrectAnswer) != 1 {
			r.broken(at+".correct_answer", "must be one text")
		}
	case FillBlank:
		if n := len(blanks.FindAllString(q.Text, -1)); n != len(q.CorrectAnswer) {
			r.broken(at+".correct_answer", "fills %d blanks, but the text has %d of %q", len(q.CorrectAnswer), n, Blank)
		}
	case Matching:
		r.matching(at, q)
	case Ordering:
		r.ordering(at, q)
	}
}

// optionCounts is how many options a question of each type has.
func optionCounts(t Type) (least, most int) {
	switch t {
	case MultipleChoice:
		return 2, 6
	case TrueFalse:
		return 2, 2
	case Matching:
		return 2, 6
	case Ordering:
		return 3, 6
	}
	return 0, 0
}

func (r *rules) checkOptions(at string, q Question) bool {
	before := len(r.details)
	least, most := optionCounts(q.Type)
	if n := len(q.Options); n < least || n > most {
		r.broken(at+".options", "has %d options; %s takes %s", n, q.Type, span(least, most))
	}
	ids, texts := map[string]bool{}, map[string]bool{}
	for i, o := range q.Options {
		field := fmt.Sprintf("%s.options[%d]", at, i)
		if ids[o.ID] {
			r.broken(field+".id", "%q stands twice", o.ID)
		}
		if o.Text == "" {
			r.broken(field+".text", "is blank")
		} else if texts[optionKey(q.Text, o.Text)] {
			r.broken(field+".text", "%q stands twice: options that differ in case and punctuation alone are the same", o.Text)
		}
		ids[o.ID], texts[optionKey(q.Text, o.Text)] = true, true
		if !o.IsCorrect && (q.Type == Matching || q.Type == Ordering) {
			r.broken(field+".is_correct", "must be true: every option of %s is part of the answer", q.Type)
		}
	}
	return len(r.details) == before
}

func span(least, most int) string {
	if least == most {
		return fmt.Sprintf("exactly %d", least)
	}
	return fmt.Sprintf("%d to %d", least, most)
}

func countMarked(q Question) int {
	n := 0
	for _, o := range q.Options {
		if o.IsCorrect {
			n++
		}
	}
	return n
}

// marked checks that the marked options are the correct answer.
func (r *rules) marked(at string, q Question) {
	var texts []string
	for _, o := range q.Options {
		if o.IsCorrect {
			texts = append(texts, o.Text)
		}
	}
	switch {
	case len(texts) == 0:
		r.broken(at+".options", "has no option that is marked correct")
	case !slices.Equal(texts, []string(q.CorrectAnswer)):
		r.broken(at+".correct_answer", "is %q, but the options marked correct are %q", []string(q.CorrectAnswer), texts)
	}
}

func (r *rules) trueFalse(at string, q Question) {
	if q.Options[0].ID != "true" || q.Options[1].ID != "false" {
		r.broken(at+".options", `must have the ids "true" and "false", in this order`)
	}
	if strings.EqualFold(q.Options[0].Text, "false") || strings.EqualFold(q.Options[1].Text, "true") {
		r.broken(at+".options", "have texts that contradict their ids")
		return
	}
	if countMarked(q) == 2 {
		r.broken(at+".options", "are both marked correct; exactly one must be")
		return
	}
	r.marked(at, q)
}

func (r *rules) matching(at string, q Question) {
	if len(q.CorrectAnswer) != len(q.Options) {
		r.broken(at+".correct_answer", "has %d partners for %d options", len(q.CorrectAnswer), len(q.Options))
		return
	}
	seen := map[string]bool{}
	for _, partner := range q.CorrectAnswer {
		if seen[partner] {
			r.broken(at+".correct_answer", "has the partner %q twice", partner)
		}
		seen[partner] = true
	}
}

func (r *rules) ordering(at string, q Question) {
	texts := make([]string, len(q.Options))
	for i, o := range q.Options {
		texts[i] = o.Text
	}
	if slices.Equal(texts, []string(q.CorrectAnswer)) {
		r.broken(at+".options", "stand in the right order already; shuffle them")
		return
	}
	want := slices.Clone([]string(q.CorrectAnswer))
	slices.Sort(want)
	slices.Sort(texts)
	if !slices.Equal(texts, want) {
		r.broken(at+".correct_answer", "must hold the texts of all options, each once, in the right order")
	}
}
