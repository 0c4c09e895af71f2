package terrain

import (
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/toolboxai/orchestrator/internal/roblox/terrain"
	"github.com/toolboxai/orchestrator/workers/agents/quality"
)

// scored says what a place is worth:
//
//   - features: the part of the requested features that an operation or a prop other than a sign is named for.
//   - biome: how much of what is seen from above is of the biome's materials; a third of it is enough.
//   - materials: how many of five different materials there are.
//   - bounds: how much of the ground is filled; nine tenths are enough.
//   - relief: how far heights differ; a twelfth of the height is enough, and less for a schoolyard.
//   - useful_operations, standing_props: the part of them that nothing is wrong with.
//   - spawn: whether the ground around where players appear is level.
//   - budget: whether voxels are left for changes.
func scored(req Request, o Outline, d Draft, site *terrain.Site, useless, standing []terrain.Finding) quality.Parts {
	seen := site.Surfaces()
	filled, native, low, high := 0, 0, math.Inf(1), 0.0
	for _, at := range seen {
		if at.Material == "" && at.Water == 0 {
			continue
		}
		filled++
		if material := at.Material; at.Water > 0 && slices.Contains(nativeTo(req.Biome), terrain.Water) || slices.Contains(nativeTo(req.Biome), material) {
			native++
		}
		low, high = min(low, at.Height), max(high, at.Height+at.Water)
	}
	enough := site.Size.Y / 12
	if req.Biome == "classroom" {
		enough /= 3
	}
	features := 0
	for i, feature := range req.Features {
		if built(i+1, feature, o, d) {
			features++
		}
	}
	return quality.Parts{
		{Name: "features", Score: quality.Share(features, len(req.Features)), Weight: weightOf(len(req.Features), 3)},
		{Name: "biome", Score: quality.Share(3*native, filled), Weight: 2},
		{Name: "materials", Score: quality.Share(len(inUse(d.Operations)), 5), Weight: 1},
		{Name: "bounds", Score: min(float64(filled)/float64(len(seen))/0.9, 1), Weight: 1},
		{Name: "relief", Score: min(max(high-low, 0)/enough, 1), Weight: 1},
		{Name: "useful_operations", Score: 1 - quality.Share(len(useless), len(d.Operations)), Weight: 2},
		{Name: "standing_props", Score: 1 - quality.Share(len(standing), len(d.Props)), Weight: 2},
		{Name: "spawn", Score: level(site, d.Props), Weight: 1},
		{Name: "budget", Score: min(2-2*float64(site.Voxels)/float64(site.VoxelBudget), 1), Weight: 0.5},
	}
}

// weightOf leaves a part out that nothing was asked for.
func weightOf(asked int, weight float64) float64 {
	if asked == 0 {
		return 0
	}
	return weight
}

// joining are words of a feature's name that any other name may hold.
const joining = " a an and at by for from in of on or the to with "

// built reports whether something in the draft carries a word of the feature's name, or of the zone that holds it. A sign does not: it may
// say that the thing is still to be built.
func built(number int, feature string, o Outline, d Draft) bool {
	words := strings.FieldsFunc(strings.ToLower(feature), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	for _, z := range o.Zones {
		for _, n := range z.Features {
			if int(n) == number {
				words = append(words, strings.ToLower(z.Name))
			}
		}
	}
	words = slices.DeleteFunc(words, func(w string) bool { return strings.Contains(joining, " "+w+" ") })
	names := make([]string, 0, len(d.Operations)+len(d.Props))
	for _, op := range d.Operations {
		names = append(names, strings.ToLower(op.Label))
	}
	for _, p := range d.Props {
		if p.Kind != "sign" || slices.Contains(words, "sign") || slices.Contains(words, "signs") {
			names = append(names, strings.ToLower(p.Name))
		}
	}
	return slices.ContainsFunc(names, func(name string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return len([]rune(w)) > 1 && strings.Contains(name, w) })
	})
}

// level says how level the ground is around the places to appear at: 1 within a voxel, 0 from 12 studs on.
func level(site *terrain.Site, props []terrain.Prop) float64 {
	worst := 1.0
	for _, p := range props {
		if p.Kind != "spawn" {
			continue
		}
		for _, step := range [][2]float64{{1, 0}, {-1, 0}, {0, 1}, {0, -1}} {
			x, z := p.Position.X+step[0]*(p.Size.X/2+4), p.Position.Z+step[1]*(p.Size.Z/2+4)
			if floor, ok := site.Floor(x, p.Position.Y+12, z); ok {
				worst = min(worst, 1-(math.Abs(floor-p.Position.Y)-terrain.Cell)/8)
			}
		}
	}
	return max(worst, 0)
}

// nativeTo returns the materials that a biome is known by.
func nativeTo(biome string) []string {
	switch biome {
	case "ocean":
		return []string{terrain.Water, "Sand"}
	case "forest":
		return []string{"LeafyGrass", "Grass", "Mud", "Ground"}
	case "desert":
		return []string{"Sand", "Sandstone", "Salt"}
	case "mountain":
		return []string{"Rock", "Slate", "Snow", "Glacier", "Ice", "Basalt", "Limestone", "Grass"}
	case "classroom":
		return []string{"Pavement", "Concrete", "Brick", "WoodPlanks", "Asphalt", "Cobblestone", "Grass"}
	}
	return []string{"Grass", "LeafyGrass", "Ground"}
}
