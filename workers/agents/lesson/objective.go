package lesson

import (
	"encoding/json"
	"fmt"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Objective is what students are to learn. In JSON input it is a string or an object.
type Objective struct {
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
	BloomLevel  string `json:"bloom_level,omitempty"`
}

// UnmarshalJSON reads either form.
func (o *Objective) UnmarshalJSON(raw []byte) error {
	*o = Objective{}
	if json.Unmarshal(raw, &o.Title) == nil {
		return nil
	}
	type plain Objective
	return json.Unmarshal(raw, (*plain)(o))
}

// Text returns title and description as one text.
func (o Objective) Text() string {
	if o.Description == "" {
		return o.Title
	}
	return o.Title + ": " + o.Description
}

// CleanObjectives cleans the objectives of an input, or returns an Invalid fault that names the blank ones.
func CleanObjectives(list []Objective) ([]Objective, error) {
	var details []fault.Detail
	out := make([]Objective, len(list))
	for i, o := range list {
		out[i] = Objective{Clean(o.Title), Clean(o.Description), Clean(o.BloomLevel)}
		if out[i].Title == "" {
			details = append(details, fault.Detail{Field: fmt.Sprintf("input.objectives[%d]", i), Reason: "is blank"})
		}
	}
	if len(details) > 0 {
		return nil, fault.InvalidFields(details)
	}
	return out, nil
}
