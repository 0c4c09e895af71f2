package agents_test

import (
	"fmt"
	"testing"

	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers/agents/quality"
	"github.com/toolboxai/orchestrator/workers/workerstest"
)

// goals are two of each subject.
func goals() map[string][]any {
	return map[string][]any{
		"Mathematics":      {"Add and compare fractions", "Find the area of rectangles"},
		"Science":          {"Describe the water cycle", "Compare solids and liquids"},
		"History":          {"Describe life in ancient Egypt", "Explain why Rome fell"},
		"English":          {"Use nouns and verbs", "Recognize a metaphor"},
		"Art":              {"Mix primary colors", "Describe a landscape"},
		"Geography":        {"Use a compass and a map", "Name the continents"},
		"Computer Science": {"Understand loops", "Explain what an algorithm is"},
		"Physics":          {"Build electric circuits", "Explain forces and motion"},
		"Chemistry":        {"Tell acids from bases", "Describe atoms"},
		"Biology":          {"Explain photosynthesis", "Describe plant cells"},
	}
}

// TestComposer_SuitsEverySubjectAndGrade runs lessons and quizzes through all checks. A kind that fails says in its error which text is too
// hard, gives an answer away, or is not safe.
func TestComposer_SuitsEverySubjectAndGrade(t *testing.T) {
	t.Parallel()
	for subject, objectives := range goals() {
		t.Run(subject, func(t *testing.T) {
			t.Parallel()
			for turn, grade := range []any{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, "K-2", "3-5", "6-8", "9-12"} {
				for i, difficulty := range difficulties() {
					if i != turn%len(difficulties()) || turn%thin != 0 { // each grade with one, each of them with four grades
						continue
					}
					for kind, extra := range map[string]object{
						"content": {"duration_minutes": 15 + 30*i, "multilingual": i%2 == 1},
						"quiz":    {"num_questions": 4 + 9*i, "question_types": types()[:1+i*5/3]},
					} {
						in := object{"subject": subject, "grade_level": grade, "objectives": objectives, "difficulty": difficulty}
						for name, value := range extra {
							in[name] = value
						}
						got, _ := workerstest.Work(t, open(t, newModel(nil), kind), encode(t, in))
						if got.State != task.Completed {
							t.Errorf("%s, grade %v, %s: %s %+v", kind, grade, difficulty, got.State, got.Failure)
							continue
						}
						score := decode[struct {
							Score   float64       `json:"quality_score"`
							Quality quality.Parts `json:"quality"`
						}](t, got.Result)
						if score.Score < 0.7 {
							t.Errorf("%s, grade %v, %s: %v %+v", kind, grade, difficulty, score.Score, score.Quality)
						}
					}
				}
			}
		})
	}
}

// TestComposer_ScaffoldsAreSafeAndWorthLittle asks for subjects that the bank does not know.
func TestComposer_ScaffoldsAreSafeAndWorthLittle(t *testing.T) {
	t.Parallel()
	for _, subject := range []string{"Beekeeping", "Sailing knots", "Etiquette", "养蜂"} {
		for _, kind := range []string{"content", "quiz"} {
			t.Run(fmt.Sprint(kind, " ", subject), func(t *testing.T) {
				t.Parallel()
				in := object{"subject": subject, "grade_level": 6, "objectives": []any{"Inspect a hive", "Name three tools"}}
				if kind == "quiz" {
					in["num_questions"], in["question_types"] = 12, types()
				}
				got, _ := workerstest.Work(t, open(t, newModel(nil), kind), encode(t, in))
				if got.State != task.Completed {
					t.Fatalf("%s %+v", got.State, got.Failure)
				}
				score := decode[struct {
					Score float64 `json:"quality_score"`
				}](t, got.Result)
				if score.Score > 0.3 {
					t.Errorf("a form to fill in has %v", score.Score)
				}
			})
		}
	}
}
