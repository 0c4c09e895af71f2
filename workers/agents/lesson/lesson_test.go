package lesson_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/workers/agents/lesson"
)

func TestParseGrade_ReadsGradesAndBands(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]lesson.Grade{
		`1`: {1, 1}, `12`: {12, 12}, `4.0`: {4, 4}, `1e1`: {10, 10}, `"K-2"`: {0, 2}, `"3-5"`: {3, 5}, `"6-8"`: {6, 8}, `"9-12"`: {9, 12},
	} {
		if got, err := lesson.ParseGrade(json.RawMessage(raw)); err != nil || got != want {
			t.Errorf("%s gives %v (%v), want %v", raw, got, err, want)
		}
	}
	for _, raw := range []string{`0`, `13`, `2.5`, `"K"`, `"5"`, `null`, `[]`} {
		if got, err := lesson.ParseGrade(json.RawMessage(raw)); err == nil {
			t.Errorf("%s gives %v, want an error", raw, got)
		}
	}
}

func TestClean_LeavesOneVisibleLine(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"  a\n\tb  ": "a b", "a\u0000\u200bb": "ab", "\u00a0\u3000": "", "é 日本 🎨": "é 日本 🎨",
	} {
		if got := lesson.Clean(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestOverlap_FindsTheWordsOfAnObjective(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		objective, text string
		want            float64
	}{
		{"Explain photosynthesis", "Photosynthetic organisms make sugar.", 1},
		{"Compare plants and animals", "A plant is green.", 0.5},
		{"Compare plants and animals", "Stones are hard.", 0},
		{"Understand it", "Stones are hard.", 1}, // there is nothing to look for
		{"解释光合作用", "光合作用是植物的过程。", 0.6},
		{"Объяснить фотосинтез", "Фотосинтеза не бывает без света.", 0.5},
	} {
		if got := lesson.Overlap(c.objective, c.text); got != c.want {
			t.Errorf("%q in %q: %v, want %v", c.objective, c.text, got, c.want)
		}
	}
}

func types() []lesson.Type {
	return []lesson.Type{lesson.MultipleChoice, lesson.TrueFalse, lesson.ShortAnswer, lesson.FillBlank, lesson.Matching, lesson.Ordering}
}

func TestSlots_TakeTurns(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		kinds := types()[:rapid.IntRange(1, 6).Draw(t, "types")]
		objectives := rapid.IntRange(1, 20).Draw(t, "objectives")
		n := rapid.IntRange(1, 50).Draw(t, "questions")
		perType, perObjective, pairs := map[lesson.Type]int{}, map[int]int{}, map[lesson.Slot]int{}
		for i, s := range lesson.Slots(n, kinds, objectives) {
			if s.Number != i+1 || s.Objective < 1 || s.Objective > objectives {
				t.Fatalf("slot %d: %+v", i, s)
			}
			perType[s.Type]++
			perObjective[s.Objective]++
			pairs[lesson.Slot{Type: s.Type, Objective: s.Objective}]++
		}
		if len(perType) != min(n, len(kinds)) || len(perObjective) != min(n, objectives) {
			t.Fatalf("%d questions have %d types and %d objectives", n, len(perType), len(perObjective))
		}
		if n >= len(kinds)*objectives && len(pairs) != len(kinds)*objectives {
			t.Fatalf("%d questions pair %d of %d", n, len(pairs), len(kinds)*objectives)
		}
	})
}

func TestFinish_SharesTheTime(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 50).Draw(t, "questions")
		total := rapid.OneOf(rapid.Just(0), rapid.IntRange(60, 3600)).Draw(t, "total")
		slots := lesson.Slots(n, types()[:rapid.IntRange(1, 6).Draw(t, "types")], 3)
		questions := make([]lesson.Question, n)
		for i, s := range slots {
			questions[i].Type = s.Type
		}
		lesson.Finish(questions, slots, "hard", total)
		sum := 0
		for i, q := range questions {
			if q.Points != 15 || q.TimeLimit < 1 || int(q.Objective) != slots[i].Objective || q.Hints == nil {
				t.Fatalf("question %d: %+v", i, q)
			}
			sum += int(q.TimeLimit)
		}
		if questions[n-1].ID != "q_"+json.Number(string(mustJSON(t, n))).String() {
			t.Fatalf("the last id is %s", questions[n-1].ID)
		}
		if total > 0 && sum > total {
			t.Fatalf("the questions take %d s of %d", sum, total)
		}
	})
}

func mustJSON(t *rapid.T, v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// good returns one question of each type that breaks no rule.
func good() []lesson.Question {
	option := func(id, text string, correct bool) lesson.Option {
		return lesson.Option{ID: id, Text: text, IsCorrect: correct}
	}
	return []lesson.Question{
		{Type: lesson.MultipleChoice, Text: "Which?", Options: []lesson.Option{option("a", "x", true), option("b", "y", false), option("c", "z", true)}, CorrectAnswer: lesson.Answer{"x", "z"}},
		{Type: lesson.TrueFalse, Text: "So?", Options: []lesson.Option{option("true", "Wahr", false), option("false", "Falsch", true)}, CorrectAnswer: lesson.Answer{"Falsch"}},
		{Type: lesson.ShortAnswer, Text: "Why?", CorrectAnswer: lesson.Answer{"Because."}},
		{Type: lesson.FillBlank, Text: "From ____ to _____.", CorrectAnswer: lesson.Answer{"here", "there"}},
		{Type: lesson.Matching, Text: "Match.", Options: []lesson.Option{option("a", "1", true), option("b", "2", true)}, CorrectAnswer: lesson.Answer{"one", "two"}},
		{Type: lesson.Ordering, Text: "Order.", Options: []lesson.Option{option("a", "2", true), option("b", "1", true), option("c", "3", true)}, CorrectAnswer: lesson.Answer{"1", "2", "3"}},
	}
}

func TestCheckQuestions_AcceptsEachType(t *testing.T) {
	t.Parallel()
	if details := lesson.CheckQuestions("answer.questions", good(), lesson.Wanted{Slots: lesson.Slots(6, types(), 1), Grade: 12}); len(details) > 0 {
		t.Errorf("got %v", details)
	}
}

func TestCheckQuestions_RefusesWhatWasAskedBefore(t *testing.T) {
	t.Parallel()
	details := lesson.CheckQuestions("answer.questions", good(), lesson.Wanted{Slots: lesson.Slots(6, types(), 1), Taken: []string{" Which?  "}, Grade: 12})
	if len(details) != 1 || details[0].Field != "answer.questions[0].text" || details[0].Reason != "repeats a question that was asked before" {
		t.Errorf("got %v", details)
	}
}

func TestCheckQuestions_ListsEveryMistake(t *testing.T) {
	t.Parallel()
	questions := good()
	questions[0].CorrectAnswer = lesson.Answer{"y"}
	questions[3].Text = "No gap."
	questions[4].Options[0].IsCorrect = false
	questions[5].CorrectAnswer = nil
	var fields []string
	for _, d := range lesson.CheckQuestions("q", questions, lesson.Wanted{Slots: lesson.Slots(6, types(), 1), Grade: 12}) {
		fields = append(fields, d.Field)
	}
	if want := []string{"q[0].correct_answer", "q[3].correct_answer", "q[4].options[0].is_correct", "q[5].correct_answer"}; !slices.Equal(fields, want) {
		t.Errorf("got %v, want %v", fields, want)
	}
}

func TestAnswer_IsATextOrAList(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{`"one"`, `["one","two"]`} {
		var a lesson.Answer
		if err := json.Unmarshal([]byte(raw), &a); err != nil {
			t.Fatal(err)
		}
		out, err := json.Marshal(a)
		if err != nil || string(out) != raw {
			t.Errorf("%s comes back as %s (%v)", raw, out, err)
		}
	}
}

func TestObjective_IsATextOrAnObject(t *testing.T) {
	t.Parallel()
	var list []lesson.Objective
	if err := json.Unmarshal([]byte(`["one",{"title":" two ","description":"more","bloom_level":"apply"}]`), &list); err != nil {
		t.Fatal(err)
	}
	got, err := lesson.CleanObjectives(list)
	if err != nil || got[0].Text() != "one" || got[1].Text() != "two: more" || got[1].BloomLevel != "apply" {
		t.Errorf("got %+v (%v)", got, err)
	}
	if _, err := lesson.CleanObjectives([]lesson.Objective{{Title: "x"}, {Title: "\u200b"}}); err == nil || !strings.Contains(err.Error(), "input.objectives[1] is blank") {
		t.Errorf("got %v", err)
	}
}
