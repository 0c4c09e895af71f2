package terrain

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/roblox/terrain"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/agents/quality"
)

// Result is a place, as output.schema.json describes it.
type Result struct {
	Title            string              `json:"title"`
	Theme            string              `json:"theme"`
	Size             Size                `json:"size"`
	Biome            string              `json:"biome"`
	TerrainType      string              `json:"terrain_type"`
	Materials        []string            `json:"materials"` // in use
	Operations       []terrain.Operation `json:"operations"`
	Props            []terrain.Prop      `json:"props"`
	Lighting         Lighting            `json:"lighting"`
	Voxels           int                 `json:"voxels"` // sum of what the operations cover
	Luau             string              `json:"luau"`   // a server script that builds the place
	PerformanceNotes []string            `json:"performance_notes"`
	Preview          *Preview            `json:"preview,omitempty"` // nil only until finish
	Model            *File               `json:"model,omitempty"`   // nil unless it was asked for and fits
	QualityScore     float64             `json:"quality_score"`
	Quality          quality.Parts       `json:"quality"`

	site *terrain.Site
}

// Size is a size with its name.
type Size struct {
	Name string `json:"name"`
	terrain.Vector
}

// Preview shows the place.
type Preview struct {
	Top  Picture `json:"top"`  // from above, north up
	Side Picture `json:"side"` // from the front, which is the south
}

// Picture is a PNG of at most terrain.MaxPicture bytes; Data is base64 as JSON.
type Picture struct {
	MediaType string `json:"media_type"`
	Width     int    `json:"width"`
	Height    int    `json:"height"`
	Data      []byte `json:"data"`
}

// File is a file to open in Studio; Data is base64 as JSON.
type File struct {
	FileName  string `json:"file_name"`
	MediaType string `json:"media_type"`
	Data      []byte `json:"data"`
}

// The bounds of a result, in bytes of JSON: what is left of workers.MaxOutput for all but the pictures and the model.
const (
	maxPictures = 2 * (terrain.MaxPicture*4/3 + 128)
	maxPlace    = workers.MaxOutput - maxPictures - 1024
)

// maxNotes is how many notes output.schema.json has room for.
const maxNotes = 10

// assemble makes the result but for its pictures and its model.
func assemble(req Request, l terrain.Limits, o Outline, d Draft) Result {
	r := Result{
		Title: o.Title, Theme: o.Theme, Size: Size{req.Size, l.Size}, Biome: req.Biome, TerrainType: req.TerrainType,
		Materials: inUse(d.Operations), Operations: d.Operations, Props: d.Props, Lighting: d.Lighting, site: terrain.Build(l, d.Operations),
	}
	r.Voxels = max(r.site.Voxels, 1)
	r.Luau = luauOf(r, r.Props)
	r.PerformanceNotes = []string{
		fmt.Sprintf("%d operations write %d voxels of 4×4×4 studs; the script pauses every %d operations so that the server stays responsive.",
			len(d.Operations), r.Voxels, pauseEvery),
		fmt.Sprintf("%d props are anchored parts; turn on StreamingEnabled for places above 200×200 studs.", len(d.Props)),
	}
	useless, standing := r.site.Useless(), r.site.Standing(d.Props)
	r.note("%s cannot be seen in the finished place and may be left out.", operations(d, useless))
	for _, kind := range []string{terrain.Floating, terrain.Buried} {
		r.note("%s.", props(d, kind, standing))
	}
	r.PerformanceNotes = append(r.PerformanceNotes, d.PerformanceNotes...)
	r.Quality = scored(req, o, d, r.site, useless, standing)
	r.QualityScore = r.Quality.Score()
	return r
}

// note adds a note about something, unless there is none of it. In a full list it takes the place of the last one.
func (r *Result) note(format, about string) {
	if about != "" {
		r.PerformanceNotes = append(r.PerformanceNotes[:min(len(r.PerformanceNotes), maxNotes-1)], fmt.Sprintf(format, about))
	}
}

// finish adds the pictures and, when it is asked for and there is room, the model.
func (r Result) finish(model bool) (Result, error) {
	r.Preview = &Preview{pictureOf(r.site.Top(r.Props)), pictureOf(r.site.Side(r.Props))}
	if !model {
		return r, nil
	}
	file, err := terrain.Model(r.Title, luauOf(r, nil), r.Props)
	if fault.Is(err, fault.TooLarge) {
		r.note("%s", "The model file is left out: it is too large.")
		return r, nil
	}
	if err != nil {
		return r, err
	}
	r.Model = &File{FileName: "place.rbxmx", MediaType: "application/xml", Data: file}
	if size, err := r.bytes(); err != nil {
		return r, err
	} else if size > workers.MaxOutput {
		r.Model = nil
		r.note("%s", fmt.Sprintf("The model file is left out: with its %d bytes the result would pass %d.", len(file), workers.MaxOutput))
	}
	return r, nil
}

func (r Result) bytes() (int, error) {
	data, err := json.Marshal(r)
	return len(data), err
}

func pictureOf(p terrain.Picture) Picture {
	return Picture{MediaType: "image/png", Width: p.Width, Height: p.Height, Data: p.PNG}
}

func inUse(operations []terrain.Operation) []string {
	var out []string
	for _, o := range operations {
		if !slices.Contains(out, o.Material) {
			out = append(out, o.Material)
		}
	}
	slices.Sort(out)
	return out
}
