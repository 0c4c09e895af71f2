package agents_test

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/roblox/luau/vet"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/workerstest"
)

var letter = regexp.MustCompile(`[\p{L}\p{N}]`)

func catalogOf(t testing.TB, agent workers.Agent) *task.Catalog {
	t.Helper()
	catalog, err := task.NewCatalog([]task.Kind{agent.Kind()})
	if err != nil {
		t.Fatal(err)
	}
	return catalog
}

// The tests read results with types of their own, so that they do not share a mistake with the agents.
type (
	questionView struct {
		ID            string
		Type          string
		Text          string
		Options       []optionView
		CorrectAnswer any `json:"correct_answer"`
		Explanation   string
		Hints         []string
		Objective     int
		Points        int
		TimeLimit     int `json:"time_limit"`
	}
	optionView struct {
		ID        string
		Text      string
		IsCorrect bool `json:"is_correct"`
	}
	vectorView struct{ X, Y, Z float64 }
)

// checkResult holds a result against what its input asked for.
func checkResult(t failer, kind string, input, result json.RawMessage) {
	t.Helper()
	switch kind {
	case "content":
		checkContent(t, input, result)
	case "quiz":
		checkQuiz(t, input, result)
	case "terrain":
		checkTerrain(t, input, result)
	case "script":
		checkScript(t, input, result)
	case "code_review":
		checkReview(t, input, result)
	case "roblox_testing":
		checkTesting(t, input, result)
	case "roblox_asset":
		checkAsset(t, input, result)
	case "roblox_analytics":
		checkAnalytics(t, input, result)
	}
}

func checkContent(t failer, input, result json.RawMessage) {
	t.Helper()
	in := decode[struct {
		Objectives  []any
		IncludeQuiz *bool `json:"include_quiz"`
	}](t, input)
	out := decode[struct {
		Objectives []struct{ Sections []int }
		Sections   []struct{ Title, Body string }
		Assessment *struct{ Questions []questionView }
		Score      float64 `json:"quality_score"`
	}](t, result)
	if len(out.Objectives) != len(in.Objectives) {
		t.Fatalf("%d objectives went in, %d came out", len(in.Objectives), len(out.Objectives))
	}
	for i, o := range out.Objectives {
		for _, n := range o.Sections {
			if n < 1 || n > len(out.Sections) {
				t.Fatalf("objective %d names section %d of %d", i+1, n, len(out.Sections))
			}
		}
	}
	keys(t, out.Sections, func(s struct{ Title, Body string }) string { return s.Title })
	if wanted := in.IncludeQuiz == nil || *in.IncludeQuiz; wanted != (out.Assessment != nil) {
		t.Fatalf("assessment wanted: %v, there: %v", wanted, out.Assessment != nil)
	}
	if out.Assessment != nil {
		checkQuestions(t, out.Assessment.Questions)
	}
	if out.Score < 0 || out.Score > 1 {
		t.Fatalf("quality score %v", out.Score)
	}
}

func checkQuiz(t failer, input, result json.RawMessage) {
	t.Helper()
	in := decode[struct {
		NumQuestions  *int     `json:"num_questions"`
		QuestionTypes []string `json:"question_types"`
		TimeLimit     *int     `json:"time_limit"`
		PassingScore  *int     `json:"passing_score"`
		Objectives    []any
	}](t, input)
	out := decode[struct {
		TimeLimit    *int `json:"time_limit"`
		PassingScore int  `json:"passing_score"`
		TotalPoints  int  `json:"total_points"`
		Questions    []questionView
	}](t, result)
	n, kinds, score := 5, []string{"multiple_choice"}, 70
	if in.NumQuestions != nil {
		n = *in.NumQuestions
	}
	if in.QuestionTypes != nil {
		kinds = in.QuestionTypes
	}
	if in.PassingScore != nil {
		score = *in.PassingScore
	}
	if len(out.Questions) != n || out.PassingScore != score {
		t.Fatalf("%d questions with passing score %d, want %d with %d", len(out.Questions), out.PassingScore, n, score)
	}
	if (in.TimeLimit == nil) != (out.TimeLimit == nil) || in.TimeLimit != nil && *in.TimeLimit != *out.TimeLimit {
		t.Fatalf("the time limit is not the one of the input")
	}
	points, seconds, tested := 0, 0, map[int]bool{}
	for i, q := range out.Questions {
		if q.Type != kinds[i%len(kinds)] {
			t.Fatalf("question %d is %s, want %s", i+1, q.Type, kinds[i%len(kinds)])
		}
		points, seconds, tested[q.Objective] = points+q.Points, seconds+q.TimeLimit, true
	}
	if points != out.TotalPoints {
		t.Fatalf("total_points is %d, the questions have %d", out.TotalPoints, points)
	}
	if in.TimeLimit != nil && seconds > *in.TimeLimit {
		t.Fatalf("the questions take %d s, the quiz %d s", seconds, *in.TimeLimit)
	}
	if len(tested) != min(n, len(in.Objectives)) {
		t.Fatalf("%d questions test %d of %d objectives", n, len(tested), len(in.Objectives))
	}
	checkQuestions(t, out.Questions)
}

func checkQuestions(t failer, questions []questionView) {
	t.Helper()
	keys(t, questions, func(q questionView) string { return q.Text })
	for i, q := range questions {
		if q.ID != fmt.Sprintf("q_%d", i+1) || q.Points < 1 || q.TimeLimit < 1 || q.Explanation == "" {
			t.Fatalf("question %d: %+v", i+1, q)
		}
		checkQuestion(t, q)
	}
}

func checkQuestion(t failer, q questionView) {
	t.Helper()
	keys(t, q.Options, func(o optionView) string { return o.Text })
	keys(t, q.Options, func(o optionView) string { return o.ID })
	var marked, all []any
	for _, o := range q.Options {
		all = append(all, o.Text)
		if o.IsCorrect {
			marked = append(marked, o.Text)
		}
	}
	one, isText := q.CorrectAnswer.(string)
	list, _ := q.CorrectAnswer.([]any)
	ok := true
	switch q.Type {
	case "multiple_choice":
		ok = len(all) >= 2 && len(marked) == 1 && isText && marked[0] == one
	case "true_false":
		ok = len(all) == 2 && len(marked) == 1 && isText && marked[0] == one
	case "short_answer":
		ok = len(all) == 0 && isText && one != ""
	case "fill_blank":
		ok = len(all) == 0 && isText && strings.Count(q.Text, "____") == 1
	case "matching":
		ok = len(all) >= 2 && len(marked) == len(all) && len(list) == len(all)
	case "ordering":
		ok = len(all) >= 3 && len(marked) == len(all) && len(list) == len(all) && !slices.Equal(all, list)
		for _, text := range list {
			ok = ok && slices.Contains(all, text)
		}
	}
	if !ok {
		t.Fatalf("the question breaks the rules of its type: %+v", q)
	}
}

func checkTerrain(t failer, input, result json.RawMessage) {
	t.Helper()
	out := decode[struct {
		Size       vectorView
		Operations []struct {
			Op, Material   string
			Position       vectorView
			Size           vectorView
			Radius, Height float64
			Turn           float64
		}
		Props []struct {
			Kind     string
			Position vectorView
			Size     vectorView
		}
		Luau   string
		Voxels float64
	}](t, result)
	inside := func(what string, p, size vectorView) {
		const slack = 0.02
		if math.Abs(p.X)+size.X/2 > out.Size.X/2+slack || math.Abs(p.Z)+size.Z/2 > out.Size.Z/2+slack ||
			p.Y-size.Y/2 < -slack || p.Y+size.Y/2 > out.Size.Y+slack {
			t.Fatalf("%s at %+v of %+v is outside %+v", what, p, size, out.Size)
		}
	}
	for _, o := range out.Operations {
		size := o.Size
		switch {
		case o.Op == "fill_ball":
			size = vectorView{2 * o.Radius, 2 * o.Radius, 2 * o.Radius}
		case o.Op == "fill_cylinder":
			size = vectorView{2 * o.Radius, o.Height, 2 * o.Radius}
		case o.Turn == 90 || o.Turn == 270:
			size.X, size.Z = size.Z, size.X
		}
		if size.X <= 0 || size.Y <= 0 || size.Z <= 0 {
			t.Fatalf("%s has no extent: %+v", o.Op, o)
		}
		inside(o.Op, o.Position, size)
	}
	spawns := 0
	for _, p := range out.Props {
		if p.Kind == "spawn" {
			spawns++
		}
		inside(p.Kind, vectorView{p.Position.X, p.Position.Y + p.Size.Y/2, p.Position.Z}, p.Size)
	}
	if spawns != 1 {
		t.Fatalf("%d spawns", spawns)
	}
	checkLuau(t, out.Luau)
}

func checkScript(t failer, input, result json.RawMessage) {
	t.Helper()
	in := decode[struct {
		ScriptType string `json:"script_type"`
	}](t, input)
	out := decode[struct {
		Name, Type, Code string
		Findings         []any
		Score            float64 `json:"quality_score"`
	}](t, result)
	if len(out.Findings) > 0 || out.Score < 0.5 || out.Score > 1 {
		t.Fatalf("quality score %v, findings %v", out.Score, out.Findings)
	}
	if in.ScriptType != "" && out.Type != in.ScriptType || in.ScriptType == "" && out.Type != "ServerScript" {
		t.Fatalf("a %q was asked for, a %q came", in.ScriptType, out.Type)
	}
	if module := strings.HasSuffix(strings.TrimSpace(out.Code), "return Module"); module != (out.Type == "ModuleScript") {
		t.Fatalf("the %s ends in\n%s", out.Type, out.Code[max(0, len(out.Code)-80):])
	}
	checkLuau(t, out.Code)
}

// checkLuau has the composer's scripts parse, with nothing to deny and nothing to look at. Of which letters the words of a teacher are, that
// a sign repeats, is not the composer's doing.
func checkLuau(t failer, code string) {
	t.Helper()
	findings := slices.DeleteFunc(vet.Check(code, vet.Server), func(f vet.Finding) bool { return f.Rule == "invisible-text" })
	if len(findings) > 0 {
		t.Fatalf("%v in\n%s", findings, code)
	}
}

// Lessons that were found wanting by somebody who read them: they name what they are to teach, and make no game of a genocide.
func TestContent_TeachesWhatItIsAskedFor(t *testing.T) {
	t.Parallel()
	for subject, c := range map[string]struct {
		grade, objective string
		want, never      []string
	}{
		"Science":     {"K-2", "Name the four seasons and their weather", []string{"spring", "summer", "fall", "winter"}, nil},
		"History":     {"9-12", "Explain how Nazi Germany persecuted and murdered the Jews of Europe", []string{"Nuremberg", "Auschwitz", "A quiet place"}, []string{"carry the blocks", "Renaissance", "plague", "Gate in"}},
		"Mathematics": {"3-5", "Add fractions", []string{"same denominator are added"}, []string{"angles of a triangle"}},
		"Biology":     {"6-8", "Describe how sex cells are made by meiosis", []string{"gives four cells"}, []string{"Bacteria"}},
	} {
		input, err := json.Marshal(object{"subject": subject, "grade_level": c.grade, "objectives": []string{c.objective}})
		if err != nil {
			t.Fatal(err)
		}
		got, _ := workerstest.Work(t, open(t, offline(), "content"), input)
		var lesson struct {
			Sections []struct{ Title, Body, Activity string }
		}
		if err := json.Unmarshal(got.Result, &lesson); err != nil {
			t.Fatal(err)
		}
		text := ""
		for _, s := range lesson.Sections {
			text += s.Body + "\n" + s.Activity + "\n"
		}
		for _, want := range c.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%s", subject, want, text)
			}
		}
		for _, never := range c.never {
			if strings.Contains(text, never) {
				t.Errorf("%s: %q in\n%s", subject, never, text)
			}
		}
	}
}
