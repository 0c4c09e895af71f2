package composer

import (
	"fmt"
	"strings"
)

// scaffoldQuestions writes a form for each question of a subject that the bank does not know. What stands in square brackets
// is for the teacher to fill in; nothing is made up.
func scaffoldQuestions(w wish) []item {
	out := make([]item, len(w.Slots))
	for i, s := range w.Slots {
		out[i] = scaffoldQuestion(w, s)
	}
	return out
}

func scaffoldQuestion(w wish, s slot) item {
	about := clip(objectiveAt(w.Objectives, s.Objective).Title, 120)
	made := item{
		Type: s.Type, Options: []option{},
		Explanation: "[Say why the answer is right.]",
		Hints:       []string{"[Write a hint that does not give the answer away.]"},
	}
	form := func(format string, args ...any) string {
		return fmt.Sprintf("[Question %d, about “%s”: ", s.Number, about) + fmt.Sprintf(format, args...) + "]"
	}
	switch s.Type {
	case "true_false":
		made.Text = form("write a statement that is true, or turn it round and mark False")
		made.Options = []option{{ID: "true", Text: "True", IsCorrect: true}, {ID: "false", Text: "False"}}
		made.CorrectAnswer = "True"
	case "short_answer":
		made.Text, made.CorrectAnswer = form("write a question that is answered in one or two sentences"), "[Write a model answer.]"
	case "fill_blank":
		made.Text, made.CorrectAnswer = form("write a sentence and leave out its key word, here: ____"), "[the missing word]"
	case "matching":
		made.Text = form("write four terms and their meanings")
		made.CorrectAnswer = numbered("[Meaning of term %d]", 4)
		made.Options = options(numbered("[Term %d]", 4))
	case "ordering":
		made.Text = form("write four steps or events")
		steps := numbered("[Step %d]", 4)
		made.CorrectAnswer = steps
		made.Options = options([]string{steps[2], steps[0], steps[3], steps[1]})
	default:
		made.Text = form("write a question with one right answer")
		made.Options = options(append([]string{"[Right answer]"}, numbered("[Wrong answer %d]", 3)...))
		for i := range made.Options[1:] {
			made.Options[i+1].IsCorrect = false
		}
		made.CorrectAnswer = "[Right answer]"
	}
	return made
}

// options marks every text as part of the answer.
func options(texts []string) []option {
	out := make([]option, len(texts))
	for i, text := range texts {
		out[i] = option{ID: string(rune('a' + i)), Text: text, IsCorrect: true}
	}
	return out
}

func numbered(format string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf(format, i+1)
	}
	return out
}

// toFillIn says which square brackets a text has for the teacher.
func toFillIn(subject string) string {
	return fmt.Sprintf("The offline composer knows no facts about %s. This is a scaffold: whatever stands in [square brackets] is for the teacher to fill in.",
		strings.TrimSpace(clip(subject, 100)))
}
