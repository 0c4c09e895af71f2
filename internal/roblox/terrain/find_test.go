package terrain_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/roblox/terrain"
)

func prop(kind string, x, y, z, height float64) terrain.Prop {
	return terrain.Prop{Kind: kind, Name: kind, Position: terrain.Vector{X: x, Y: y, Z: z}, Size: terrain.Vector{X: 6, Y: height, Z: 6}}
}

func TestSite_FindsWhatDoesNotStand(t *testing.T) {
	t.Parallel()
	s := terrain.Build(terrain.LimitsOf("medium"), []terrain.Operation{
		block("Ground", 0, 4, 0, 200, 8, 200), block("Water", 60, 6, 0, 40, 4, 200), block("Rock", -60, 28, 0, 40, 40, 200),
		block("Slate", 0, 26, 60, 40, 4, 40), // a roof, 16 studs above the ground
	})
	platform := prop("platform", 0, 30, -60, 1)
	for name, c := range map[string]struct {
		props []terrain.Prop
		want  string // of the first finding
	}{
		"on the ground":          {[]terrain.Prop{prop("tree", 0, 8, 0, 10)}, ""},
		"a little above":         {[]terrain.Prop{prop("tree", 0, 11, 0, 10)}, ""},
		"under a roof":           {[]terrain.Prop{prop("lamp", 0, 8, 60, 10)}, ""},
		"floats":                 {[]terrain.Prop{prop("tree", 0, 18, 0, 10)}, "floating 0 hangs 10 studs above the ground"},
		"floats far":             {[]terrain.Prop{prop("tree", 0, 28, 0, 10)}, "floating 0 hangs 20 studs above the ground, severe"},
		"outside":                {[]terrain.Prop{prop("tree", 300, 8, 0, 10)}, "floating 0 hangs in the air above no ground at all, severe"},
		"knee-deep":              {[]terrain.Prop{prop("tree", 0, 2, 0, 10)}, "buried 0 stands 6 studs deep in the ground"},
		"buried":                 {[]terrain.Prop{prop("tree", -60, 10, 0, 10)}, "buried 0 stands 38 studs deep in the ground, severe"},
		"a platform may hang":    {[]terrain.Prop{platform}, ""},
		"on a platform":          {[]terrain.Prop{platform, prop("lamp", 1, 31, -60, 10)}, ""},
		"beside a platform":      {[]terrain.Prop{platform, prop("lamp", 20, 31, -60, 10)}, "floating 1 hangs 23 studs above the ground, severe"},
		"spawn on the ground":    {[]terrain.Prop{prop("spawn", 0, 8, 0, 1)}, ""},
		"spawn on a platform":    {[]terrain.Prop{platform, prop("spawn", 0, 31, -60, 1)}, ""},
		"spawn in rock":          {[]terrain.Prop{prop("spawn", -60, 8, 0, 1)}, "spawn 0 is inside of Rock at -62, 11, -2: players need free space above it, severe"},
		"spawn under a low roof": {[]terrain.Prop{prop("spawn", 0, 20, 60, 1)}, "spawn 0 is inside of Slate at -2, 25, 58: players need free space above it, severe"},
		"spawn under water":      {[]terrain.Prop{prop("spawn", 60, 4, 0, 1)}, "spawn 0 is under water at 58, 5, -2: players need dry ground, severe"},
		"spawn in the air":       {[]terrain.Prop{prop("spawn", 0, 60, 0, 1)}, "spawn 0 has no ground beneath: players would fall, severe"},
	} {
		got := ""
		if found := s.Standing(c.props); len(found) > 0 {
			f := found[0]
			if got = fmt.Sprintf("%s %d %s", f.Kind, f.Index, f.Reason); f.Severe {
				got += ", severe"
			}
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestSite_FindsUselessOperations(t *testing.T) {
	t.Parallel()
	s := terrain.Build(terrain.LimitsOf("medium"), []terrain.Operation{
		block("Ground", 0, 4, 0, 200, 8, 200), block("Rock", 0, 2, 0, 20, 4, 20), block("Ground", 50, 4, 50, 8, 8, 8), replace("Snow", "Ice", 0, 4, 0, 200, 8, 200),
		block("Grass", 0, 6, 0, 200, 4, 200),
	})
	want := []terrain.Finding{
		{Kind: terrain.Useless, Index: 1, Reason: "is hidden by what comes later"}, {Kind: terrain.Useless, Index: 2, Reason: "changes nothing"},
		{Kind: terrain.Useless, Index: 3, Reason: "changes nothing"},
	}
	if diff := cmp.Diff(want, s.Useless()); diff != "" {
		t.Error(diff)
	}
}

func TestSite_KnowsItsSurfaces(t *testing.T) {
	t.Parallel()
	s := terrain.Build(terrain.LimitsOf("medium"), []terrain.Operation{block("Ground", 0, 5, 0, 200, 10, 200), block("Water", 2, 14, 2, 4, 8, 4)})
	surfaces := s.Surfaces()
	if got := surfaces[0]; got.Material != "Ground" || got.Height < 9.9 || got.Height > 10.1 || got.Water != 0 {
		t.Errorf("ground: %+v", got)
	}
	if got := surfaces[25*50+25]; got.Water < 7.9 || got.Water > 10.1 {
		t.Errorf("water: %+v", got)
	}
}
