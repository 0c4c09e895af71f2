package agents_test

import (
	"testing"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/agents"
	"github.com/toolboxai/orchestrator/workers/workerstest"
)

// open returns the agent of one kind.
func open(t testing.TB, client llm.Client, kind string) workers.Agent {
	t.Helper()
	all, err := agents.All(client)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if a.Kind().Name == kind {
			return a
		}
	}
	t.Fatalf("there is no kind %q", kind)
	return nil
}

func TestAll_MakesACatalog(t *testing.T) {
	t.Parallel()
	all, err := agents.All(offline())
	if err != nil {
		t.Fatal(err)
	}
	var kinds []task.Kind
	for _, a := range all {
		kinds = append(kinds, a.Kind())
	}
	catalog, err := task.NewCatalog(kinds)
	if err != nil {
		t.Fatal(err)
	}
	for alias, name := range map[string]string{
		"content": "content", "content_generator": "content", "generate_content": "content",
		"quiz": "quiz", "quiz_generator": "quiz", "generate_quiz": "quiz",
		"terrain": "terrain", "terrain_generator": "terrain", "generate_terrain": "terrain",
		"code_review": "code_review", "code_reviewer": "code_review", "review_code": "code_review", "review": "code_review",
		"roblox_testing": "roblox_testing", "run_tests": "roblox_testing",
		"roblox_asset": "roblox_asset", "manage_asset": "roblox_asset",
		"roblox_analytics": "roblox_analytics", "analyze_data": "roblox_analytics",
		"script": "script", "script_generator": "script", "generate_script": "script",
	} {
		if k, err := catalog.Resolve(alias); err != nil || k.Name != name {
			t.Errorf("%s resolves to %q (%v), want %q", alias, k.Name, err, name)
		}
	}
}

func TestAll_RunsEveryExampleOffline(t *testing.T) {
	t.Parallel()
	all, err := agents.All(offline())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		t.Run(a.Kind().Name, func(t *testing.T) {
			t.Parallel()
			got, history := workerstest.Work(t, a, a.Kind().Example)
			if got.State != task.Completed {
				t.Fatalf("state %s: %+v", got.State, got.Failure)
			}
			p := got.Provenance
			if p == nil || !p.Offline || p.GeneratedBy != "offline/composer-1" || p.PromptVersion != a.(workers.Versioned).Versions()[0] {
				t.Errorf("provenance: %+v", p)
			}
			if u := got.Usage; u.Calls < 1 || u.InputTokens != 0 || u.OutputTokens != 0 || u.CostUSD != 0 || !u.CostKnown {
				t.Errorf("usage: %+v", u)
			}
			steps := 0
			for _, e := range history {
				if e.Type == events.TypeStep {
					steps++
				}
			}
			if steps != got.Usage.Calls {
				t.Errorf("%d steps on record for %d calls", steps, got.Usage.Calls)
			}
		})
	}
}
