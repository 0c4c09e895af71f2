package quiz

import (
	"cmp"
	"encoding/json"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/workers/agents/lesson"
)

// Input is a submission, as input.schema.json describes it.
type Input struct {
	Subject       string             `json:"subject"`
	Objectives    []lesson.Objective `json:"objectives"`
	GradeLevel    json.RawMessage    `json:"grade_level"`
	NumQuestions  lesson.Int         `json:"num_questions"`
	Difficulty    lesson.Difficulty  `json:"difficulty"`
	QuestionTypes []lesson.Type      `json:"question_types"`
	TimeLimit     lesson.Int         `json:"time_limit"`    // seconds; 0 for none
	PassingScore  *lesson.Int        `json:"passing_score"` // percent
}

// Request is an Input that is cleaned and complete: what the prompts and the composer get.
type Request struct {
	Subject       string             `json:"subject"`
	Objectives    []lesson.Objective `json:"objectives"`
	Grade         *lesson.Grade      `json:"grade,omitempty"`
	GradeName     string             `json:"grade_name"` // "any grade" when the input names none
	NumQuestions  int                `json:"num_questions"`
	Difficulty    lesson.Difficulty  `json:"difficulty"`
	QuestionTypes []lesson.Type      `json:"question_types"`
	TimeLimit     int                `json:"time_limit,omitempty"`
	PassingScore  int                `json:"passing_score"`
}

const defaultPassingScore = 70

func (in Input) request() (Request, error) {
	subject, err := lesson.Required("input.subject", in.Subject)
	if err != nil {
		return Request{}, err
	}
	objectives, err := lesson.CleanObjectives(in.Objectives)
	if err != nil {
		return Request{}, err
	}
	req := Request{
		Subject: subject, Objectives: objectives, GradeName: "any grade", NumQuestions: int(cmp.Or(in.NumQuestions, 5)),
		Difficulty: cmp.Or(in.Difficulty, "medium"), QuestionTypes: in.QuestionTypes,
		TimeLimit: int(in.TimeLimit), PassingScore: defaultPassingScore,
	}
	if len(in.GradeLevel) > 0 {
		grade, err := lesson.ParseGrade(in.GradeLevel)
		if err != nil {
			return Request{}, fault.InvalidField("input.grade_level", "%v", err)
		}
		req.Grade, req.GradeName = &grade, grade.String()
	}
	if len(req.QuestionTypes) == 0 {
		req.QuestionTypes = []lesson.Type{lesson.MultipleChoice}
	}
	if in.PassingScore != nil {
		req.PassingScore = int(*in.PassingScore)
	}
	return req, nil
}

// anyGrade is the highest grade of a class that nobody named.
const anyGrade = 12

// top returns the highest grade of the class.
func (r Request) top() int {
	if r.Grade == nil {
		return anyGrade
	}
	return r.Grade.To
}

// words returns the teacher's own words, which a quiz may repeat however hard they are.
func (r Request) words() []string {
	words := []string{r.Subject}
	for _, o := range r.Objectives {
		words = append(words, o.Title, o.Description, o.Text())
	}
	return words
}
