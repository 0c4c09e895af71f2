package llm_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/llm"
)

func TestExtractJSON(t *testing.T) {
	t.Parallel()
	const object = `{"a":[1,{"b":"}"}]}`
	for _, c := range []struct {
		name, text string
		objectOnly bool
		want       string // "" for ErrNoJSON
	}{
		{"Bare", object, true, object},
		{"WithSpaceAround", "\n\t" + object + " \n", true, object},
		{"WithAByteOrderMark", "\ufeff" + object, true, object},
		{"List", `[1,2]`, false, `[1,2]`},
		{"Scalar", `"yes"`, false, `"yes"`},
		{"Fenced", "```json\n" + object + "\n```", true, object},
		{"FencedWithoutALanguage", "```\n" + object + "\n```", true, object},
		{"FencedOnOneLine", "```" + object + "```", true, object},
		{"FencedInProse", "Here:\n```json\n" + object + "\n```\nEnjoy {it}!", true, object},
		{"FencedScalar", "```json\n42\n```", false, "42"},
		{"InProse", "Here it is: " + object + " – enjoy.", true, object},
		{"AfterReasoning", "<think>maybe {\"a\":0}?</think>\n" + object, true, object},
		{"PlaceholderInProse", "For {name}: " + object, true, object},
		{"ListInProseBesideAnObject", "As in [1]: " + object, true, object},
		{"HoldsAFence", "{\"code\":\"```lua\\nprint()\\n```\"}", true, "{\"code\":\"```lua\\nprint()\\n```\"}"},
		{"ListInProseWhereListsCount", "As in [1]: " + object, false, ""},
		{"Nothing", "", true, ""},
		{"Prose", "No.", true, ""},
		{"ProseWithNumbers", "There are 3.", false, ""},
		{"Two", object + "\n" + object, true, ""},
		{"TwoFences", "```json\n" + object + "\n```\nor\n```json\n" + object + "\n```", true, ""},
		{"Unfinished", `{"a":[1,{"b":2}`, true, ""},
		{"BrokenAroundAWholeValue", `{"a":[{"b":2}],}`, true, ""},
		{"BrokenListAroundAWholeValue", `[{"b":2},]`, false, ""},
		{"ManyBrackets", strings.Repeat("{x", 100) + object, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := llm.ExtractJSON(c.text, c.objectOnly)
			if (err != nil) != (c.want == "") || err != nil && !errors.Is(err, llm.ErrNoJSON) {
				t.Fatalf("got %q, %v", got, err)
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func FuzzExtractJSON(f *testing.F) {
	for _, seed := range []string{`{"a":1}`, "```json\n[1]\n```", "x {y} {\"a\":1} z", "<think>{</think>1", "{{{{[[[[", "\ufeff", "```"} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, text string, objectOnly bool) {
		got, err := llm.ExtractJSON(text, objectOnly)
		if err != nil {
			if got != "" || !errors.Is(err, llm.ErrNoJSON) {
				t.Errorf("got %q, %v", got, err)
			}
			return
		}
		if !json.Valid([]byte(got)) || !strings.Contains(text, got) {
			t.Errorf("%q is not a JSON value within %q", got, text)
		}
		if again, err := llm.ExtractJSON(got, objectOnly); err != nil || again != got {
			t.Errorf("%q does not stay itself: %q, %v", got, again, err)
		}
	})
}
