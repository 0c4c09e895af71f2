package terrain_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/composer"
	roblox "github.com/toolboxai/orchestrator/internal/roblox/terrain"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/agents/terrain"
	"github.com/toolboxai/orchestrator/workers/workerstest"
)

var update = flag.Bool("update", false, "write the pictures anew")

// pictures of the documentation: what they show and where they stand.
func shown() map[string]string {
	return map[string]string{
		"terrain-mountain": `{"subject":"Geography","biome":"mountain","size":"medium","features":["river","lookout tower","cave"]}`,
		"terrain-desert":   `{"subject":"History","biome":"desert","size":"large","complexity":"complex","features":["pyramid","castle","canyon"]}`,
	}
}

func TestPreview_LooksAsInTheDocumentation(t *testing.T) {
	t.Parallel()
	agent, err := terrain.New(composer.New())
	if err != nil {
		t.Fatal(err)
	}
	for name, input := range shown() {
		r := run(t, agent, json.RawMessage(input))
		for view, got := range map[string]terrain.Picture{"top": r.Preview.Top, "side": r.Preview.Side} {
			path := filepath.Join("..", "..", "..", "docs", "images", name+"-"+view+".png")
			if *update {
				if err := os.WriteFile(path, got.Data, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if share := unlike(t, decoded(t, got), decode(t, want)); share > 0.005 {
				t.Errorf("%s: %.1f %% of the pixels differ; look at it, -update writes it anew", path, 100*share)
			}
		}
	}
}

// TestPreview_UnlikePicturesAreSeen is the control of the test above.
func TestPreview_UnlikePicturesAreSeen(t *testing.T) {
	t.Parallel()
	l := roblox.LimitsOf("small")
	ground := roblox.Operation{Op: roblox.FillBlock, Material: "Grass", Position: roblox.Vector{Y: 4}, Size: &roblox.Vector{X: 100, Y: 8, Z: 100}}
	hill := roblox.Operation{Op: roblox.FillCylinder, Material: "Rock", Position: roblox.Vector{X: 10, Y: 14, Z: 10}, Radius: 20, Height: 12}
	flat, high := roblox.Build(l, []roblox.Operation{ground}), roblox.Build(l, []roblox.Operation{ground, hill})
	for view, both := range map[string][2]roblox.Picture{"top": {flat.Top(nil), high.Top(nil)}, "side": {flat.Side(nil), high.Side(nil)}} {
		if share := unlike(t, decode(t, both[0].PNG), decode(t, both[1].PNG)); share < 0.02 {
			t.Errorf("%s: only %v of the pixels differ", view, share)
		}
	}
}

// unlike returns which part of the pixels differ by more than a shade.
func unlike(t *testing.T, a, b image.Image) float64 {
	t.Helper()
	if a.Bounds() != b.Bounds() {
		return 1
	}
	n := 0
	for y := range a.Bounds().Dy() {
		for x := range a.Bounds().Dx() {
			ar, ag, ab, _ := a.At(x, y).RGBA()
			br, bg, bb, _ := b.At(x, y).RGBA()
			for _, pair := range [][2]uint32{{ar, br}, {ag, bg}, {ab, bb}} {
				if max(pair[0], pair[1])-min(pair[0], pair[1]) > 16<<8 {
					n++
					break
				}
			}
		}
	}
	return float64(n) / float64(a.Bounds().Dx()*a.Bounds().Dy())
}

func decoded(t *testing.T, p terrain.Picture) image.Image {
	t.Helper()
	img := decode(t, p.Data)
	if p.MediaType != "image/png" || img.Bounds().Dx() != p.Width || img.Bounds().Dy() != p.Height || len(p.Data) > roblox.MaxPicture {
		t.Errorf("%s of %d×%d with %d bytes is %v", p.MediaType, p.Width, p.Height, len(p.Data), img.Bounds())
	}
	return img
}

func decode(t *testing.T, data []byte) image.Image {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// answering is a model that plans as the composer does and drafts what it is told to.
type answering struct {
	*composer.Composer
	draft any
}

func (a *answering) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	resp, err := a.Composer.Complete(ctx, req)
	if err != nil || req.Purpose != "terrain.draft" {
		return resp, err
	}
	text, err := json.Marshal(a.draft)
	resp.Text = string(text)
	return resp, err
}

// crowded is a place at every limit at once: as many operations, props and long texts as may be, of every material, scattered so that
// its pictures are hard to compress.
func crowded(text string) (operations []roblox.Operation, props []roblox.Prop) {
	materials := roblox.Materials()
	add := func(o roblox.Operation) { operations = append(operations, o) }
	add(roblox.Operation{Op: roblox.FillBlock, Material: "Grass", Position: roblox.Vector{Y: 4}, Size: &roblox.Vector{X: 800, Y: 8, Z: 800}, Label: text})
	for i := range 199 {
		x, z := float64(i*97%740)-370, float64(i*61%740)-370
		add(roblox.Operation{
			Op: roblox.FillCylinder, Material: materials[i%22], Position: roblox.Vector{X: x, Y: 8 + float64(i%9), Z: z}, Radius: 12.34 + float64(i%15),
			Height: 4.5 + float64(i%8), Label: text,
		})
	}
	kinds := roblox.Kinds()
	for i := range 150 {
		x, z := float64(i*53%760)-380, float64(i*31%760)-380
		kind := kinds[i%len(kinds)]
		if kind == "spawn" {
			kind = "platform"
		}
		props = append(props, roblox.Prop{Kind: "platform", Name: text, Position: roblox.Vector{X: x, Y: 40, Z: z}, Size: roblox.Vector{X: 12.25, Y: 8.5, Z: 9.75}, Text: text})
		props[i].Kind = kind
		if kind != "platform" {
			props[i].Position.Y = 18
		}
	}
	props[0] = roblox.Prop{Kind: "spawn", Name: text, Position: roblox.Vector{X: 395 - 5, Y: 8, Z: 390}, Size: roblox.Vector{X: 6, Y: 1, Z: 6}}
	return operations, props
}

// TestResult_FitsAtTheExtremes has a model answer with all that a place may hold. What fits is a result below the limit, with
// pictures, and without the model when that would not fit; what does not fit is refused with a reason.
func TestResult_FitsAtTheExtremes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		fits bool
	}{
		"short texts": {"Tree", true},
		"long texts":  {strings.Repeat("Pine tree ", 6), true},
		"wide texts":  {strings.Repeat("木", 60), false},
		"escaped":     {strings.Repeat("<", 60), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			operations, props := crowded(c.text)
			model := &answering{draft: map[string]any{
				"operations": operations, "props": props, "performance_notes": slices.Repeat([]string{strings.Repeat("n", 300)}, 5),
				"lighting": map[string]any{"clock_time": 12, "brightness": 2, "fog_end": 9000, "ambient": map[string]any{"r": 1, "g": 2, "b": 3}},
			}, Composer: composer.New()}
			agent, err := terrain.New(model)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := workerstest.Work(t, agent, json.RawMessage(`{"subject":"Art","size":"xlarge","include_model":true}`))
			if !c.fits {
				if got.State != task.Failed || !strings.Contains(got.Failure.Error, "at most") {
					t.Fatalf("state %s: %+v", got.State, got.Failure)
				}
				return
			}
			if got.State != task.Completed {
				t.Fatalf("state %s: %+v", got.State, got.Failure)
			}
			r := read(t, got.Result)
			decoded(t, r.Preview.Top)
			decoded(t, r.Preview.Side)
			t.Logf("%d bytes: pictures %d and %d, Luau %d, model %v", len(got.Result), len(r.Preview.Top.Data), len(r.Preview.Side.Data), len(r.Luau), r.Model != nil)
			if len(got.Result) > workers.MaxOutput || r.Model != nil || len(r.PerformanceNotes) > 10 {
				t.Errorf("%d bytes, %d notes", len(got.Result), len(r.PerformanceNotes))
			}
			if last := r.PerformanceNotes[len(r.PerformanceNotes)-1]; !strings.HasPrefix(last, "The model file is left out") {
				t.Errorf("the last note: %s", last)
			}
		})
	}
}

func TestResult_HoldsTheModelThatWasAskedFor(t *testing.T) {
	t.Parallel()
	agent, err := terrain.New(composer.New())
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, agent, []byte(`{"subject":"Art","size":"small","features":["hill"],"include_model":true}`))
	if r.Model == nil || r.Model.FileName != "place.rbxmx" || r.Model.MediaType != "application/xml" {
		t.Fatalf("model %+v", r.Model)
	}
	for text, want := range map[string]bool{"terrain:FillBlock(": true, "FillCylinder": true, "\nprop(": false, `class="SpawnLocation"`: true} {
		if strings.Contains(string(r.Model.Data), text) != want {
			t.Errorf("the model holds %q: %v, want %v", text, !want, want)
		}
	}
	if r := run(t, agent, []byte(`{"subject":"Art","size":"small","features":["hill"]}`)); r.Model != nil {
		t.Errorf("a model that nobody asked for: %d bytes", len(r.Model.Data))
	}
}
