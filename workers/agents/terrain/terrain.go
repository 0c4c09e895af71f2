// Package terrain is the agent for places: a plan of zones, then the operations that fill them in, the things that stand on
// them and the light. The model proposes operations as data; the Luau that carries them out is written here, so that nothing
// a model says is ever run.
package terrain

import (
	"cmp"
	"context"
	"embed"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/roblox/terrain"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/agents/ask"
	"github.com/toolboxai/orchestrator/workers/agents/lesson"
)

//go:embed *.json prompts
var files embed.FS

// promptVersion is raised with every change of a prompt or of a step's schema.
const promptVersion = 1

// New returns the agent of kind terrain.
func New(client llm.Client) (workers.Agent, error) {
	return ask.NewAgent(client, files, promptVersion, task.Kind{
		Name:        "terrain",
		Aliases:     []string{"terrain_generator", "generate_terrain"},
		Title:       "Terrain",
		Description: "Designs a Roblox place: terrain operations inside its bounds, props, light, and the Luau that builds it.",
		Routes:      []string{"/agents/terrain/generate"},
	}, work)
}

// Input is a submission, as input.schema.json describes it.
type Input struct {
	Subject     string   `json:"subject"`
	TerrainType string   `json:"terrain_type"`
	Complexity  string   `json:"complexity"`
	Biome       string   `json:"biome"`
	Size        string   `json:"size"`
	Features    []string `json:"features"`

	IncludeModel bool `json:"include_model"`
}

// Request is an Input that is cleaned and complete: what the prompts and the composer get.
type Request struct {
	Subject     string   `json:"subject"`
	TerrainType string   `json:"terrain_type"`
	Complexity  string   `json:"complexity"`
	Biome       string   `json:"biome"`
	Size        string   `json:"size"`
	Features    []string `json:"features"`
}

func (in Input) request() (Request, error) {
	subject, err := lesson.Required("input.subject", in.Subject)
	if err != nil {
		return Request{}, err
	}
	return Request{
		Subject: subject, TerrainType: cmp.Or(in.TerrainType, "educational"), Complexity: cmp.Or(in.Complexity, "medium"),
		Biome: cmp.Or(in.Biome, "temperate"), Size: cmp.Or(in.Size, "medium"), Features: lesson.CleanAll(in.Features),
	}, nil
}

// Outline is the answer of the first step.
type Outline struct {
	Title string `json:"title"`
	Theme string `json:"theme"`
	Zones []Zone `json:"zones"`
}

// Zone is one part of the place.
type Zone struct {
	Name        string       `json:"name"`
	Description string       `json:"description"`
	Features    []lesson.Int `json:"features"` // numbers of the requested features, from 1
}

// Draft is the answer of the second step.
type Draft struct {
	Operations       []terrain.Operation `json:"operations"`
	Props            []terrain.Prop      `json:"props"`
	Lighting         Lighting            `json:"lighting"`
	PerformanceNotes []string            `json:"performance_notes"`
}

type (
	outlineInput struct {
		Request Request        `json:"request"`
		Limits  terrain.Limits `json:"limits"`
	}
	draftInput struct {
		Request Request        `json:"request"`
		Limits  terrain.Limits `json:"limits"`
		Outline Outline        `json:"outline"`
	}
)

func work(ctx context.Context, run *workers.Run, author *ask.Author, in Input) (Result, error) {
	req, err := in.request()
	if err != nil {
		return Result{}, err
	}
	limits := terrain.LimitsOf(req.Size)
	outline, err := ask.Ask(ctx, run, author, ask.Question[Outline]{
		Prompt: "outline", Input: outlineInput{req, limits}, Doing: "Planning the place", From: 5, To: 25, Length: 1500,
		Creative: 0.8, Check: func(o *Outline) []fault.Detail { return checkOutline(req, o) },
	})
	if err != nil {
		return Result{}, err
	}
	draft, err := ask.Ask(ctx, run, author, ask.Question[Draft]{
		Prompt: "draft", Input: draftInput{req, limits, outline}, Doing: "Shaping the terrain", From: 25, To: 90, Length: 8000,
		MaxTokens: 8000, Creative: 0.5, Check: func(d *Draft) []fault.Detail { return checkDraft(req, limits, outline, d) },
	})
	if err != nil {
		return Result{}, err
	}
	run.Progress(ctx, 95, "Drawing the place")
	return assemble(req, limits, outline, draft).finish(in.IncludeModel)
}
