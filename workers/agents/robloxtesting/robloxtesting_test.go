package robloxtesting_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/llm/composer"
	"github.com/toolboxai/orchestrator/internal/roblox/luau/vet"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers/agents/robloxtesting"
	"github.com/toolboxai/orchestrator/workers/workerstest"
)

var address = regexp.MustCompile(`table: 0x[0-9a-f]+`)

func TestMetrics_AreRatedByTheirTargets(t *testing.T) {
	t.Parallel()
	agent := open(t, none)
	for _, c := range []struct{ metrics, targets, rows, verdict string }{
		{`{"fps":55}`, `{}`, "fps pass 55 30", "pass"},
		{`{"fps":54.9}`, `{}`, "fps warn 55 30", "warn"},
		{`{"fps":30}`, `{}`, "fps warn 55 30", "warn"},
		{`{"fps":29.9}`, `{}`, "fps fail 55 30", "fail"},
		{`{"ping_ms":120,"memory_mb":1301}`, `{}`, "memory_mb fail 800 1300, ping_ms pass 120 250", "fail"},
		{`{"error_count":0}`, `{}`, "error_count pass 0 3", "pass"},
		{`{"error_count":4}`, `{"error_count":2}`, "error_count warn 2 5", "warn"},
		{`{"fps":50}`, `{"fps":110}`, "fps fail 110 60", "fail"},
		{`{"ping_ms":200}`, `{"ping_ms":240}`, "ping_ms pass 240 500", "pass"},
		{`{"quiz_load_s":4}`, `{"quiz_load_s":2}`, "quiz_load_s fail 2 3", "fail"},
		{`{"weather":4}`, `{}`, "weather unrated - -", "not_run"},
		{`{}`, `{"fps":1}`, "", "not_run"},
	} {
		r := result(t, agent, `{"test_type":"performance","test_data":{"metrics":`+c.metrics+`,"targets":`+c.targets+`}}`)
		var rows []string
		number := func(f *float64) string {
			if f == nil {
				return "-"
			}
			return fmt.Sprint(*f)
		}
		for _, row := range r.Evaluation {
			rows = append(rows, row.Metric+" "+row.Verdict+" "+number(row.Target)+" "+number(row.Limit))
		}
		if got := strings.Join(rows, ", "); got != c.rows || r.Verdict != c.verdict {
			t.Errorf("%s with targets %s: %s, verdict %s; want %s, %s", c.metrics, c.targets, got, r.Verdict, c.rows, c.verdict)
		}
	}
}

func none(string, vet.Context) []vet.Finding { return nil }

const trade = `"code":"require(123)()\nwhile true do end\n","metrics":{"fps":60}`

// finds denies and flags the script under test, and nothing in a test script.
func finds(source string, _ vet.Context) []vet.Finding {
	if !strings.HasPrefix(source, "require(123)") {
		return nil
	}
	return []vet.Finding{
		{Rule: "require-by-id", Severity: vet.Deny, Line: 1, Why: "It runs code of others.", Mend: "Write it here."},
		{Rule: "endless-loop", Severity: vet.Flag, Line: 2, Why: "It hangs.", Mend: "Call task.wait."},
	}
}

func TestStatic_DecidesTheVerdictAndComesFirstInSecurity(t *testing.T) {
	t.Parallel()
	for kind, first := range map[string]string{"security": "Line 1: require-by-id", "functional": "Players have a place to appear"} {
		r := result(t, open(t, finds), `{"test_type":"`+kind+`","test_data":{`+trade+`}}`)
		if r.Verdict != "fail" || len(r.Static) != 2 || r.Static[0].Rule != "require-by-id" || r.Cases[0].Name != first {
			t.Errorf("%s: verdict %s, static %+v, first case %q", kind, r.Verdict, r.Static, r.Cases[0].Name)
		}
		if leads := strings.HasPrefix(r.Summary, "Verdict fail: the fixed rules deny 1 place of the script; the fixed rules flag 1 place"); leads != (kind == "security") {
			t.Errorf("%s: %s", kind, r.Summary)
		}
	}
	// The control: without findings the same input passes by its metrics.
	if r := result(t, open(t, none), `{"test_type":"security","test_data":{`+trade+`}}`); r.Verdict != "pass" || len(r.Static) != 0 {
		t.Errorf("verdict %s, static %+v", r.Verdict, r.Static)
	}
}

// TestScript_MustPassTheRules has rules that deny something in every test script.
func TestScript_MustPassTheRules(t *testing.T) {
	t.Parallel()
	agent := open(t, func(source string, _ vet.Context) []vet.Finding {
		line := strings.Count(source[:strings.Index(source, "describe(\"")], "\n") + 1
		return []vet.Finding{{Rule: "x", Severity: vet.Deny, Line: line, Why: "it is denied", Mend: "leave it out"}}
	})
	got, _ := workerstest.Work(t, agent, []byte(`{"test_type":"security"}`))
	if got.State != task.Failed || !strings.Contains(got.Failure.Error, "answer.code line 3: it is denied; leave it out (x)") {
		t.Errorf("state %s, failure %+v", got.State, got.Failure)
	}
}

func TestScript_OfTheComposerPassesTheRealRules(t *testing.T) {
	t.Parallel()
	agent, err := robloxtesting.New(composer.New())
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"functional", "performance", "security"} {
		for _, where := range []vet.Context{vet.Server, vet.Client, vet.Module} {
			r := result(t, agent, `{"test_type":"`+kind+`","test_data":{"script_type":"`+string(where)+`","code":"return workspace:WaitForChild(\"Door\")\n"}}`)
			for _, f := range vet.Check(r.Script, r.RunsIn) {
				t.Errorf("%s in %s: line %d: %s: %s", kind, r.RunsIn, f.Line, f.Rule, f.Why)
			}
			if (where == vet.Client) != (r.RunsIn == vet.Client) {
				t.Errorf("the test of a %s runs in a %s", where, r.RunsIn)
			}
		}
	}
}

func TestInput_HasBounds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ data, want string }{
		"LongCode":   {`{"code":"` + strings.Repeat("ü", 40000) + `"}`, "input.test_data.code has 80000 bytes, at most 65536 are allowed"},
		"LargeOther": {`{"notes":"` + strings.Repeat("x", 17000) + `"}`, "input.test_data has 17012 bytes in fields without a name of ours, at most 16384 are allowed"},
		"OddMetric":  {`{"metrics":{"</metrics>":1}}`, `input.test_data.metrics has the name "</metrics>"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, _ := workerstest.Work(t, open(t, none), []byte(`{"test_type":"functional","test_data":`+c.data+`}`))
			if got.State != task.Failed || !strings.Contains(got.Failure.Error, c.want) {
				t.Errorf("state %s, failure %+v, want %s", got.State, got.Failure, c.want)
			}
		})
	}
}
