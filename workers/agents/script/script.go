// Package script is the agent for Luau scripts: an approach, then the code, which is parsed and held against the rules for safe scripts. What
// they deny goes back to the model once; what they flag stands in the result.
package script

import (
	"cmp"
	"context"
	"embed"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/agents/ask"
	"github.com/toolboxai/orchestrator/workers/agents/lesson"
)

//go:embed *.json prompts
var files embed.FS

// promptVersion is raised with every change of a prompt or of a step's schema.
const promptVersion = 2

// New returns the agent of kind script.
func New(client llm.Client) (workers.Agent, error) {
	return ask.NewAgent(client, files, promptVersion, task.Kind{
		Name:        "script",
		Aliases:     []string{"script_generator", "generate_script"},
		Title:       "Script",
		Description: "Writes a Luau script for Roblox and checks its syntax and what it reaches and does.",
		Routes:      []string{"/agents/script/generate"},
	}, work)
}

// Input is a submission, as input.schema.json describes it.
type Input struct {
	ScriptType    string   `json:"script_type"`
	Functionality string   `json:"functionality"`
	Requirements  []string `json:"requirements"`
}

// The types of scripts.
const (
	ServerScript = "ServerScript"
	LocalScript  = "LocalScript"
	ModuleScript = "ModuleScript"
)

// Request is an Input that is cleaned and complete: what the prompts and the composer get.
type Request struct {
	ScriptType    string   `json:"script_type"`
	Functionality string   `json:"functionality"`
	Requirements  []string `json:"requirements"`
}

func (in Input) request() (Request, error) {
	functionality, err := lesson.Required("input.functionality", in.Functionality)
	if err != nil {
		return Request{}, err
	}
	return Request{cmp.Or(in.ScriptType, ServerScript), functionality, lesson.CleanAll(in.Requirements)}, nil
}

// Outline is the answer of the first step.
type Outline struct {
	Name     string   `json:"name"`
	Approach string   `json:"approach"`
	Parts    []string `json:"parts"`
	Risks    []string `json:"risks"`
}

// Draft is the answer of the second step.
type Draft struct {
	Name          string   `json:"name"`
	Code          string   `json:"code"`
	Dependencies  []string `json:"dependencies"`
	Description   string   `json:"description"`
	SecurityNotes []string `json:"security_notes"`
}

type (
	outlineInput struct {
		Request Request `json:"request"`
	}
	draftInput struct {
		Request Request `json:"request"`
		Outline Outline `json:"outline"`
	}
)

func work(ctx context.Context, run *workers.Run, author *ask.Author, in Input) (Result, error) {
	req, err := in.request()
	if err != nil {
		return Result{}, err
	}
	outline, err := ask.Ask(ctx, run, author, ask.Question[Outline]{
		Prompt: "outline", Input: outlineInput{req}, Doing: "Planning the script", From: 5, To: 25, Length: 1200,
		Creative: 0.4, Check: checkOutline,
	})
	if err != nil {
		return Result{}, err
	}
	draft, err := ask.Ask(ctx, run, author, ask.Question[Draft]{
		Prompt: "draft", Input: draftInput{req, outline}, Doing: "Writing the script", From: 25, To: 90, Length: 5000,
		MaxTokens: 8000, Creative: 0.2, Code: []string{"code"}, Check: func(d *Draft) []fault.Detail { return checkDraft(req, d) },
	})
	if err != nil {
		return Result{}, err
	}
	run.Progress(ctx, 95, "Checking the script")
	return assemble(req, draft), nil
}
