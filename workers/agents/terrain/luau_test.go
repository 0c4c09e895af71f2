package terrain_test

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/internal/llm/composer"
	"github.com/toolboxai/orchestrator/internal/roblox/luau"
	"github.com/toolboxai/orchestrator/internal/roblox/luau/vet"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/agents/terrain"
	"github.com/toolboxai/orchestrator/workers/workerstest"
)

// TestTerrain_QuotesEveryTextInItsLuau puts texts that try to become code into the title, the names and the signs.
func TestTerrain_QuotesEveryTextInItsLuau(t *testing.T) {
	t.Parallel()
	agent, err := terrain.New(composer.New())
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.SampledFrom([]string{
			`") loadstring("x`, "a\\", `\") _G.x=1 --`, "]] while true do end --[[", "`{_G.x}`", "--", "x\u2028y", "end end end",
		}).Draw(rt, "text")
		raw, err := json.Marshal(map[string]any{"subject": text, "biome": "mountain", "features": []string{text, "river", "lookout tower", "cave"}})
		if err != nil {
			rt.Fatal(err)
		}
		result := run(t, agent, raw)
		file, err := luau.Parse(result.Luau)
		if findings := vet.Check(result.Luau, vet.Server); err != nil || len(findings) > 0 || file.Tokens < 1000 {
			rt.Fatalf("%v, %v in\n%s", err, findings, result.Luau)
		}
	})
}

func run(t *testing.T, agent workers.Agent, input json.RawMessage) terrain.Result {
	t.Helper()
	got, _ := workerstest.Work(t, agent, input)
	if got.State != task.Completed {
		t.Fatalf("state %s: %+v", got.State, got.Failure)
	}
	var r terrain.Result
	if err := json.Unmarshal(got.Result, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTerrain_CallsOneFunctionForEachOperationAndProp(t *testing.T) {
	t.Parallel()
	agent, err := terrain.New(composer.New())
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, agent, []byte(`{"subject":"Art","biome":"ocean","terrain_type":"fantasy","complexity":"complex","size":"large","features":["volcano","maze","snow"]}`))
	lines := map[string]int{}
	for line := range strings.Lines(r.Luau) {
		name, _, _ := strings.Cut(line, "(")
		lines[name]++
	}
	want := map[string]int{"prop": len(r.Props)}
	for _, o := range r.Operations {
		want[map[string]string{
			terrain.FillBlock: "block", terrain.FillBall: "ball", terrain.FillCylinder: "cylinder", terrain.FillWedge: "wedge",
			terrain.ReplaceMaterial: "replace",
		}[o.Op]]++
	}
	for name, n := range want {
		if lines[name] != n {
			t.Errorf("%d calls of %s, want %d", lines[name], name, n)
		}
	}
	if pauses := lines["task.wait"]; pauses != len(r.Operations)/10 {
		t.Errorf("%d pauses for %d operations", pauses, len(r.Operations))
	}
}
