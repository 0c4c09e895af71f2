package agents_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/toolboxai/orchestrator/internal/llm/composer"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers/workerstest"
)

// TestRobloxEvals_RunOffline holds every case of the sets against the schemas and the rules.
func TestRobloxEvals_RunOffline(t *testing.T) {
	t.Parallel()
	for kind, file := range map[string]string{"roblox_asset": "asset/evals.json", "roblox_analytics": "analytics/evals.json"} {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		set := decode[struct {
			Cases []struct {
				Name, About string
				Input       json.RawMessage
			}
		}](t, raw)
		if n := len(set.Cases); n < 8 || n > 15 {
			t.Errorf("%s has %d cases", file, n)
		}
		agent := open(t, composer.New(), kind)
		catalog := catalogOf(t, agent)
		for _, c := range set.Cases {
			t.Run(kind+"/"+c.Name, func(t *testing.T) {
				t.Parallel()
				if err := catalog.CheckInput(kind, c.Input); err != nil || c.About == "" {
					t.Fatalf("the input: %v", err)
				}
				got, _ := workerstest.Work(t, agent, c.Input)
				if got.State != task.Completed {
					t.Fatalf("state %s: %+v", got.State, got.Failure)
				}
				if err := catalog.CheckResult(kind, got.Result); err != nil {
					t.Errorf("the result: %v", err)
				}
			})
		}
	}
}
