package terrain_test

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/internal/llm/composer"
	"github.com/toolboxai/orchestrator/internal/roblox/luau"
	"github.com/toolboxai/orchestrator/internal/roblox/luau/vet"
	roblox "github.com/toolboxai/orchestrator/internal/roblox/terrain"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/agents/lesson"
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
		text := rapid.OneOf(rapid.SampledFrom([]string{
			`") loadstring("x`, "a\\", `\") _G.x=1 --`, "]] while true do end --[[", "`{_G.x}`", "--", "x\u2028y", "end end end",
			"Гора и река", "Βουνό και ποτάμι", "جبل ونهر", "כפר על הנהר", "کوه\u200cها", "पहाड़ और नदी", "ภูเขาและแม่น้ำ", "火山と川", "산과 강", "山和河", "Núi và sông",
			"👩\u200d🏫 school 🏔️", "\u202egnp.exe", "Mоuntain", "a\u0301\u0301\u0301", "a\U000e0041", "ｆｕｌｌ　ｗｉｄｔｈ", "ﬁre ǅ ß İ",
		}), rapid.StringN(1, 60, 200).Filter(func(s string) bool { return lesson.Clean(s) != "" })).Draw(rt, "text")
		raw, err := json.Marshal(map[string]any{"subject": text, "biome": "mountain", "size": "small", "features": []string{text, "river", "lookout tower", "cave"}})
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
		t.Fatalf("%s: state %s: %+v", input, got.State, got.Failure)
	}
	return read(t, got.Result)
}

// read decodes a result but for its quality, whose parts are written only.
func read(t *testing.T, result json.RawMessage) terrain.Result {
	t.Helper()
	var r struct {
		terrain.Result
		Quality map[string]float64 `json:"quality"`
	}
	if err := json.Unmarshal(result, &r); err != nil {
		t.Fatal(err)
	}
	return r.Result
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
			roblox.FillBlock: "block", roblox.FillBall: "ball", roblox.FillCylinder: "cylinder", roblox.FillWedge: "wedge",
			roblox.ReplaceMaterial: "replace",
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
