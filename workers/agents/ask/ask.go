// Package ask is the way from an agent's step to a model and back. It renders the step's versioned prompt, calls the model
// inside the journal of the run, where readers see it write, holds the answer against the step's schema, its rules and what is safe for a class, gives it one repair round, and puts
// on record what it cost, who wrote it, and which answers were refused.
//
// A step's prompt is prompts/<prompt>.v<version>.md, a text/template with two parts: "system" holds the instructions and is
// rendered without data, "prompt" is rendered with the step's input and shows a teacher's words only through {{data …}}, a
// fence that they cannot close. What must come back is prompts/<prompt>.v<version>.schema.json; a prompt without one is answered in
// words, see Converse.
package ask

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers"
)

// maxAnswer bounds an answer, in bytes. It leaves room below workers.MaxOutput for what the agent adds.
const maxAnswer = workers.MaxOutput * 3 / 4

// Question asks for one part of a result. T is the answer as the schema describes it.
type Question[T any] struct {
	Prompt    string                         // which prompt: "draft"
	Step      string                         // name in the journal, unique within the run; Prompt when empty
	Input     any                            // all that the answer depends on; it goes into the prompt and, as JSON, to the composer
	Doing     string                         // for progress: "Writing the questions"
	From, To  float64                        // percent of the task's progress before and after
	Length    int                            // characters that the answer is likely to have, for progress; 4000 when 0
	MaxTokens int                            // upper bound of the answer; 0 takes the client's default
	Creative  float64                        // the model's temperature, 0 to 1
	Check     func(answer *T) []fault.Detail // rules beyond the schema; it may tidy the answer; may be nil
	Code      []string                       // names of fields that hold code, which Check judges; all other texts go through quality.Safe
}

// Ask returns the answer to q. It is on the run's record when Ask returns, and an answer that an earlier attempt recorded is
// returned without a call.
//
// Errors: an invalid-output outcome when the answer breaks the rules also after its repair; a *workers.WaitError when a budget is
// spent or the model takes no calls for a while, see wait; the client's other faults as they are; those of workers.Step.
func Ask[T any](ctx context.Context, run *workers.Run, a *Author, q Question[T]) (T, error) {
	if q.Step == "" {
		q.Step = q.Prompt
	}
	hashed := struct {
		Prompt string
		Input  any
	}{a.version, q.Input}
	answer, err := workers.Step(ctx, run, q.Step, hashed, func(ctx context.Context) (T, error) {
		return answer(ctx, run, a, q)
	})
	if err == nil {
		run.Progress(ctx, q.To, q.Doing)
	}
	return answer, err
}

func answer[T any](ctx context.Context, run *workers.Run, a *Author, q Question[T]) (T, error) {
	var good T
	if a.answers[q.Prompt] == nil {
		return good, fmt.Errorf("the prompt %q of kind %s has no schema", q.Prompt, a.kind)
	}
	req, err := a.request(q.Prompt, q.Input)
	if err != nil {
		return good, err
	}
	req.MaxTokens, req.Temperature = q.MaxTokens, q.Creative
	ctx = llm.WithCaller(ctx, caller(run.Task()))
	run.Progress(ctx, q.From, q.Doing)
	meter, shown := newMeter(ctx, run, q.Doing, q.From, q.To, q.Length), run.Text(ctx, q.Step)
	req.OnStart = shown.Restart // a repair takes the place of what it repairs
	req.OnDelta = func(delta string) {
		meter.delta(delta)
		_, _ = shown.WriteString(delta)
	}
	kept := &refusals{run: run, step: q.Step, version: a.version}
	req.OnRefused = kept.add
	client, tools := a.equip(ctx, run)
	resp, rounds, err := llm.CompleteValid(ctx, client, req, func(text string) []fault.Detail {
		candidate, details := decode(a, q, text)
		if len(details) == 0 {
			good = candidate
		}
		return details
	})
	if rounds == 0 && err == nil {
		shown.Restart()
		_, _ = shown.WriteString(resp.Text)
	}
	run.Called(tools.calls()...)
	record(run, a, resp, rounds, tools, err)
	var bad *llm.InvalidOutputError
	if errors.As(err, &bad) {
		return good, workers.InvalidOutput(bad)
	}
	return good, wait(err)
}

// wait turns the errors of a client that cost nothing, and that time or money mends, into a wait that gives the slot back: for the
// budget "<scope>/<id>/<period>", with the tenant in front of the id of a user or workflow, or for the model "<provider>/<model>".
func wait(err error) error {
	var spent *llm.BudgetError
	var paused *llm.PausedError
	switch {
	case errors.As(err, &spent):
		name := path.Join(string(spent.Scope), spent.Tenant, spent.ID, string(spent.Period))
		return workers.Wait(events.WaitBudget, name, &spent.Until, spent.Message)
	case errors.As(err, &paused):
		return workers.Wait(events.WaitProvider, paused.Provider+"/"+paused.Model, &paused.Until, paused.Message)
	}
	return err
}

// caller says for whom a call is made. What is private is kept in no cache, where it would outlive what its user deletes.
func caller(t task.Task) llm.Caller {
	c := llm.Caller{Tenant: t.Tenant, User: t.UserID, Task: t.ID, Names: t.Names, NoCache: t.NoCache || t.Private}
	if t.Origin != nil {
		c.Workflow = t.Origin.Workflow
	}
	return c
}

// decode reads an answer and says what is wrong with it: first what breaks the schema, then, for one that does not, the rules, then safety.
func decode[T any](a *Author, q Question[T], text string) (T, []fault.Detail) {
	var v T
	if len(text) > maxAnswer {
		return v, []fault.Detail{{Field: "answer", Reason: fmt.Sprintf("has %d bytes, at most %d are allowed", len(text), maxAnswer)}}
	}
	doc, err := task.ParseJSON("answer", []byte(text))
	if err != nil {
		return v, detailsOf(err)
	}
	if details := task.SchemaDetails("answer", a.answers[q.Prompt], doc); len(details) > 0 {
		return v, details
	}
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return v, detailsOf(err)
	}
	if q.Check != nil {
		if details := q.Check(&v); len(details) > 0 {
			return v, details
		}
	}
	return v, safety(a.systems[q.Prompt], v, q.Code)
}

func detailsOf(err error) []fault.Detail {
	var f *fault.Error
	if errors.As(err, &f) && len(f.Details) > 0 {
		return f.Details
	}
	return []fault.Detail{{Field: "answer", Reason: err.Error()}}
}

// record puts on the run what the calls cost, and who answered. Of a call that failed nothing is known, so only the answered ones count.
func record(run *workers.Run, a *Author, resp llm.Response, rounds int, tools *withTools, err error) {
	var bad *llm.InvalidOutputError
	if err != nil && !errors.As(err, &bad) {
		rounds--
	}
	rounds += tools.extra
	if rounds < 1 && resp.Cache == "" {
		return
	}
	p := events.Provenance{
		Provider: resp.Provider, Model: resp.Model, PromptVersion: a.version, Offline: resp.Offline, Fallback: resp.Fallback,
		CacheHit: resp.Cache != "", Cache: resp.Cache,
	}
	if resp.Provider != "" {
		p.GeneratedBy = resp.Provider + "/" + resp.Model
	}
	run.Record(events.Usage{
		Calls: rounds, InputTokens: resp.Usage.InputTokens, OutputTokens: resp.Usage.OutputTokens,
		CostUSD: resp.Usage.CostUSD, CostKnown: resp.Usage.CostKnown,
		ToolCalls: len(tools.trace),
	}, p)
}
