// Package content is the agent for lessons: an outline, then the lesson, then its assessment, then a score computed from what
// was written.
package content

import (
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

// New returns the agent of kind content.
func New(client llm.Client) (workers.Agent, error) {
	return ask.NewAgent(client, files, promptVersion, task.Kind{
		Name:        "content",
		Aliases:     []string{"content_generator", "generate_content"},
		Title:       "Lesson content",
		Description: "Writes a lesson for a Roblox environment: sections, vocabulary, activities and, if wanted, an assessment.",
		Routes:      []string{"/agents/content/generate", "/content/generate"},
	}, work)
}

// Outline is the answer of the first step.
type Outline struct {
	Title    string        `json:"title"`
	Summary  string        `json:"summary"`
	Sections []PlanSection `json:"sections"`
	KeyTerms []string      `json:"key_terms"`
}

// PlanSection is a section that is to be written.
type PlanSection struct {
	Title      string       `json:"title"`
	Focus      string       `json:"focus"`
	Objectives []lesson.Int `json:"objectives"` // numbers, from 1
}

// Draft is the answer of the second step.
type Draft struct {
	Sections            []DraftSection `json:"sections"`
	Vocabulary          []Term         `json:"vocabulary"`
	InteractiveElements []string       `json:"interactive_elements"`
	RobloxIntegration   Roblox         `json:"roblox_integration"`
}

// DraftSection is a section with the objectives that it teaches.
type DraftSection struct {
	Section
	Objectives []lesson.Int `json:"objectives"` // numbers, from 1
}

type (
	outlineInput struct {
		Request Request `json:"request"`
	}
	draftInput struct {
		Request Request `json:"request"`
		Outline Outline `json:"outline"`
	}
	assessmentInput struct {
		Request Request       `json:"request"`
		Lesson  Draft         `json:"lesson"`
		Slots   []lesson.Slot `json:"slots"`
	}
	assessmentAnswer struct {
		Questions []lesson.Question `json:"questions"`
	}
)

func work(ctx context.Context, run *workers.Run, author *ask.Author, in Input) (Result, error) {
	req, err := in.request()
	if err != nil {
		return Result{}, err
	}
	outline, err := ask.Ask(ctx, run, author, ask.Question[Outline]{
		Prompt: "outline", Input: outlineInput{req}, Doing: "Planning the lesson", From: 5, To: 20, Length: 1500,
		Creative: 0.7, Check: func(o *Outline) []fault.Detail { return checkOutline(req, o) },
	})
	if err != nil {
		return Result{}, err
	}
	draft, err := ask.Ask(ctx, run, author, ask.Question[Draft]{
		Prompt: "draft", Input: draftInput{req, outline}, Doing: "Writing the lesson", From: 20, To: 70, Length: 8000,
		MaxTokens: 8000, Creative: 0.7, Check: func(d *Draft) []fault.Detail { return checkDraft(req, d) },
	})
	if err != nil {
		return Result{}, err
	}
	var questions []lesson.Question
	if req.IncludeQuiz {
		if questions, err = assess(ctx, run, author, req, draft); err != nil {
			return Result{}, err
		}
	}
	run.Progress(ctx, 97, "Checking the lesson")
	return assemble(req, outline, draft, questions), nil
}

func assess(ctx context.Context, run *workers.Run, author *ask.Author, req Request, draft Draft) ([]lesson.Question, error) {
	slots := lesson.Slots(req.questions(), []lesson.Type{lesson.MultipleChoice, lesson.TrueFalse, lesson.ShortAnswer}, len(req.Objectives))
	answer, err := ask.Ask(ctx, run, author, ask.Question[assessmentAnswer]{
		Prompt: "assessment", Input: assessmentInput{req, draft, slots}, Doing: "Writing the assessment", From: 70, To: 95,
		Length: 500 * len(slots), MaxTokens: 6000, Creative: 0.5,
		Check: func(v *assessmentAnswer) []fault.Detail {
			return lesson.CheckQuestions("answer.questions", v.Questions, lesson.Wanted{Slots: slots, Grade: req.Grade.To, Given: req.words()})
		},
	})
	if err != nil {
		return nil, err
	}
	lesson.Finish(answer.Questions, slots, req.Difficulty, 0)
	return answer.Questions, nil
}
