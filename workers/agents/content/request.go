package content

import (
	"cmp"
	"encoding/json"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/workers/agents/lesson"
)

// Input is a submission, as input.schema.json describes it.
type Input struct {
	Subject               string             `json:"subject"`
	GradeLevel            json.RawMessage    `json:"grade_level"`
	Objectives            []lesson.Objective `json:"objectives"`
	EnvironmentType       string             `json:"environment_type"`
	DurationMinutes       lesson.Int         `json:"duration_minutes"`
	Difficulty            lesson.Difficulty  `json:"difficulty"`
	MaxStudents           lesson.Int         `json:"max_students"`
	IncludeQuiz           *bool              `json:"include_quiz"`
	AccessibilityFeatures accessibility      `json:"accessibility_features"`
	Multilingual          bool               `json:"multilingual"`
	CustomRequirements    string             `json:"custom_requirements"`
	Context               map[string]any     `json:"context"`
}

// accessibility is a list of features; in JSON, true stands for general care.
type accessibility []string

func (a *accessibility) UnmarshalJSON(raw []byte) error {
	var wanted bool
	if json.Unmarshal(raw, &wanted) != nil {
		return json.Unmarshal(raw, (*[]string)(a))
	}
	if wanted {
		*a = accessibility{"general accessibility"}
	}
	return nil
}

// Request is an Input that is cleaned and complete: what the prompts and the composer get.
type Request struct {
	Subject               string             `json:"subject"`
	Grade                 lesson.Grade       `json:"grade"`
	GradeName             string             `json:"grade_name"`
	Objectives            []lesson.Objective `json:"objectives"`
	EnvironmentType       string             `json:"environment_type"`
	DurationMinutes       int                `json:"duration_minutes"`
	Difficulty            lesson.Difficulty  `json:"difficulty"`
	MaxStudents           int                `json:"max_students"`
	IncludeQuiz           bool               `json:"include_quiz"`
	AccessibilityFeatures []string           `json:"accessibility_features"`
	Multilingual          bool               `json:"multilingual"`
	CustomRequirements    string             `json:"custom_requirements,omitempty"`
	Context               map[string]any     `json:"context,omitempty"`
}

func (in Input) request() (Request, error) {
	subject, err := lesson.Required("input.subject", in.Subject)
	if err != nil {
		return Request{}, err
	}
	grade, err := lesson.ParseGrade(in.GradeLevel)
	if err != nil {
		return Request{}, fault.InvalidField("input.grade_level", "%v", err)
	}
	objectives, err := lesson.CleanObjectives(in.Objectives)
	if err != nil {
		return Request{}, err
	}
	return Request{
		Subject: subject, Grade: grade, GradeName: grade.String(), Objectives: objectives,
		EnvironmentType: cmp.Or(in.EnvironmentType, "classroom"), DurationMinutes: int(cmp.Or(in.DurationMinutes, 30)),
		Difficulty: cmp.Or(in.Difficulty, "medium"), MaxStudents: int(cmp.Or(in.MaxStudents, 30)),
		IncludeQuiz: in.IncludeQuiz == nil || *in.IncludeQuiz, AccessibilityFeatures: lesson.CleanAll(in.AccessibilityFeatures),
		Multilingual: in.Multilingual, CustomRequirements: lesson.Clean(in.CustomRequirements), Context: cleanContext(in.Context),
	}, nil
}

// maxContextName bounds the names of the context in characters: JSON Schema can bound them only where OpenAPI cannot follow.
const maxContextName = 100

func cleanContext(in map[string]any) map[string]any {
	out := map[string]any{}
	for name, value := range in {
		if text, ok := value.(string); ok {
			value = lesson.Clean(text)
		}
		out[lesson.Clip(lesson.Clean(name), maxContextName)] = value
	}
	return out
}

// questions is how many questions the assessment has: one for each objective, and more for a longer lesson.
func (r Request) questions() int {
	return min(max(len(r.Objectives), 3+r.DurationMinutes/20), 10)
}

// sections is how many sections suit the time: one for about eight minutes.
func (r Request) sections() int {
	return min(max(r.DurationMinutes/8, 2), 6)
}
