// Package quiz is the agent for quizzes: a plan of what each question tests, then the questions in batches that a model can
// write in one answer, each batch knowing what was asked before.
package quiz

import (
	"context"
	"embed"
	"fmt"

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

// batch is how many questions one answer holds at most: about 3,000 tokens.
const batch = 10

// New returns the agent of kind quiz.
func New(client llm.Client) (workers.Agent, error) {
	return ask.NewAgent(client, files, promptVersion, task.Kind{
		Name:        "quiz",
		Aliases:     []string{"quiz_generator", "generate_quiz"},
		Title:       "Quiz",
		Description: "Writes a quiz with answers, explanations and hints, in up to six types of questions.",
		Routes:      []string{"/agents/quiz/generate"},
	}, work)
}

// Outline is the answer of the first step.
type Outline struct {
	Title string  `json:"title"`
	Plan  []Focus `json:"plan"`
}

// Focus is what one question tests.
type Focus struct {
	Number lesson.Int `json:"number"`
	Focus  string     `json:"focus"`
}

// Draft is the answer of the steps that follow.
type Draft struct {
	Questions []lesson.Question `json:"questions"`
}

type (
	outlineInput struct {
		Request Request       `json:"request"`
		Slots   []lesson.Slot `json:"slots"`
	}
	draftInput struct {
		Request Request       `json:"request"`
		Slots   []lesson.Slot `json:"slots"` // of the whole quiz
		From    int           `json:"from"`  // the batch is slots[From:To]
		To      int           `json:"to"`
		Plan    []Focus       `json:"plan"`  // of the batch
		Asked   []string      `json:"asked"` // texts of the questions before
	}
)

// Batch returns the slots that are to be written now.
func (in draftInput) Batch() []lesson.Slot { return in.Slots[in.From:in.To] }

func work(ctx context.Context, run *workers.Run, author *ask.Author, in Input) (Result, error) {
	req, err := in.request()
	if err != nil {
		return Result{}, err
	}
	slots := lesson.Slots(req.NumQuestions, req.QuestionTypes, len(req.Objectives))
	outline, err := ask.Ask(ctx, run, author, ask.Question[Outline]{
		Prompt: "outline", Input: outlineInput{req, slots}, Doing: "Planning the quiz", From: 5, To: 20, Length: 120 * len(slots),
		Creative: 0.7, Check: func(o *Outline) []fault.Detail { return checkOutline(slots, o) },
	})
	if err != nil {
		return Result{}, err
	}
	var questions []lesson.Question
	asked := []string{}
	for from := 0; from < len(slots); from += batch {
		part, err := draft(ctx, run, author, draftInput{
			Request: req, Slots: slots, From: from, To: min(from+batch, len(slots)), Plan: outline.Plan[from:min(from+batch, len(slots))], Asked: asked,
		})
		if err != nil {
			return Result{}, err
		}
		for _, q := range part {
			asked = append(asked, q.Text)
		}
		questions = append(questions, part...)
	}
	run.Progress(ctx, 97, "Checking the quiz")
	return assemble(req, outline, slots, questions), nil
}

// draft writes one batch. Its share of the progress is its share of the quiz.
func draft(ctx context.Context, run *workers.Run, author *ask.Author, in draftInput) ([]lesson.Question, error) {
	at := func(n int) float64 { return 20 + 75*float64(n)/float64(len(in.Slots)) }
	answer, err := ask.Ask(ctx, run, author, ask.Question[Draft]{
		Prompt: "draft", Step: fmt.Sprintf("draft_%d", in.From/batch+1), Input: in,
		Doing: fmt.Sprintf("Writing questions %d to %d of %d", in.From+1, in.To, len(in.Slots)), From: at(in.From), To: at(in.To),
		Length: 600 * len(in.Batch()), MaxTokens: 8000, Creative: 0.5,
		Check: func(d *Draft) []fault.Detail {
			return lesson.CheckQuestions("answer.questions", d.Questions, lesson.Wanted{Slots: in.Batch(), Taken: in.Asked, Grade: in.Request.top(), Given: in.Request.words()})
		},
	})
	return answer.Questions, err
}

func checkOutline(slots []lesson.Slot, o *Outline) []fault.Detail {
	var details []fault.Detail
	broken := func(field, format string, args ...any) {
		details = append(details, fault.Detail{Field: field, Reason: fmt.Sprintf(format, args...)})
	}
	if o.Title = lesson.Clean(o.Title); o.Title == "" {
		broken("answer.title", "is blank")
	}
	if len(o.Plan) != len(slots) {
		broken("answer.plan", "has %d entries, must have exactly %d", len(o.Plan), len(slots))
		return details
	}
	for i := range o.Plan {
		p, at := &o.Plan[i], fmt.Sprintf("answer.plan[%d]", i)
		if int(p.Number) != slots[i].Number {
			broken(at+".number", "is %d, must be %d", p.Number, slots[i].Number)
		}
		if p.Focus = lesson.Clean(p.Focus); p.Focus == "" {
			broken(at+".focus", "is blank")
		}
	}
	return details
}
