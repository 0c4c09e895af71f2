package agents_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers/workerstest"
)

// TestEvals_CompleteWithTheComposer runs the evaluation set of each kind that has one.
func TestEvals_CompleteWithTheComposer(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*/evals.json")
	if err != nil || len(files) < 2 {
		t.Fatalf("%v: %v", files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		set := decode[struct {
			Cases []struct {
				Name, About string
				Input       json.RawMessage
			}
		}](t, data)
		if n := len(set.Cases); n < 8 || n > 15 {
			t.Errorf("%s has %d cases", file, n)
		}
		kind := filepath.Dir(file)
		if name, ok := map[string]string{"asset": "roblox_asset", "analytics": "roblox_analytics", "codereview": "code_review", "robloxtesting": "roblox_testing"}[kind]; ok {
			kind = name
		}
		if kind == "chat" {
			continue // it is not in All: the command eval runs its set, see TestEval_RatesEveryKind
		}
		for _, c := range set.Cases {
			t.Run(kind+"/"+c.Name, func(t *testing.T) {
				t.Parallel()
				agent := open(t, newModel(nil), kind)
				if err := catalogOf(t, agent).CheckInput(kind, c.Input); err != nil || c.About == "" {
					t.Fatalf("%q: %v", c.About, err)
				}
				if got, _ := workerstest.Work(t, agent, c.Input); got.State != task.Completed {
					t.Errorf("%s: %+v", got.State, got.Failure)
				}
			})
		}
	}
}
