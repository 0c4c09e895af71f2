package composer_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/llm"
)

// ask returns the composer's answer to a step.
func ask[T any](t *testing.T, purpose string, input map[string]any) T {
	t.Helper()
	raw, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	var out T
	if err := json.Unmarshal([]byte(complete(t, llm.Request{Purpose: purpose, Input: raw})), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

type written struct{ Code, Description string }

func scriptFor(t *testing.T, wish string) written {
	t.Helper()
	return ask[written](t, "script.draft", map[string]any{"request": map[string]any{"script_type": "ServerScript", "functionality": wish}})
}

func TestScripts_TakeTheNumbersAndNamesOfTheRequest(t *testing.T) {
	t.Parallel()
	for wish, want := range map[string]string{
		"When a player touches a coin, give 5 points and bring the coin back after 30 seconds": "VALUE = 5 ",
		"Bring a collected coin back after 30 seconds":                                         "RETURN_SECONDS = 30 ",
		"Collect 20 gems":                      "for number = 1, 20 do",
		"Collect ten shiny coins":              "for number = 1, 10 do",
		"Respawn at the last of 8 checkpoints": "for number = 1, 8 do",
		"A leaderboard for stars":              `POINTS_NAME = "Stars"`,
		"A quiz with 25 points a question":     "POINTS = 25 ",
	} {
		if code := scriptFor(t, wish).Code; !strings.Contains(code, want) {
			t.Errorf("%s: no %q in\n%s", wish, want, code)
		}
	}
}

func TestScripts_SayWhatTheyDoNotDo(t *testing.T) {
	t.Parallel()
	for wish, left := range map[string]string{
		"A door that opens for players who have a key and closes after 4 seconds":     "key",
		"Save each player's coins when they leave and load them when they come back":  "Save, leave, load",
		"A quiz about the water cycle, and the winner gets fireworks":                 "winner, fireworks",
		"A door that opens when a player touches it and closes again after 5 seconds": "",
		"Day and night cycle where one day takes 5 minutes":                           "",
		"An NPC that tells students about photosynthesis":                             "",
	} {
		got := scriptFor(t, wish)
		todo := "-- TODO: this script has nothing yet of: " + left + "\n"
		if left == "" && strings.Contains(got.Code, "TODO") || left != "" && (!strings.Contains(got.Code, todo) || !strings.Contains(got.Description, left)) {
			t.Errorf("%s: wants %q left over\n%s\n%s", wish, left, got.Description, got.Code)
		}
	}
	if got := scriptFor(t, "Planets that go around the sun with their real ratios of periods"); !strings.Contains(got.Description, "no recipe") {
		t.Errorf("a model of the planets became: %s", got.Description)
	}
}

func TestScripts_AskOnlyWhatTheRequestIsAbout(t *testing.T) {
	t.Parallel()
	if code := scriptFor(t, "Students answer quiz questions about the water cycle").Code; strings.Contains(code, "What does a scientist do first?") {
		t.Errorf("a quiz on the water cycle asks how to investigate:\n%s", code)
	}
}

type asked struct {
	Questions []struct {
		Type, Text    string
		Options       []struct{ Text string }
		CorrectAnswer any `json:"correct_answer"`
		Hints         []string
	}
}

func quizOf(t *testing.T, subject, goal string, grade int, types ...string) (asked, string) {
	t.Helper()
	var slots []map[string]any
	for i := range 12 {
		slots = append(slots, map[string]any{"number": i + 1, "type": types[i%len(types)], "objective": 1})
	}
	input := map[string]any{"slots": slots, "from": 0, "to": len(slots), "request": map[string]any{
		"subject": subject, "difficulty": "easy", "grade": map[string]any{"from": grade, "to": grade}, "objectives": []any{map[string]any{"title": goal}},
	}}
	return ask[asked](t, "quiz.draft", input), ask[struct{ Title string }](t, "quiz.outline", input).Title
}

var quadratic = regexp.MustCompile(`x² ([+−]) (\d*)x − (\d+) = 0`)

// The right answer is put into the equation, and so is every other option.
func TestQuiz_AsksQuadraticEquationsWithOneRightAnswer(t *testing.T) {
	t.Parallel()
	quiz, _ := quizOf(t, "Mathematics", "Solve quadratic equations", 12, "multiple_choice")
	seen := 0
	for _, q := range quiz.Questions {
		m := quadratic.FindStringSubmatch(q.Text)
		if m == nil {
			continue
		}
		seen++
		b := 1
		if m[2] != "" {
			b, _ = strconv.Atoi(m[2])
		}
		if m[1] == "−" {
			b = -b
		}
		c, err := strconv.Atoi(m[3])
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range q.Options {
			x, err := strconv.Atoi(o.Text)
			if err != nil {
				t.Fatal(err)
			}
			if solves := x*x+b*x-c == 0; solves != (o.Text == q.CorrectAnswer) {
				t.Errorf("%s: %d solves it: %v, the key is %v", q.Text, x, solves, q.CorrectAnswer)
			}
		}
	}
	if seen < 3 {
		t.Errorf("%d quadratic equations in %+v", seen, quiz)
	}
}

func TestQuiz_OrdersSumsByTheirResults(t *testing.T) {
	t.Parallel()
	quiz, _ := quizOf(t, "Mathematics", "Add and subtract numbers", 1, "ordering")
	seen := 0
	for _, q := range quiz.Questions {
		last := -1
		for _, item := range q.CorrectAnswer.([]any) {
			var a, b int
			var sign string
			if n, _ := fmt.Sscanf(item.(string), "%d %s %d", &a, &sign, &b); n != 3 {
				continue
			}
			if sign == "−" {
				b = -b
			}
			if seen++; a+b <= last {
				t.Errorf("%s: %v is not in order", q.Text, q.CorrectAnswer)
			}
			last = a + b
		}
	}
	if seen == 0 {
		t.Error("nothing to calculate")
	}
}

func TestQuiz_SaysWhenTheBankHasNothingOnAnObjective(t *testing.T) {
	t.Parallel()
	for goal, mixed := range map[string]bool{"Brüche": true, "Fractions": false} {
		if _, title := quizOf(t, "Mathematics", goal, 5, "multiple_choice"); strings.Contains(title, "nothing on it") != mixed {
			t.Errorf("%s: %q", goal, title)
		}
	}
}

func TestQuiz_DoesNotMatchTheSameTermsAgainAndAgain(t *testing.T) {
	t.Parallel()
	quiz, _ := quizOf(t, "History", "Rome", 7, "matching")
	for i, q := range quiz.Questions[:3] {
		for _, earlier := range quiz.Questions[:i] {
			same := 0
			for _, o := range q.Options {
				for _, e := range earlier.Options {
					if o == e {
						same++
					}
				}
			}
			if same > 3 {
				t.Errorf("%d of 4 terms again: %s after %s", same, q.Text, earlier.Text)
			}
		}
	}
}

func TestLesson_TakesNothingForAWordInCommon(t *testing.T) {
	t.Parallel()
	goals := []any{
		map[string]any{"title": "Causes of the First World War"}, map[string]any{"title": "Life of the Zulu"},
	}
	input := map[string]any{"slots": []map[string]any{{"number": 1, "type": "multiple_choice", "objective": 2}}, "request": map[string]any{
		"subject": "History", "difficulty": "medium", "grade": map[string]any{"from": 8, "to": 8}, "objectives": goals,
	}}
	lesson := ask[struct{ Sections []struct{ Body string } }](t, "content.draft", input)
	for _, word := range []string{"Cold War", "Peloponnesian", "Civil War", "mummy"} {
		for _, section := range lesson.Sections {
			if strings.Contains(section.Body, word) {
				t.Errorf("%q stands in %s", word, section.Body)
			}
		}
	}
	if check := ask[asked](t, "content.assessment", input); !strings.HasPrefix(check.Questions[0].Text, "[Question 1, about “Life of the Zulu”") {
		t.Errorf("of what the bank does not know it asks: %+v", check.Questions[0])
	}
}

func TestHints_DoNotNameAnArticle(t *testing.T) {
	t.Parallel()
	quiz, _ := quizOf(t, "Geography", "Oceans", 4, "short_answer")
	for _, q := range quiz.Questions {
		answer, _ := q.CorrectAnswer.(string)
		for _, hint := range q.Hints {
			if strings.HasPrefix(answer, "The ") && strings.Contains(hint, "begins with “T”") {
				t.Errorf("%s → %s: %s", q.Text, answer, hint)
			}
		}
	}
}

func TestTerrain_SaysWhatIsLeftToBuild(t *testing.T) {
	t.Parallel()
	for feature, left := range map[string]bool{"roller coaster": true, "coral reef": false, "shipwreck": false, "beaver dam": false, "ramp": false, "oasis": false} {
		plan := ask[struct{ Theme string }](t, "terrain.outline", map[string]any{
			"request": map[string]any{"subject": "Art", "terrain_type": "landscape", "biome": "desert", "features": []string{feature}},
			"limits":  map[string]any{"size": map[string]any{"x": 200, "y": 100, "z": 200}, "max_operations": 200, "max_props": 150, "voxel_budget": 2000000},
		})
		if strings.Contains(plan.Theme, "for you to build: "+feature) != left {
			t.Errorf("%s: %s", feature, plan.Theme)
		}
	}
}
