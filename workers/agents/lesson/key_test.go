package lesson_test

import (
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/workers/agents/lesson"
)

func choice(text, right string, wrong ...string) lesson.Question {
	q := lesson.Question{Type: lesson.MultipleChoice, Text: text, CorrectAnswer: lesson.Answer{right}, Explanation: "So it is."}
	for i, option := range append([]string{right}, wrong...) {
		q.Options = append(q.Options, lesson.Option{ID: string(rune('a' + i)), Text: option, IsCorrect: i == 0})
	}
	return q
}

func hinted(q lesson.Question, hint string) lesson.Question {
	q.Hints = []string{hint}
	return q
}

func said(text string, isTrue bool) lesson.Question {
	q := lesson.Question{Type: lesson.TrueFalse, Text: text, CorrectAnswer: lesson.Answer{"False"}, Explanation: "So it is.",
		Options: []lesson.Option{{ID: "true", Text: "True", IsCorrect: isTrue}, {ID: "false", Text: "False", IsCorrect: !isTrue}}}
	if isTrue {
		q.CorrectAnswer = lesson.Answer{"True"}
	}
	return q
}

func blank(text, word string) lesson.Question {
	return lesson.Question{Type: lesson.FillBlank, Text: text, CorrectAnswer: lesson.Answer{word}, Explanation: "So it is."}
}

func TestCheckQuestions_KnowsWhatIsRight(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		question lesson.Question
		want     string // in the detail; empty for a good question
	}{
		"Sum":               {choice("What is 2 + 3 × 4?", "14", "20", "24"), ""},
		"WrongSum":          {choice("What is 2 + 3 × 4?", "20", "14", "24"), `is "20", but 2 + 3 × 4 is 14`},
		"Brackets":          {choice("Work out (2 + 3) × 4.", "20", "14"), ""},
		"Fractions":         {choice("What is 1/2 ÷ 1/4?", "2", "1/8"), ""},
		"TwoRightFractions": {choice("What is 1/4 + 1/4?", "1/2", "2/4"), `"2/4", is right as well`},
		"Rounded":           {choice("What is 10 ÷ 3?", "3.33", "3.5"), ""},
		"Ambiguous":         {choice("What is 12÷6/2?", "1", "4"), ""},
		"NoSum":             {choice("What is 3 of the 4 laws?", "7", "8"), ""},
		"TrueSum":           {said("3 + 4 = 7", true), ""},
		"FalseSum":          {said("3 + 4 = 8", true), `is "True", but 3 + 4 is 7`},
		"BlankSum":          {blank("6 × 7 = ____", "41"), "is 42"},
		"Copied":            {blank("The dog barks: the verb is ____.", "barks"), "holds its own answer"},
		"Asked":             {blank("The ____ is the largest planet.", "Jupiter"), ""},
		"Hint":              {hinted(choice("Which planet is the largest?", "Jupiter", "Mars"), "It begins with J."), ""},
		"TellingHint":       {hinted(choice("Which planet is the largest?", "Jupiter", "Mars"), "Think of jupiter!"), "gives the answer away"},
		"ComparingHint":     {hinted(choice("Which planet is larger?", "Jupiter", "Mars"), "Compare Jupiter and Mars."), ""},
		"SameButForCase":    {choice("Which planet is the largest?", "Jupiter", "jupiter."), "stands twice"},
		"Spelling":          {choice("Which word is written with a capital?", "Monday", "monday"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slots := []lesson.Slot{{Number: 1, Type: c.question.Type, Objective: 1}}
			details := lesson.CheckQuestions("q", []lesson.Question{c.question}, lesson.Wanted{Slots: slots, Grade: 12})
			if c.want == "" && len(details) > 0 || c.want != "" && (len(details) != 1 || !strings.Contains(details[0].Reason, c.want)) {
				t.Errorf("%+v, want %q", details, c.want)
			}
		})
	}
}

func TestCheckQuestions_SeesTheSameQuestionInOtherDress(t *testing.T) {
	t.Parallel()
	two := []lesson.Question{choice("What is 3 + 4?", "7", "8"), choice("what is  3 + 4", "7", "9")}
	slots := []lesson.Slot{{Number: 1, Type: lesson.MultipleChoice}, {Number: 2, Type: lesson.MultipleChoice}}
	if details := lesson.CheckQuestions("q", two, lesson.Wanted{Slots: slots, Grade: 12}); len(details) != 1 || !strings.Contains(details[0].Reason, "repeats q[0]") {
		t.Errorf("%+v", details)
	}
	two[1] = choice("What is 3 × 4?", "12", "7")
	if details := lesson.CheckQuestions("q", two, lesson.Wanted{Slots: slots, Grade: 12}); len(details) > 0 {
		t.Errorf("%+v", details)
	}
}
