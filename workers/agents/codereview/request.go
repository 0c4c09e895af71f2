package codereview

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/roblox/luau/vet"
)

// maxCode bounds the code, in bytes.
const maxCode = 64 << 10

// The types of reviews.
const (
	security      = "security"
	performance   = "performance"
	comprehensive = "comprehensive"
)

// Input is a submission, as input.schema.json describes it.
type Input struct {
	Code       string      `json:"code"`
	Language   string      `json:"language"`
	ReviewType string      `json:"review_type"`
	ScriptType vet.Context `json:"script_type"`
}

// Request is an Input that is complete: what the prompt and the composer get. Lines of its code end in "\n".
type Request struct {
	Code       string      `json:"code"`
	Language   string      `json:"language"`
	ReviewType string      `json:"review_type"`
	ScriptType vet.Context `json:"script_type,omitempty"` // empty outside of Roblox
}

func (in Input) request() (Request, error) {
	req := Request{
		Code: strings.ReplaceAll(in.Code, "\r\n", "\n"), Language: cmp.Or(in.Language, "luau"), ReviewType: cmp.Or(in.ReviewType, comprehensive),
	}
	if len(req.Code) > maxCode {
		return Request{}, fault.InvalidField("input.code", "has %d bytes, at most %d are allowed", len(req.Code), maxCode)
	}
	if strings.TrimSpace(req.Code) == "" {
		return Request{}, fault.InvalidField("input.code", "is blank")
	}
	if req.luau() {
		req.ScriptType = cmp.Or(in.ScriptType, vet.Server)
	}
	return req, nil
}

// luau reports whether the rules can read the code.
func (r Request) luau() bool { return r.Language == "luau" || r.Language == "lua" }

// lists reports whether the review lists issues of a category.
func (r Request) lists(category string) bool {
	return r.ReviewType == comprehensive || r.ReviewType == category
}

func (r Request) lines() []string { return strings.Split(strings.TrimSuffix(r.Code, "\n"), "\n") }

// question is the input of the one step.
type question struct {
	Request  Request `json:"request"`
	Findings []Issue `json:"findings"`
}

// about is the request without its code, for the prompt.
type about struct {
	Language   string      `json:"language"`
	ReviewType string      `json:"review_type"`
	ScriptType vet.Context `json:"script_type,omitempty"`
}

// About says what to review the code for.
func (q question) About() any {
	return about{q.Request.Language, q.Request.ReviewType, q.Request.ScriptType}
}

// Lines are the lines of the code, each behind its number.
func (q question) Lines() []string {
	lines := q.Request.lines()
	for i, line := range lines {
		lines[i] = fmt.Sprintf("%d: %s", i+1, line)
	}
	return lines
}
