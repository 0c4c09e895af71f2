package analytics

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func studyOf(t *testing.T, input string) *study {
	t.Helper()
	var in Input
	if err := json.Unmarshal([]byte(input), &in); err != nil {
		t.Fatal(err)
	}
	s, err := compute(in)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *study) value(t *testing.T, name string) Figure {
	t.Helper()
	for _, f := range s.figures.list {
		if f.Name == name {
			return f
		}
	}
	var names []string
	for _, f := range s.figures.list {
		names = append(names, f.Name)
	}
	t.Fatalf("there is no figure %q among %v", name, names)
	return Figure{}
}

// The expected values were worked out by hand, from the definitions: quantiles of type 7, the standard deviation with n-1, least squares, and
// the t-tests of the slope and of the correlation.
func TestStatistics_FollowTheirDefinitions(t *testing.T) {
	t.Parallel()
	d := describe([]float64{4, 1, 3, 2, 10, 7})
	for name, c := range map[string][2]float64{
		"mean": {d.mean, 4.5}, "median": {d.median, 3.5}, "p90": {d.p90, 8.5}, "sd": {d.sd, 3.391165}, "q1": {d.q1, 2.25}, "q3": {d.q3, 6.25},
	} {
		if math.Abs(c[0]-c[1]) > 1e-6 {
			t.Errorf("%s is %v, want %v", name, c[0], c[1])
		}
	}
	l, ok := fit([]float64{1, 2, 3, 4, 5}, []float64{2, 4, 5, 4, 5})
	if !ok || math.Abs(l.beta-0.6) > 1e-9 || math.Abs(l.alpha-2.2) > 1e-9 || math.Abs(l.r2-0.6) > 1e-9 || math.Abs(l.p-0.1240) > 1e-4 {
		t.Errorf("the line is %+v", l)
	}
	if _, ok := fit([]float64{1, 1, 1}, []float64{1, 2, 3}); ok {
		t.Error("a line goes through points above each other")
	}
	if low, high, n := describe([]float64{1, 2, 3, 4, 50}).outliers([]float64{1, 2, 3, 4, 50}); low != -1 || high != 7 || n != 1 {
		t.Errorf("fences %v and %v, %d outliers", low, high, n)
	}
}

func TestTrend_TellsARiseFromNoise(t *testing.T) {
	t.Parallel()
	s := studyOf(t, `{"analysis_data":{"series":{"up":[1,2,3,4,5.5,6,7,8],"noise":[5,9,4,8,6,7,5,9,4,8],"short":[1,2,3]}}}`)
	if f := s.value(t, "trend.up.slope"); f.Weak || f.Reading != "it rises, clearly" {
		t.Errorf("up: %+v", f)
	}
	if f := s.value(t, "trend.noise.slope"); !f.Weak || f.Reading != "no clear trend" {
		t.Errorf("noise: %+v", f)
	}
	for _, f := range s.figures.list {
		if strings.HasPrefix(f.Name, "trend.short") {
			t.Errorf("three values have a trend: %+v", f)
		}
	}
}

func TestLearning_FindsWhoNeedsHelp(t *testing.T) {
	t.Parallel()
	var records []string
	for i, right := range []string{"111110", "100000", "110110"} {
		for k, c := range right {
			records = append(records, fmt.Sprintf(`{"student":"s%d","objective":"%s","question":"q%d","score":%c,"max_score":1}`, i, []string{"A", "B"}[k/3], k, c))
		}
	}
	s := studyOf(t, `{"data_type":"learning","analysis_data":{"records":[`+strings.Join(records, ",")+`]}}`)
	for name, want := range map[string]float64{
		"students": 3, "learning.mean": 55.56, "mastery.a": 66.67, "mastery.a.mastered_by": 1, "mastery.b": 44.44, "mastery.b.students": 3,
		"help.count": 1, "student_2.mean": 16.67, "question.q5": 0,
	} {
		if f := s.value(t, name); f.Value != want {
			t.Errorf("%s is %v, want %v", name, f.Value, want)
		}
	}
}

func TestBehavior_CountsWhoComesBackAndWhoIsLost(t *testing.T) {
	t.Parallel()
	// a: days 1, 2 and 8; b: days 1 and 3; c: day 8 only, too late to be seen coming back.
	s := studyOf(t, `{"analysis_data":{"records":[
		{"player":"a","date":"2026-10-01","session_seconds":600,"stage":1},{"player":"a","date":"2026-10-02","session_seconds":30,"stage":2},
		{"player":"a","date":"2026-10-08","session_seconds":90,"stage":10},{"player":"b","date":"2026-10-01T23:59:00Z","session_seconds":120,"stage":1},
		{"player":"b","date":"2026-10-03","session_seconds":60,"stage":2},{"player":"c","date":"2026-10-08","session_seconds":300,"stage":1}]}}`)
	for name, want := range map[string]float64{
		"retention.next_day": 50, "retention.next_day.players": 2, "retention.next_week": 50, "session.median": 1.75, "session.short": 16.67,
		"stage.1.reached": 3, "stage.2.lost": 33.33, "stage.10.lost": 50, "records_per_player": 2,
	} {
		if f := s.value(t, name); f.Value != want {
			t.Errorf("%s is %v, want %v", name, f.Value, want)
		}
	}
}

// Three of three answers are needed to judge somebody: who has one, with 3 of 10 points, is not said to need no help.
func TestLearning_SaysNothingOfWhoHasTooFewAnswers(t *testing.T) {
	t.Parallel()
	s := studyOf(t, `{"data_type":"learning","analysis_data":{"records":[{"student":"Mia","score":3,"max_score":10},{"student":"Ben","score":9,"max_score":10}]}}`)
	for _, f := range s.figures.list {
		if f.Name == "help.count" || strings.HasPrefix(f.Name, "max_score.") {
			t.Errorf("%+v", f)
		}
	}
	if !slices.ContainsFunc(s.notes, func(n string) bool { return strings.HasPrefix(n, "2 of 2 students have fewer than 3 answers") }) {
		t.Errorf("notes %q", s.notes)
	}
	for _, table := range s.tables {
		for _, row := range table.Rows {
			if table.Title == "Students" && row[4] != "too few answers" {
				t.Errorf("row %v", row)
			}
		}
	}
}

// b is first seen at the quiz, and c never gets there: of four who came, two are lost.
func TestFunnel_CountsWhoIsSeenLaterAmongThoseWhoCameBefore(t *testing.T) {
	t.Parallel()
	s := studyOf(t, `{"analysis_data":{"records":[{"player":"a","stage":"intro"},{"player":"b","stage":"quiz"},{"player":"a","stage":"quiz"},
		{"player":"c","stage":"intro"},{"player":"d","stage":"intro"}]}}`)
	for name, want := range map[string]float64{"stage.intro.reached": 4, "stage.quiz.reached": 2, "stage.quiz.lost": 50} {
		if f := s.value(t, name); f.Value != want {
			t.Errorf("%s is %v, want %v", name, f.Value, want)
		}
	}
	s = studyOf(t, `{"analysis_data":{"records":[{"player":"a","stage":1},{"player":"b","stage":2},{"player":"c","stage":2}]}}`)
	if f := s.value(t, "stage.2.lost"); f.Value != 33.33 {
		t.Errorf("%v %% are lost on the way to a stage that two of three reached", f.Value)
	}
}

func TestPerformance_HoldsSeriesAndSingleFiguresAgainstTargets(t *testing.T) {
	t.Parallel()
	s := studyOf(t, `{"data_type":"performance","analysis_data":{"metrics":{"ping_ms":210,"server_memory_mb":3300,"players":10,"fps":60},"series":{"fps":[60,31,59,58]}}}`)
	for name, want := range map[string]float64{"target.ping_ms.kept": 0, "target.server_memory_mb.kept": 100, "target.fps.kept": 75} {
		if f := s.value(t, name); f.Value != want {
			t.Errorf("%s is %v, want %v", name, f.Value, want)
		}
	}
}

func TestPerformance_HoldsSamplesAgainstTargets(t *testing.T) {
	t.Parallel()
	s := studyOf(t, `{"data_type":"performance","analysis_data":{"records":[
		{"fps":60,"ping_ms":90,"server_memory_mb":3300,"players":10},{"fps":54,"ping_ms":151,"server_memory_mb":3300,"players":0},
		{"fps":55,"ping_ms":150,"server_memory_mb":3700,"players":10},{"fps":20}]}}`)
	for name, want := range map[string]float64{
		"target.fps.kept": 50, "target.fps.limit": 55, "target.ping_ms.kept": 66.67, "target.server_memory_mb.kept": 66.67,
	} {
		if f := s.value(t, name); f.Value != want {
			t.Errorf("%s is %v, want %v", name, f.Value, want)
		}
	}
}

func TestNumerals_AreFoundInAnyWriting(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]float64{
		"from 1,234.5 to 71,25 and 3%": {1234.5, 71.25, 3},
		"Twenty-one of thirty five":    {21, 35},
		"at 12.":                       {12},
		"٩١ and ９１":                    {91, 91},
		"one of them, once":            nil,
		"-3.20":                        {3.2},
	} {
		var got []float64
		for _, n := range numerals(asciiDigits(text)) {
			if !n.known {
				t.Errorf("%q: %q is not read", text, n.text)
			}
			got = append(got, n.value)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q has %v, want %v", text, got, want)
		}
	}
	for _, text := range []string{"½", "Ⅳ", "a dozen", "doubled", "half", "1.2.3"} {
		if all := numerals(text); len(all) == 0 || all[0].known {
			t.Errorf("%q: %+v", text, all)
		}
	}
}

func TestScope_AllowsRoundingAndLabelsAndNothingElse(t *testing.T) {
	t.Parallel()
	s := newScope([]string{"Level 3", "2026-10-01", "5", "Two-part verbs"}, "student", 12, "Did 35 percent pass?")
	from := []Figure{{Value: 71.25}, {Value: -3.4}, {Value: 1234}, {Value: 0.4286}}
	for text, want := range map[string]string{
		"71.25, 71.3, 71 and -3.4":         "",
		"1,234 or 0.43":                    "",
		"level 3, 2026-10-01, student 12.": "",
		"Two-part verbs by 35 percent":     "",
		"72":                               "72",
		"71.1":                             "71.1",
		"a mean of 3":                      "3",
		"a group of 5":                     "5",
		"level 30":                         "30",
		"student 13":                       "13",
		"student 0":                        "0",
		"two verbs":                        "two",
		"43 %":                             "43",
		"1.234.567":                        "1.234.567",
	} {
		got := s.strays(text, from)
		if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || got[0].number != want) {
			t.Errorf("%q: %v, want %q", text, got, want)
		}
	}
}

// TestReport_PassesOnlyWithTheFigures is the control of the rule about numbers: the same words pass once the figure is there.
func TestReport_PassesOnlyWithTheFigures(t *testing.T) {
	t.Parallel()
	report := func() *Report {
		return &Report{
			Summary: "In all, 83.1 % passed.", Recommendations: []string{"Go on."},
			Insights: []Insight{{Title: "Passed", Detail: "83 % did.", Figures: []string{"passed"}, Confidence: "medium"}},
		}
	}
	req := Request{Figures: []Figure{{Name: "passed", Value: 38.1}}, scope: newScope(nil, "student", 0)}
	if details := checkReport(req, report()); len(details) != 2 {
		t.Errorf("the lie was refused for %v", details)
	}
	req.Figures[0].Value = 83.1
	if details := checkReport(req, report()); len(details) != 0 {
		t.Errorf("the truth was refused for %v", details)
	}
}

// TestReport_CatchesEveryOtherNumber draws a figure and a number that does not round to it.
func TestReport_CatchesEveryOtherNumber(t *testing.T) {
	t.Parallel()
	s := newScope(nil, "student", 0)
	rapid.Check(t, func(t *rapid.T) {
		v := round(rapid.Float64Range(-1e6, 1e6).Draw(t, "figure"))
		from := []Figure{{Name: "f", Value: v}}
		if said := "It is " + formatNumber(v) + "."; len(s.strays(said, from)) > 0 {
			t.Fatalf("%q was refused", said)
		}
		lie := round(v + rapid.Float64Range(1, 100).Draw(t, "by"))
		if said := "It is " + formatNumber(lie) + "."; math.Abs(lie) != math.Abs(v) && len(s.strays(said, from)) != 1 && math.Abs(math.Abs(lie)-math.Abs(v)) > 0.5 {
			t.Fatalf("%q passed for %v", said, v)
		}
	})
}

func TestPeople_AreHiddenInTexts(t *testing.T) {
	t.Parallel()
	columns := []column{
		newColumn("student_id", []value{textValue("1207731"), textValue("1207732"), textValue("7")}),
		newColumn("student_name", []value{textValue("Ana María Ruiz"), textValue("Li"), textValue("王小明")}),
		newColumn("teacher", []value{textValue("Eva Stone"), {}, {}}),
	}
	p := newPeople("student", columns, 3)
	for text, want := range map[string]string{
		"How is ANA MARÍA RUIZ?":           "How is student 1?",
		"Ruiz and Li, but not in listings": "student 1 and student 2, but not in listings",
		"1207731 is not 12077310":          "student 1 is not 12077310",
		"王小明的成绩":                           "student 3的成绩",
		"Stone age, by Eva Stone":          "a person age, by a person",
		"7 questions":                      "7 questions",
	} {
		if got := p.hide(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func TestRoleOf_KnowsPeopleByManyNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]role{
		"Student Full Name": student, "playerUserId": student, "pupil_no": student, "Parent E-Mail": student, "nickname": student, "teacher_1": adult,
		"student_score": other, "players_online": other, "objective_name": other, "skill": objective, "Is Correct": correct, "userRating": other,
	} {
		if got := roleOf(name); got != want {
			t.Errorf("%s has role %d, want %d", name, got, want)
		}
	}
}

func TestStudy_StaysWithinItsBounds(t *testing.T) {
	t.Parallel()
	var records []string
	for i := range 5000 {
		records = append(records, fmt.Sprintf(`{"s":"p%d","student":"p%d","objective":"o%d","question":"q%d","correct":%t,"a":%d,"b":%d}`, i, i, i, i%700, i%3 == 0, i, i*i%97))
	}
	s := studyOf(t, `{"data_type":"learning","analysis_data":{"group_by":"s","records":[`+strings.Join(records, ",")+`]}}`)
	if len(s.figures.list) > maxFigures || len(s.tables) > maxTables || len(s.charts) > maxCharts || len(s.notes) > maxNotes {
		t.Errorf("%d figures, %d tables, %d charts, %d notes", len(s.figures.list), len(s.tables), len(s.charts), len(s.notes))
	}
	for _, table := range s.tables {
		if len(table.Rows) > maxRows {
			t.Errorf("%s has %d rows", table.Title, len(table.Rows))
		}
	}
}

func BenchmarkCompute(b *testing.B) {
	var records []map[string]json.RawMessage
	for i := range 5000 {
		records = append(records, map[string]json.RawMessage{
			"student": json.RawMessage(fmt.Sprintf("%q", fmt.Sprintf("Pupil Name%d", i%1500))), "objective": json.RawMessage(fmt.Sprintf(`"o%d"`, i%20)),
			"correct": json.RawMessage("true"), "seconds": json.RawMessage(fmt.Sprint(i % 97)), "attempts": json.RawMessage(fmt.Sprint(i % 5)),
		})
	}
	in := Input{DataType: Learning, Data: Data{Records: records, Question: "How is everybody?"}}
	for b.Loop() {
		if _, err := compute(in); err != nil {
			b.Fatal(err)
		}
	}
}
