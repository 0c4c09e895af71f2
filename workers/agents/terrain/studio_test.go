package terrain_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/llm/composer"
	"github.com/toolboxai/orchestrator/internal/nodetest"
	roblox "github.com/toolboxai/orchestrator/internal/roblox/terrain"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers/agents/terrain"
	"github.com/toolboxai/orchestrator/workers/workerstest"
)

// record is one thing that the mock of the engine in testdata/studio saw a script do.
type record struct {
	Call           string
	CFrame         frame
	Center, Size   []float64
	Radius, Height float64
	Material       string
	Source         string
	Region         struct{ Min, Max []float64 }
	Value          any

	// of an instance
	Class                  string
	Depth                  int
	Name, Text             string
	Position, Color        []float64
	Shape                  string
	Anchored               bool
	Range                  float64
	Face                   string
	Neutral, TextScaled    bool
	BackgroundTransparency float64
}

type frame struct{ Position, Rows []float64 }

type script struct {
	Name   string `json:"name"`
	Source string `json:"source"`
}

// batch is how many scripts one process runs: the machine's memory does not grow, and is not all given back.
const batch = 25

// played runs scripts on the mock and returns what each did, or why it failed.
func played(t *testing.T, scripts []script) (done map[string][]record, failed map[string]string) {
	t.Helper()
	dir := nodetest.Install(t, filepath.Join("testdata", "studio"))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	done, failed = map[string][]record{}, map[string]string{}
	for some := range slices.Chunk(scripts, batch) {
		data, err := json.Marshal(some)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "scripts.json")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		run := exec.CommandContext(ctx, "node", "run.js", file)
		run.Dir = dir
		var stderr strings.Builder
		run.Stderr = &stderr
		out, err := run.Output()
		if err != nil {
			t.Fatalf("%v\n%.2000s", err, stderr.String())
		}
		for line := range strings.Lines(string(out)) {
			var one struct {
				Name, Error string
				Records     []record
			}
			if err := json.Unmarshal([]byte(line), &one); err != nil {
				t.Fatalf("%v: %.200s", err, line)
			}
			if one.Error != "" {
				failed[one.Name] = one.Error
			} else {
				done[one.Name] = one.Records
			}
		}
	}
	if len(done)+len(failed) != len(scripts) {
		t.Fatalf("%d of %d scripts were run", len(done)+len(failed), len(scripts))
	}
	return done, failed
}

// differences returns how what a script did differs from what its place declares.
func differences(r terrain.Result, did []record) []string {
	var out []string
	differ := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	var calls, parts []record
	waits, light := 0, map[string]any{}
	for _, d := range did {
		name, isLight := strings.CutPrefix(d.Call, "Lighting.")
		switch {
		case isLight:
			light[name] = d.Value
		case d.Call == "wait":
			if waits++; len(calls) != waits*10 {
				differ("pause %d comes after %d operations", waits, len(calls))
			}
		case d.Call == "Instance":
			if d.Class == "Part" || d.Class == "SpawnLocation" {
				parts = append(parts, d)
			}
		default:
			calls = append(calls, d)
		}
	}
	if want := len(r.Operations) / 10; waits != want {
		differ("%d pauses, want %d", waits, want)
	}
	if len(calls) != len(r.Operations) {
		differ("%d calls for %d operations", len(calls), len(r.Operations))
	}
	for i := range min(len(calls), len(r.Operations)) {
		if want := expected(r.Operations[i]); !same(calls[i], want) {
			differ("call %d is %+v, want %+v", i+1, calls[i], want)
		}
	}
	if light["ClockTime"] != r.Lighting.ClockTime || light["Brightness"] != r.Lighting.Brightness || light["FogEnd"] != r.Lighting.FogEnd || light["Ambient"] == nil {
		differ("the light is %v, want %+v", light, r.Lighting)
	}
	return append(out, partsDiffer(r, parts)...)
}

func partsDiffer(r terrain.Result, parts []record) []string {
	var out, models []string
	var want []roblox.Part
	for _, p := range r.Props {
		models = append(models, p.Name)
		want = append(want, p.Parts()...)
	}
	if len(parts) != len(want) || len(models) == 0 {
		return []string{fmt.Sprintf("%d parts for %d props, want %d", len(parts), len(models), len(want))}
	}
	for i, got := range parts {
		w := want[i]
		shape := got.Shape
		if got.Class == "SpawnLocation" {
			shape = roblox.SpawnShape
		}
		ok := got.Anchored && got.Name == w.Name && shape == w.Shape && near(got.Size, w.Size) && near(got.Position, w.Position)
		if w.Shape != roblox.SpawnShape {
			ok = ok && got.Material == w.Material && slices.Equal(got.Color, []float64{float64(w.Color[0]), float64(w.Color[1]), float64(w.Color[2])})
		}
		b := roblox.Around(roblox.Vector{X: got.Position[0], Y: got.Position[1], Z: got.Position[2]}, roblox.Vector{X: got.Size[0], Y: got.Size[1], Z: got.Size[2]})
		const slack = 0.02
		if !ok || b.Min.X < -r.Size.X/2-slack || b.Max.X > r.Size.X/2+slack || b.Min.Y < -slack || b.Max.Y > r.Size.Y+slack ||
			b.Min.Z < -r.Size.Z/2-slack || b.Max.Z > r.Size.Z/2+slack {
			out = append(out, fmt.Sprintf("part %d is %+v, want %+v inside of %v", i+1, got, w, r.Size))
		}
	}
	return out
}

// expected is the call that an operation stands for, by the signatures in Roblox's reference of Terrain.
func expected(o roblox.Operation) record {
	at := []float64{o.Position.X, o.Position.Y, o.Position.Z}
	r := record{Material: o.Material, CFrame: frame{at, []float64{1, 0, 0, 0, 1, 0, 0, 0, 1}}}
	if o.Size != nil {
		r.Size = []float64{o.Size.X, o.Size.Y, o.Size.Z}
	}
	switch o.Op {
	case roblox.FillBlock:
		r.Call = "FillBlock"
	case roblox.FillBall:
		r.Call, r.CFrame, r.Center, r.Radius = "FillBall", frame{}, at, o.Radius
	case roblox.FillCylinder:
		r.Call, r.Height, r.Radius = "FillCylinder", o.Height, o.Radius
	case roblox.FillWedge:
		r.Call = "FillWedge"
		sin, cos := math.Sincos(o.Turn * math.Pi / 180)
		r.CFrame.Rows = []float64{cos, 0, sin, 0, 1, 0, -sin, 0, cos}
	default:
		r.Call, r.CFrame, r.Source = "ReplaceMaterial", frame{}, o.SourceMaterial
		b := o.Box()
		down := func(f float64) float64 { return math.Floor(math.Round(f*1e6)/1e6/4) * 4 }
		r.Region.Min = []float64{down(b.Min.X), down(b.Min.Y), down(b.Min.Z)}
		r.Region.Max = []float64{-down(-b.Max.X), -down(-b.Max.Y), -down(-b.Max.Z)}
		r.Size = nil
	}
	return r
}

func same(a, b record) bool {
	return a.Call == b.Call && a.Material == b.Material && a.Source == b.Source && close(a.Radius, b.Radius) && close(a.Height, b.Height) &&
		all(a.Center, b.Center) && all(a.Size, b.Size) && all(a.CFrame.Position, b.CFrame.Position) && all(a.CFrame.Rows, b.CFrame.Rows) &&
		all(a.Region.Min, b.Region.Min) && all(a.Region.Max, b.Region.Max)
}

// close allows for the two digits that a script is written with.
func close(a, b float64) bool { return math.Abs(a-b) < 0.0051 }

func all(a, b []float64) bool { return slices.EqualFunc(a, b, close) }

func near(got []float64, want roblox.Vector) bool {
	return slices.EqualFunc(got, []float64{want.X, want.Y, want.Z}, func(a, b float64) bool { return math.Abs(a-b) < 0.02 })
}

// places returns a result of the composer for the example, the evaluation set and every biome, size, type and complexity; of the larger
// sizes one complexity for each.
func places(t *testing.T) map[string]terrain.Result {
	t.Helper()
	agent, err := terrain.New(composer.New())
	if err != nil {
		t.Fatal(err)
	}
	inputs := map[string]json.RawMessage{"example": agent.Kind().Example}
	for _, c := range evals(t) {
		inputs["eval "+c.Name] = c.Input
	}
	features := []string{
		"volcano", "waterfall", "river", "glacier", "mountain", "hill", "canyon", "cave", "pyramid", "tower", "castle", "maze", "island", "lake", "beach",
		"swamp", "forest", "garden", "road", "bridge", "school", "arena", "boulders", "apiary",
	}
	n := 0
	for _, biome := range []string{"ocean", "forest", "desert", "mountain", "classroom", "temperate"} {
		for _, size := range []string{"small", "medium", "large", "xlarge"} {
			for _, kind := range []string{"educational", "landscape", "urban", "fantasy"} {
				for _, complexity := range []string{"simple", "medium", "complex"} {
					if n++; n%thin != 0 || (size == "large" || size == "xlarge") && n%3 != 0 {
						continue
					}
					in, err := json.Marshal(map[string]any{
						"subject": "Geography", "biome": biome, "size": size, "terrain_type": kind, "complexity": complexity,
						"features": []string{features[n%24], features[(7*n+3)%24], features[(5*n+11)%24]},
					})
					if err != nil {
						t.Fatal(err)
					}
					inputs[strings.Join([]string{biome, size, kind, complexity}, " ")] = in
				}
			}
		}
	}
	out := map[string]terrain.Result{}
	for name, in := range inputs {
		if got, _ := workerstest.Work(t, agent, in); got.State != task.Completed {
			t.Errorf("%s: state %s: %+v", in, got.State, got.Failure)
		} else {
			out[name] = read(t, got.Result)
		}
	}
	return out
}

type evalCase struct {
	Name, About string
	Input       json.RawMessage
}

func evals(t *testing.T) []evalCase {
	t.Helper()
	data, err := os.ReadFile("evals.json")
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Cases []evalCase }
	if err := json.Unmarshal(data, &set); err != nil {
		t.Fatal(err)
	}
	return set.Cases
}

// TestScript_DoesWhatThePlaceDeclares runs every script in the real Luau machine, on a mock of the engine that takes only what the
// engine's reference has.
func TestScript_DoesWhatThePlaceDeclares(t *testing.T) {
	t.Parallel()
	all := places(t)
	var scripts []script
	for name, r := range all {
		scripts = append(scripts, script{name, r.Luau})
	}
	done, failed := played(t, scripts)
	for name, why := range failed {
		t.Errorf("%s: %s", name, why)
	}
	calls := 0
	for name, did := range done {
		calls += len(all[name].Operations)
		for _, d := range differences(all[name], did) {
			t.Errorf("%s: %s", name, d)
		}
	}
	t.Logf("%d scripts with %d terrain calls", len(done), calls)
}

// TestScript_DifferencesAreSeen is the control of the test above: scripts that do something else fail, or are seen to differ.
func TestScript_DifferencesAreSeen(t *testing.T) {
	t.Parallel()
	agent, err := terrain.New(composer.New())
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, agent, []byte(`{"subject":"Geography","biome":"desert","size":"small","features":["mountain","lake","boulders","beach"]}`))
	fails := map[string][2]string{
		"unknown method":        {"terrain:FillBlock(", "terrain:FillBrick("},
		"unknown service":       {`game:GetService("Lighting")`, `game:GetService("Lightning")`},
		"unknown property":      {"made.Anchored = true", "made.Anchord = true"},
		"unknown class":         {`Instance.new("Part")`, `Instance.new("Prat")`},
		"unknown enum":          {"Enum.Material.Sandstone", "Enum.Material.Sandstein"},
		"material of parts":     {"Enum.Material.Sandstone)", "Enum.Material.Marble)"},
		"unknown light":         {"Lighting.FogEnd", "Lighting.FogStop"},
		"vector for a frame":    {"terrain:FillBlock(CFrame.new(center),", "terrain:FillBlock(center,"},
		"frame for a vector":    {"terrain:FillBall(center,", "terrain:FillBall(CFrame.new(center),"},
		"missing argument":      {"terrain:FillBall(center, radius, material)", "terrain:FillBall(center, material)"},
		"text for a number":     {"made.Size = size", `made.Size = "size"`},
		"other resolution":      {"terrain:ReplaceMaterial(region, 4,", "terrain:ReplaceMaterial(region, 2,"},
		"region off the grid":   {":ExpandToGrid(4)", ""},
		"does not compile":      {"place.Parent = Workspace", "place.Parent = = Workspace"},
		"global that is no API": {"math.rad(turn)", "math.radians(turn)"},
	}
	differs := map[string][2]string{
		"dropped call":         {"\nball(", "\n-- ball("},
		"swapped size":         {"terrain:FillCylinder(CFrame.new(center), height, radius,", "terrain:FillCylinder(CFrame.new(center), radius, height,"},
		"moved":                {"local ORIGIN = Vector3.new(0, 0, 0)", "local ORIGIN = Vector3.new(0, 0.1, 0)"},
		"other material":       {"Enum.Material.Sandstone)", "Enum.Material.Salt)"},
		"other source":         {"terrain:ReplaceMaterial(region, 4, source, target)", "terrain:ReplaceMaterial(region, 4, target, source)"},
		"turned the other way": {"math.rad(turn)", "math.rad(-turn)"},
		"no pause":             {"\ntask.wait()", "\n"},
		"loose parts":          {"made.Anchored = true", "made.Anchored = false"},
		"a prop is missing":    {"\nprop(", "\n-- prop("},
		"a larger part":        {"made.Size = size", "made.Size = size * 1.1"},
		"other shape":          {"made.Shape = shape", "made.Shape = Enum.PartType.Cylinder"},
		"other light":          {"Lighting.FogEnd = ", "Lighting.FogEnd = 1 + "},
		"props are not shown":  {"place.Parent = Workspace", ""},
	}
	scripts := []script{{"as it is", r.Luau}}
	for _, set := range []map[string][2]string{fails, differs} {
		for name, c := range set {
			changed := strings.Replace(r.Luau, c[0], c[1], 1)
			if changed == r.Luau {
				t.Errorf("%s: the script has no %q", name, c[0])
			}
			scripts = append(scripts, script{name, changed})
		}
	}
	done, failed := played(t, scripts)
	if d := differences(r, done["as it is"]); len(d) > 0 || failed["as it is"] != "" {
		t.Fatalf("the script itself: %v %s", d, failed["as it is"])
	}
	for name := range fails {
		if failed[name] == "" {
			t.Errorf("%s: the mock takes it", name)
		} else {
			t.Logf("%s: %s", name, failed[name])
		}
	}
	for name := range differs {
		if len(differences(r, done[name])) == 0 || failed[name] != "" {
			t.Errorf("%s: no difference is seen (%s)", name, failed[name])
		}
	}
}
