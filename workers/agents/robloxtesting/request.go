package robloxtesting

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/roblox/luau/vet"
	"github.com/toolboxai/orchestrator/workers/agents/lesson"
)

// Bounds of an input, in bytes.
const (
	maxCode  = 64 << 10
	maxOther = 16 << 10 // all fields of test_data that have no name here, as JSON
)

// security is the type of tests whose findings come first.
const security = "security"

var metricName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,63}$`)

// Input is a submission, as input.schema.json describes it.
type Input struct {
	TestType string `json:"test_type"`
	TestData Data   `json:"test_data"`
}

// Data is what is known about what is tested.
type Data struct {
	Code          string             `json:"code"`
	ScriptType    vet.Context        `json:"script_type"`
	Functionality string             `json:"functionality"`
	Description   string             `json:"description"`
	Requirements  []string           `json:"requirements"`
	Scenarios     []string           `json:"scenarios"`
	Metrics       map[string]float64 `json:"metrics"`
	Targets       map[string]float64 `json:"targets"`

	other map[string]json.RawMessage
}

// UnmarshalJSON implements json.Unmarshaler. It keeps the fields that it does not know.
func (d *Data) UnmarshalJSON(raw []byte) error {
	type plain Data
	if err := json.Unmarshal(raw, (*plain)(d)); err != nil {
		return err
	}
	if err := json.Unmarshal(raw, &d.other); err != nil {
		return err
	}
	for _, known := range []string{"code", "script_type", "functionality", "description", "requirements", "scenarios", "metrics", "targets"} {
		delete(d.other, known)
	}
	return nil
}

// Request is an Input that is cleaned and complete: what the prompts and the composer get.
type Request struct {
	TestType      string                     `json:"test_type"`
	Functionality string                     `json:"functionality"`
	Wanted        []string                   `json:"wanted"` // the requirements and then the scenarios; cases name them by number, from 1
	ScriptType    vet.Context                `json:"script_type"`
	Code          string                     `json:"code,omitempty"` // lines end in "\n"
	Metrics       map[string]float64         `json:"metrics,omitempty"`
	Targets       map[string]float64         `json:"targets,omitempty"`
	Other         map[string]json.RawMessage `json:"other,omitempty"`
}

func (in Input) request() (Request, error) {
	d := in.TestData
	req := Request{
		TestType: in.TestType, Functionality: cmp.Or(lesson.Clean(d.Functionality), lesson.Clean(d.Description)),
		Wanted: append(lesson.CleanAll(d.Requirements), lesson.CleanAll(d.Scenarios)...), ScriptType: cmp.Or(d.ScriptType, vet.Server),
		Code: strings.ReplaceAll(d.Code, "\r\n", "\n"), Metrics: d.Metrics, Targets: d.Targets, Other: d.other,
	}
	if lesson.Clean(d.Functionality) != "" && lesson.Clean(d.Description) != "" {
		req.Functionality = lesson.Clean(d.Functionality + " " + d.Description)
	}
	if strings.TrimSpace(req.Code) == "" {
		req.Code = ""
	}
	if len(req.Code) > maxCode {
		return Request{}, fault.InvalidField("input.test_data.code", "has %d bytes, at most %d are allowed", len(req.Code), maxCode)
	}
	for _, name := range slices.Sorted(maps.Keys(req.Metrics)) {
		if !metricName.MatchString(name) {
			return Request{}, fault.InvalidField("input.test_data.metrics", "has the name %q; a name begins with a letter and has at most 64 letters, digits, dots, - and _",
				lesson.Clip(name, 80))
		}
	}
	other, err := json.Marshal(req.Other)
	if err != nil {
		return Request{}, fmt.Errorf("encode test_data: %w", err)
	}
	if len(other) > maxOther {
		return Request{}, fault.InvalidField("input.test_data", "has %d bytes in fields without a name of ours, at most %d are allowed", len(other), maxOther)
	}
	return req, nil
}

// runsIn says where the test script runs: on the client where the script under test does.
func (r Request) runsIn() vet.Context {
	if r.ScriptType == vet.Client {
		return vet.Client
	}
	return vet.Server
}

// About is the request for the prompts, which show the code and the metrics apart.
func (r Request) About() Request {
	r.Code, r.Metrics, r.Targets = "", nil, nil
	return r
}

// Lines are the lines of the code, each behind its number.
func (r Request) Lines() []string {
	lines := strings.Split(strings.TrimSuffix(r.Code, "\n"), "\n")
	for i, line := range lines {
		lines[i] = fmt.Sprintf("%d: %s", i+1, line)
	}
	return lines
}

// facts is the input of the first step: what is asked for, and what is certain.
type facts struct {
	Request    Request   `json:"request"`
	Static     []Finding `json:"static"`
	Evaluation []Row     `json:"evaluation"`
}

// About is Request.About.
func (f facts) About() Request { return f.Request.About() }

// Lines is Request.Lines.
func (f facts) Lines() []string { return f.Request.Lines() }

// scriptInput is the input of the second step.
type scriptInput struct {
	Request Request     `json:"request"`
	RunsIn  vet.Context `json:"runs_in"`
	Cases   []Case      `json:"cases"`
}

// About is Request.About.
func (s scriptInput) About() Request { return s.Request.About() }

// Lines is Request.Lines.
func (s scriptInput) Lines() []string { return s.Request.Lines() }
