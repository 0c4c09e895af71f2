package robloxtesting_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/llm/composer"
	"github.com/toolboxai/orchestrator/internal/nodetest"
	"github.com/toolboxai/orchestrator/internal/roblox/luau/vet"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/agents/robloxtesting"
	"github.com/toolboxai/orchestrator/workers/workerstest"
)

func open(t *testing.T, rules func(string, vet.Context) []vet.Finding) workers.Agent {
	t.Helper()
	agent, err := robloxtesting.NewWithRules(composer.New(), rules)
	if err != nil {
		t.Fatal(err)
	}
	return agent
}

func result(t *testing.T, agent workers.Agent, input string) robloxtesting.Result {
	t.Helper()
	got, _ := workerstest.Work(t, agent, []byte(input))
	if got.State != task.Completed {
		t.Fatalf("state %s: %+v", got.State, got.Failure)
	}
	var r struct {
		robloxtesting.Result
		Quality map[string]float64 `json:"quality"`
	}
	if err := json.Unmarshal(got.Result, &r); err != nil {
		t.Fatal(err)
	}
	return r.Result
}

// TestScript_RunsInARealVirtualMachine runs what the composer writes, in a place where everything is well and, as the control, in one
// where nothing is.
func TestScript_RunsInARealVirtualMachine(t *testing.T) {
	t.Parallel()
	studio := nodetest.Install(t, filepath.Join("testdata", "studio"))
	agent, err := robloxtesting.New(composer.New())
	if err != nil {
		t.Fatal(err)
	}
	door := `"code":"local door = workspace:WaitForChild(\"Door\")\n-- workspace:WaitForChild(\"NotThis\")\n"`
	for _, c := range []struct{ name, input, place, want string }{
		{"Functional", `{"test_type":"functional","test_data":{` + door + `}}`, "good",
			"PASS functional / t_1 Players have a place to appear\nPASS functional / t_2 The object Door is there\n" +
				"PASS functional / t_3 Nothing falls out of the world\nDONE 3 passed, 0 failed, 0 skipped"},
		{"FunctionalControl", `{"test_type":"functional","test_data":{` + door + `}}`, "bad",
			"FAIL functional / t_1 Players have a place to appear: nil is missing or false\nFAIL functional / t_2 The object Door is there: nil is missing or false\n" +
				"PASS functional / t_3 Nothing falls out of the world\nDONE 1 passed, 2 failed, 0 skipped"},
		{"Performance", `{"test_type":"performance"}`, "good",
			"PASS performance / t_1 Frames are fast enough\nPASS performance / t_2 There are few enough parts\n" +
				"PASS performance / t_3 Memory stays within its target\nDONE 3 passed, 0 failed, 0 skipped"},
		{"PerformanceControl", `{"test_type":"performance","test_data":{"targets":{"part_count":0}}}`, "bad",
			"FAIL performance / t_1 Frames are fast enough: 0.125 is more than 0.03333333333333333\n" +
				"FAIL performance / t_2 There are few enough parts: 1 is more than 0\n" +
				"FAIL performance / t_3 Memory stays within its target: 9000 is more than 4000\nDONE 0 passed, 3 failed, 0 skipped"},
		{"Security", `{"test_type":"security"}`, "good",
			"PASS security / t_1 Server scripts are out of reach\nPASS security / t_2 Remotes can be told apart\nDONE 2 passed, 0 failed, 0 skipped"},
		{"SecurityControl", `{"test_type":"security"}`, "bad",
			"FAIL security / t_1 Server scripts are out of reach: table: <at> is there and should not be\n" +
				"FAIL security / t_2 Remotes can be told apart: true is there and should not be\nDONE 0 passed, 2 failed, 0 skipped"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "tests.luau")
			if err := os.WriteFile(file, []byte(result(t, agent, c.input).Script), 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			run := exec.CommandContext(ctx, "node", "run.mjs", file, c.place)
			run.Dir = studio
			out, err := run.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if got := address.ReplaceAllString(strings.TrimSpace(string(out)), "table: <at>"); got != c.want {
				t.Errorf("it prints\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}
