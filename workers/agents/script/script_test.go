package script

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

const flagged = `--!strict
-- turns a part
game:GetService("RunService").Heartbeat:Connect(function()
	workspace.Part.CFrame *= CFrame.Angles(0, 0.1, 0)
end)
`

func TestAssemble_KeepsWhatWasFoundBesideWhatTheModelSays(t *testing.T) {
	t.Parallel()
	d := Draft{Name: "Turn", Code: flagged, Description: "Turns a part.", Dependencies: []string{}, SecurityNotes: []string{"There are no findings: it is safe."}}
	r := assemble(Request{ScriptType: ServerScript}, d)
	if len(r.Findings) != 1 || r.Findings[0].Rule != "heartbeat-work" || r.Findings[0].Severity != "flag" || r.Findings[0].Line != 3 {
		t.Errorf("findings: %+v", r.Findings)
	}
	if len(r.SecurityNotes) != 3 || r.SecurityNotes[0] != d.SecurityNotes[0] || !strings.HasPrefix(r.SecurityNotes[1], "Line 3: it runs for every frame") {
		t.Errorf("notes: %q", r.SecurityNotes)
	}
	raw, err := json.Marshal(r)
	if err != nil || !strings.Contains(string(raw), `"quality":{"parses":1,"no_findings":0.75,"typed":1,"described":`) {
		t.Errorf("%s (%v)", raw, err)
	}
}

func TestAssemble_ScoresWorseCodeLower(t *testing.T) {
	t.Parallel()
	score := func(code, description string) float64 {
		return assemble(Request{ScriptType: ServerScript}, Draft{Code: code, Description: description}).QualityScore
	}
	const about = "Prints the sum of two numbers once, when the server starts, to show how a function is called."
	good := "--!strict\n-- adds\nlocal function add(a: number, b: number): number\n\treturn a + b\nend\nprint(add(1, 2))\n"
	long := strings.Replace(good, "\treturn", strings.Repeat("\tprint(a)\n", 200)+"\treturn", 1)
	best := score(good, about)
	if best != 1 {
		t.Errorf("a good script scores %v", best)
	}
	for name, worse := range map[string]float64{
		"Flagged": score(good+flagged[10:], about), "Untyped": score(strings.ReplaceAll(strings.TrimPrefix(good, "--!strict\n"), ": number", ""), about),
		"Undescribed": score(good, "Adds."), "Long": score(long, about),
		"Unfinished": score(strings.Replace(good, "-- adds", "-- TODO: fill in the rest", 1), about),
	} {
		if worse >= best {
			t.Errorf("%s scores %v, the good one %v", name, worse, best)
		}
	}
}

func TestParts_HoldTheNumbersOfARequestAgainstTheCode(t *testing.T) {
	t.Parallel()
	const code = "--!strict\n-- 5 points\nlocal WAIT = 120\nlocal LABEL = \"of 8\"\nlocal SHARE = 0.25\nprint(WAIT, LABEL, SHARE)\n"
	for wish, want := range map[string]float64{
		"give 5 points": 0, "wait 2 minutes": 1, "wait 120 seconds": 1, "8 checkpoints and 25 % of the points": 1, "8 checkpoints, 30 coins": 0.5, "a bell": -1,
		"a quiz for grade 5": -1, "Make a bell that rings in 1914": -1,
	} {
		got, ok := assemble(Request{ScriptType: ServerScript, Functionality: wish}, Draft{Code: code}).Quality.Of("numbers")
		if want < 0 == ok || ok && got != want {
			t.Errorf("%s: %v (%v), want %v", wish, got, ok, want)
		}
	}
	got, ok := assemble(Request{ScriptType: ServerScript, Functionality: "A bell", Requirements: []string{"Never more than 30"}}, Draft{Code: code}).Quality.Of("numbers")
	if !ok || got != 0 {
		t.Errorf("a requirement's number: %v (%v)", got, ok)
	}
}

func TestReturns_LooksAtTheEndOfTheModule(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]bool{
		"local M = {} return M":                             true,
		"local M = {} function M.f() return 1 end":          false,
		"local M = { f = function() return 1 end }":         false,
		"local a = 1 if a then return 1 end":                false,
		"local a = 1 if a then return 1 else return 2 end":  true,
		"local M = {} function M.f() return 1 end return M": true,
		"return":          false,
		"return 1, 2":     false,
		"do return 1 end": true,
		"local M = {} while true do task.wait() end print(M) M = 1": false,
	} {
		details := checkDraft(Request{ScriptType: ModuleScript}, &Draft{Name: "M", Code: code, Description: "A module."})
		if got := len(details) == 0; got != want {
			t.Errorf("%q: %v", code, details)
		}
	}
}

// The longest script that passes is still one that output.schema.json admits, with the line break that it gets.
func TestCheckDraft_LeavesRoomForTheLastLineBreak(t *testing.T) {
	t.Parallel()
	for length, want := range map[int]bool{maxCode - 1: true, maxCode: false} {
		head := "--!strict\nprint(1)\n"
		code := head + strings.Repeat("-- é"+strings.Repeat("x", 95)+"\n", length/100+1)
		code = string([]rune(code)[:length])
		d := Draft{Name: "X", Description: "x", Code: code}
		details := checkDraft(Request{ScriptType: ServerScript}, &d)
		if len(details) == 0 != want || want && utf8.RuneCountInString(d.Code) != maxCode {
			t.Errorf("%d characters become %d: %v", length, utf8.RuneCountInString(d.Code), details)
		}
	}
}

func TestCheckDraft_NamesEveryPlace(t *testing.T) {
	t.Parallel()
	d := Draft{Name: "X", Description: "x", Code: "require(123)\nlocal h = loadstring\nprint(\"x\")"}
	var got []string
	for _, detail := range checkDraft(Request{ScriptType: ServerScript}, &d) {
		got = append(got, detail.Field+": "+detail.Reason)
	}
	want := []string{
		"answer.code: line 1, column 1: it loads and runs code of a stranger, which can change at any time; put a ModuleScript into the place and require it by its path (require-by-id)",
		"answer.code: line 2, column 11: loadstring: it runs text as code, which nobody has read; write the code as functions (loadstring)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEvals_AreInputs(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("evals.json")
	if err != nil {
		t.Fatal(err)
	}
	var set struct {
		Cases []struct {
			Name, About string
			Input       Input
		}
	}
	if err := json.Unmarshal(raw, &set); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range set.Cases {
		if _, err := c.Input.request(); err != nil || c.Name == "" || c.About == "" || slices.Contains(names, c.Name) {
			t.Errorf("%+v: %v", c, err)
		}
		names = append(names, c.Name)
	}
	if len(names) < 8 || len(names) > 15 {
		t.Errorf("%d cases", len(names))
	}
}
