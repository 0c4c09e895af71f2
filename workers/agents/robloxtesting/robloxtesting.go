// Package robloxtesting is the agent for tests of Roblox places and scripts: a plan of cases, then a Luau script that runs those that
// a script can run.
//
// It executes nothing. What it knows for certain is computed here and never asked of a model: what fixed rules find in the script
// under test (package vet), how measured numbers stand against their targets (see metric), and the verdict:
//
//	fail     a finding that denies, or a metric beyond its limit
//	warn     any other finding, or a metric that misses its target
//	pass     metrics are there, and all that can be rated keep to their targets
//	not_run  nothing was measured: the cases have to be run first
//
// The test script is a fixed harness with the model's tests behind it. It must parse, and no rule may deny it.
package robloxtesting

import (
	"context"
	"embed"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/roblox/luau/vet"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/agents/ask"
)

//go:embed *.json *.luau prompts
var files embed.FS

//go:embed harness.luau
var harness string

// promptVersion is raised with every change of a prompt or of a step's schema.
const promptVersion = 1

// New returns the agent of kind roblox_testing.
func New(client llm.Client) (workers.Agent, error) { return newAgent(client, vet.Check) }

// check is vet.Check, or what a test puts in its place.
type check func(source string, where vet.Context) []vet.Finding

func newAgent(client llm.Client, rules check) (workers.Agent, error) {
	return ask.NewAgent(client, files, promptVersion, task.Kind{
		Name:        "roblox_testing",
		Aliases:     []string{"run_tests"},
		Title:       "Roblox testing",
		Description: "Plans tests of a Roblox place or script, writes the Luau that runs them, and rates what was measured.",
		Routes:      []string{"/agents/roblox/test"},
	}, func(ctx context.Context, run *workers.Run, author *ask.Author, in Input) (Result, error) {
		return agent{author, rules}.work(ctx, run, in)
	})
}

type agent struct {
	author *ask.Author
	rules  check
}

func (a agent) work(ctx context.Context, run *workers.Run, in Input) (Result, error) {
	req, err := in.request()
	if err != nil {
		return Result{}, err
	}
	known := facts{Request: req, Static: a.static(req), Evaluation: evaluate(req.Metrics, req.Targets)}
	plan, err := ask.Ask(ctx, run, a.author, ask.Question[Plan]{
		Prompt: "plan", Input: known, Doing: "Planning the tests", From: 5, To: 45, Length: 4000,
		MaxTokens: 8000, Creative: 0.3, Check: func(p *Plan) []fault.Detail { return checkPlan(known, p) },
	})
	if err != nil {
		return Result{}, err
	}
	cases := number(plan.Cases)
	tests, err := ask.Ask(ctx, run, a.author, ask.Question[Tests]{
		Prompt: "script", Input: scriptInput{req, req.runsIn(), automated(cases)}, Doing: "Writing the test script", From: 45, To: 90, Length: 5000,
		MaxTokens: 8000, Creative: 0.1, Check: func(t *Tests) []fault.Detail { return a.checkTests(req, cases, t) },
	})
	if err != nil {
		return Result{}, err
	}
	run.Progress(ctx, 95, "Working out the verdict")
	return assemble(known, plan, cases, tests), nil
}

// static is what the rules find in the script under test.
func (a agent) static(req Request) []Finding {
	out := []Finding{}
	if req.Code == "" {
		return out
	}
	for _, f := range a.rules(req.Code, req.ScriptType) {
		out = append(out, Finding{f.Rule, f.Severity, max(f.Line, 1), f.Why, f.Mend})
	}
	return out
}
