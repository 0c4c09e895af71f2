package composer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/composer"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
)

func TestComposer_IsAClient(t *testing.T) {
	t.Parallel()
	llmtest.Run(t, func(*testing.T) llm.Client { return composer.New() }, requests()...)
}

func complete(t *testing.T, req llm.Request) string {
	t.Helper()
	resp, err := composer.New().Complete(t.Context(), req)
	if err != nil {
		t.Fatalf("%s: %v", req.Purpose, err)
	}
	return resp.Text
}

func TestComposer_SaysTheSameEachTime(t *testing.T) {
	t.Parallel()
	for _, req := range requests() {
		t.Run(req.Purpose, func(t *testing.T) {
			t.Parallel()
			if first, second := complete(t, req), complete(t, req); first != second {
				t.Errorf("it says\n%s\nand then\n%s", first, second)
			}
		})
	}
}

// The control: another input gives another answer, so that sameness is not for want of content.
func TestComposer_SaysSomethingElseToAnotherRequest(t *testing.T) {
	t.Parallel()
	for _, req := range requests() {
		t.Run(req.Purpose, func(t *testing.T) {
			t.Parallel()
			other := req
			other.Input = json.RawMessage(strings.NewReplacer("Explain photosynthesis", "Explain meiosis", "Add fractions", "Find the area",
				"mountain", "ocean", "A door that opens when touched", "A quiz about planets", "wait(n)", "print(n)", "The door opens", "Coins count").Replace(string(req.Input)))
			if complete(t, req) == complete(t, other) {
				t.Error("another request got the same answer")
			}
		})
	}
}

func TestComposer_RefusesWhatItCannotServe(t *testing.T) {
	t.Parallel()
	for name, req := range map[string]llm.Request{
		"UnknownPurpose": {Purpose: "poem.draft", Input: json.RawMessage(`{}`)},
		"NoInput":        {Purpose: "quiz.draft"},
		"OtherInput":     {Purpose: "quiz.draft", Input: json.RawMessage(`[]`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resp, err := composer.New().Complete(t.Context(), req)
			if !fault.Is(err, fault.Invalid) || resp.Text != "" {
				t.Errorf("got %q, %v", resp.Text, err)
			}
		})
	}
}

func TestComposer_StopsInTheMiddleOfItsText(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	req, pieces := requests()[1], 0
	req.OnDelta = func(string) {
		pieces++
		cancel()
	}
	resp, err := composer.New().Complete(ctx, req)
	if !fault.Is(err, fault.Canceled) || resp.Text != "" || pieces != 1 {
		t.Errorf("%d pieces, text %q, %v", pieces, resp.Text, err)
	}
}

type question struct {
	Type          string
	Text          string
	Options       []struct{ Text string }
	CorrectAnswer any `json:"correct_answer"`
	Hints         []string
}

func draft(t *testing.T, subject, objective, kind string, n int) []question {
	t.Helper()
	var slots []map[string]any
	for i := range n {
		slots = append(slots, map[string]any{"number": i + 1, "type": kind, "objective": 1})
	}
	input, err := json.Marshal(map[string]any{
		"request": map[string]any{"subject": subject, "objectives": []any{map[string]string{"title": objective}}, "difficulty": "medium"},
		"slots":   slots, "from": 0, "to": n,
	})
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Questions []question }
	if err := json.Unmarshal([]byte(complete(t, llm.Request{Purpose: "quiz.draft", Input: input})), &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Questions
}

func TestComposer_AsksAboutTheObjective(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ subject, objective, word string }{
		{"Mathematics", "Add fractions", `(?i)fraction|/\d`},
		{"maths", "Work out percentages", `(?i)percent`},
		{"Biology", "Explain photosynthesis", `(?i)photosynthesis|plant|sun|chloro|oxygen`},
		{"History", "Life in ancient Egypt", `(?i)egypt|nile|pyramid|pharaoh|hieroglyph|papyrus|giza|mumm|body preserved|tombs`},
		{"Geography", "Use a compass and a map", `(?i)map|compass|direction|north|legend`},
		{"Chemistry", "Tell acids from bases", `(?i)acid|base|ph|hydrogen|neutral|sour|soap`},
		{"Computer Science", "Understand loops", `(?i)loop|repeat|same instructions`},
		{"Physics", "Electric circuits", `(?i)circuit|current|volt|ohm|electric|conduct|charge|copper|plastic|power|resist`},
	} {
		t.Run(c.subject+"/"+c.objective, func(t *testing.T) {
			t.Parallel()
			word := regexp.MustCompile(c.word)
			for _, kind := range []string{"multiple_choice", "short_answer"} {
				for _, q := range draft(t, c.subject, c.objective, kind, 4) {
					if !word.MatchString(q.Text) {
						t.Errorf("%s asks %q", kind, q.Text)
					}
				}
			}
		})
	}
}

// TestComposer_CalculatesRightly works the exercises out again.
func TestComposer_CalculatesRightly(t *testing.T) {
	t.Parallel()
	sum := regexp.MustCompile(`^What is (\d+) ([+−×÷]) (\d+)\?$`)
	found := 0
	for _, objective := range []string{"addition", "subtraction", "multiplication", "division"} {
		for _, q := range draft(t, "Mathematics", objective, "multiple_choice", 20) {
			m := sum.FindStringSubmatch(q.Text)
			if m == nil {
				continue
			}
			found++
			a, b := number(t, m[1]), number(t, m[3])
			want := map[string]int{"+": a + b, "−": a - b, "×": a * b}[m[2]]
			if m[2] == "÷" {
				if a%b != 0 {
					t.Errorf("%q does not come out even", q.Text)
				}
				want = a / b
			}
			if q.CorrectAnswer != strconv.Itoa(want) {
				t.Errorf("%q is said to be %v, it is %d", q.Text, q.CorrectAnswer, want)
			}
		}
	}
	if found < 30 {
		t.Errorf("only %d exercises were found", found)
	}
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestComposer_SpreadsTheRightOptions(t *testing.T) {
	t.Parallel()
	places := map[int]int{}
	for _, q := range draft(t, "Science", "Everything", "multiple_choice", 40) {
		for i, o := range q.Options {
			if o.Text == q.CorrectAnswer {
				places[i]++
			}
		}
	}
	for i := range 4 {
		if places[i] < 4 {
			t.Errorf("of 40 right options, %d stand at place %d: %v", places[i], i, places)
		}
	}
	truths := map[any]int{}
	for _, q := range draft(t, "Science", "Everything", "true_false", 40) {
		truths[q.CorrectAnswer]++
	}
	if truths["True"] < 12 || truths["False"] < 12 {
		t.Errorf("of 40 statements: %v", truths)
	}
}

func TestComposer_HintsDoNotGiveTheAnswerAway(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"multiple_choice", "short_answer", "fill_blank"} {
		for _, q := range draft(t, "Biology", "cells", kind, 40) {
			answer, _ := q.CorrectAnswer.(string)
			for _, hint := range q.Hints {
				if len(answer) > 2 && strings.Contains(strings.ToLower(hint), strings.ToLower(answer)) {
					t.Errorf("%q: the hint %q holds the answer %q", q.Text, hint, answer)
				}
			}
		}
	}
}

func TestComposer_SaysPlainlyWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	request := strings.NewReplacer("Biology", "Beekeeping", "Explain photosynthesis", "Inspect a hive").Replace(content)
	outline := complete(t, llm.Request{Purpose: "content.outline", Input: json.RawMessage(`{"request":` + request + `}`)})
	if !strings.Contains(outline, "The offline composer knows no facts about Beekeeping. This is a scaffold: whatever stands in [square brackets] is for the teacher to fill in.") {
		t.Errorf("the summary does not say so: %s", outline)
	}
	request = strings.ReplaceAll(content, "Explain photosynthesis", "Xyzzy plugh")
	outline = complete(t, llm.Request{Purpose: "content.outline", Input: json.RawMessage(`{"request":` + request + `}`)})
	if !strings.Contains(outline, "The offline bank has nothing on objective 1: fill in what stands in [square brackets] there.") {
		t.Errorf("the summary does not say so: %s", outline)
	}
}

func TestComposer_ReadsTimesInRequestsForScripts(t *testing.T) {
	t.Parallel()
	for functionality, want := range map[string]string{
		"A door that closes after 12 seconds":       "OPEN_SECONDS = 12 ",
		"A door that closes after five seconds":     "OPEN_SECONDS = 5 ",
		"A door":                                    "OPEN_SECONDS = 5 ",
		"A countdown of two minutes":                "ROUND_SECONDS = 120\n",
		"Day and night within thirty minutes":       "DAY_SECONDS = 1800 ",
		"Coins to collect that return in 30-second": "RETURN_SECONDS = 30 ",
	} {
		input, err := json.Marshal(map[string]any{"request": map[string]any{"script_type": "ServerScript", "functionality": functionality}})
		if err != nil {
			t.Fatal(err)
		}
		var answer struct{ Code string }
		if err := json.Unmarshal([]byte(complete(t, llm.Request{Purpose: "script.draft", Input: input})), &answer); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(answer.Code, want) {
			t.Errorf("%q: the code lacks %q", functionality, want)
		}
	}
}

func TestComposer_HintsAtNumbersAndSymbolsTellNoneOfThem(t *testing.T) {
	t.Parallel()
	for _, subject := range []string{"Mathematics", "Chemistry", "Computer Science"} {
		for _, q := range draft(t, subject, "Everything", "fill_blank", 40) {
			answer := fmt.Sprint(q.CorrectAnswer)
			if number := strings.Trim(answer, "0123456789.,") == ""; !number && len([]rune(answer)) > 2 {
				continue
			}
			for _, hint := range q.Hints {
				if strings.Contains(hint, "begins with") || strings.Contains(hint, "“"+answer+"”") {
					t.Errorf("%s: the hint at %q is %q", q.Text, answer, hint)
				}
			}
		}
	}
}
