package terrain

import (
	"fmt"
	"math"
	"slices"
)

// Result is a place, as output.schema.json describes it.
type Result struct {
	Title            string      `json:"title"`
	Theme            string      `json:"theme"`
	Size             Size        `json:"size"`
	Biome            string      `json:"biome"`
	TerrainType      string      `json:"terrain_type"`
	Materials        []string    `json:"materials"` // in use
	Operations       []Operation `json:"operations"`
	Props            []Prop      `json:"props"`
	Lighting         Lighting    `json:"lighting"`
	Voxels           int         `json:"voxels"` // estimate of those written
	Luau             string      `json:"luau"`   // a server script that builds the place
	PerformanceNotes []string    `json:"performance_notes"`
}

// Size is a size with its name.
type Size struct {
	Name string `json:"name"`
	Vector
}

func assemble(req Request, l Limits, o Outline, d Draft) Result {
	r := Result{
		Title: o.Title, Theme: o.Theme, Size: Size{req.Size, l.Size}, Biome: req.Biome, TerrainType: req.TerrainType,
		Materials: inUse(d.Operations), Operations: d.Operations, Props: d.Props, Lighting: d.Lighting,
	}
	voxels := 0.0
	for _, op := range d.Operations {
		voxels += op.voxels()
	}
	r.Voxels = max(int(math.Ceil(voxels)), 1)
	r.Luau = luauOf(r)
	r.PerformanceNotes = append([]string{
		fmt.Sprintf("%d operations write about %d voxels of 4×4×4 studs; the script pauses every %d operations so that the server stays responsive.",
			len(d.Operations), r.Voxels, pauseEvery),
		fmt.Sprintf("%d props are anchored parts; turn on StreamingEnabled for places above 200×200 studs.", len(d.Props)),
	}, d.PerformanceNotes...)
	return r
}

func inUse(operations []Operation) []string {
	var out []string
	for _, o := range operations {
		if !slices.Contains(out, o.Material) {
			out = append(out, o.Material)
		}
	}
	slices.Sort(out)
	return out
}
