package agents_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/workerstest"
)

func TestAgents_RecordWhoAnsweredAndWhatItCost(t *testing.T) {
	t.Parallel()
	m := newModel(nil)
	got, history := workerstest.Work(t, open(t, m, "quiz"), []byte(`{"subject":"Biology","objectives":["Plants"],"num_questions":25}`))
	if got.State != task.Completed {
		t.Fatalf("state %s: %+v", got.State, got.Failure)
	}
	want := events.Usage{Calls: 4, InputTokens: 40, OutputTokens: 80, CostUSD: 2, CostKnown: true} // an outline and three batches
	if *got.Usage != want {
		t.Errorf("usage %+v, want %+v", *got.Usage, want)
	}
	if p := *got.Provenance; p != (events.Provenance{GeneratedBy: "openai/gpt-test", Provider: "openai", Model: "gpt-test", PromptVersion: "quiz/2"}) {
		t.Errorf("provenance %+v", p)
	}
	var steps []string
	for _, e := range history {
		if s, err := events.DataAs[events.Step](e); err == nil && e.Type == events.TypeStep {
			steps = append(steps, s.Name)
			if s.Usage.Calls != 1 || s.Provenance.GeneratedBy != "openai/gpt-test" {
				t.Errorf("step %s: usage %+v, provenance %+v", s.Name, s.Usage, s.Provenance)
			}
		}
	}
	if !slices.Equal(steps, []string{"outline", "draft_1", "draft_2", "draft_3"}) {
		t.Errorf("steps: %v", steps)
	}
}

func TestAgents_PassProviderFaultsOn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err   error
		cause events.Cause
		state task.State
	}{
		"RateLimited":  {&fault.Error{Kind: fault.RateLimited, Message: "429", RetryAfter: time.Hour}, events.CauseProvider, task.Retrying},
		"Unavailable":  {fault.New(fault.Unavailable, "503"), events.CauseProvider, task.Retrying},
		"Timeout":      {fault.New(fault.Timeout, "slow"), events.CauseTimeout, task.Retrying},
		"Unclassified": {errors.New("nil map"), events.CauseBug, task.Retrying},
	} {
		for _, kind := range []string{"content", "quiz", "terrain", "script", "code_review", "roblox_asset", "roblox_testing", "roblox_analytics"} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				m := newModel(func(int, llm.Request, string) (string, error) { return "", c.err })
				agent := open(t, m, kind)
				got, _ := workerstest.Work(t, agent, agent.Kind().Example)
				if got.State != c.state || got.Failure.Cause != c.cause || got.Result != nil {
					t.Errorf("state %s, failure %+v", got.State, got.Failure)
				}
				if wait := got.NextAt.Sub(got.UpdatedAt); wait < fault.RetryAfter(c.err)-time.Second {
					t.Errorf("the next attempt is in %v, the provider asked for %v", wait, fault.RetryAfter(c.err))
				}
			})
		}
	}
}

// TestAgents_RepairOverTheWire goes through a real client and a scripted provider.
func TestAgents_RepairOverTheWire(t *testing.T) {
	t.Parallel()
	outline := `{"name":"Door","approach":"A part that moves.","parts":["door"],"risks":[]}`
	draft := func(code string) string {
		raw, err := json.Marshal(object{"name": "Door", "code": code, "dependencies": []string{}, "description": "A door.", "security_notes": []string{}})
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	server := llmtest.NewOpenAI(t, llmtest.Say(outline, draft("if x then"), "Here it is:\n```json\n"+draft("print(1)")+"\n```"))
	client, err := llm.NewOpenAI(llm.Endpoint{Key: llmtest.Key, Base: server.Base(), Model: "gpt-test"})
	if err != nil {
		t.Fatal(err)
	}
	got, _ := workerstest.Work(t, open(t, client, "script"), []byte(scriptExample))
	if got.State != task.Completed || !strings.Contains(string(got.Result), "print(1)") || got.Usage.Calls != 3 {
		t.Fatalf("state %s: %+v, usage %+v, result %s", got.State, got.Failure, got.Usage, got.Result)
	}
	if repair := server.Calls()[2].Prompt; !strings.Contains(repair, "- answer.code: line 2, column 1: the source does not parse: ") {
		t.Errorf("the repair prompt: %s", repair)
	}
}

// TestAgents_ContinueBehindTheLastStep has a model fail in the middle of a quiz. The next attempt pays only for the rest.
func TestAgents_ContinueBehindTheLastStep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		failing := true
		m := newModel(func(call int, _ llm.Request, answer string) (string, error) {
			if call == 2 && failing {
				failing = false
				return "", fault.New(fault.Unavailable, "502")
			}
			return answer, nil
		})
		memory := tasktest.NewMemory()
		runner, err := workers.NewRunner(workers.RunnerConfig{Worker: "w1", Agents: []workers.Agent{open(t, m, "quiz")}, Log: memory, Board: memory})
		if err != nil {
			t.Fatal(err)
		}
		e := workerstest.Queue(t, memory, "quiz", []byte(`{"subject":"Art","objectives":["Colors"],"num_questions":20}`))
		for range 2 {
			msg := workerstest.Message(e)
			if err := runner.Handle(msg); err != nil {
				t.Fatal(err)
			}
			if _, wait := workerstest.Settled(t, msg); wait > 0 {
				<-time.After(wait) // on the clock of the bubble
			}
		}
		got, _ := workerstest.Read(t, memory, e.Task)
		if got.State != task.Completed || got.Attempt != 2 {
			t.Fatalf("state %s after attempt %d: %+v", got.State, got.Attempt, got.Failure)
		}
		var purposes []string
		for _, call := range m.asked() {
			purposes = append(purposes, call.Purpose)
		}
		if want := []string{"quiz.outline", "quiz.draft", "quiz.draft", "quiz.draft"}; !slices.Equal(purposes, want) {
			t.Errorf("asked for %v, want %v", purposes, want)
		}
		if got.Usage.Calls != 3 {
			t.Errorf("usage counts %d calls, 3 were answered", got.Usage.Calls)
		}
	})
}

// board keeps progress reports.
type board struct {
	task.ProgressBoard
	mu      sync.Mutex
	reports []events.Progress
}

func (b *board) Report(_ context.Context, e events.Event) error {
	if e.Type == events.TypeText {
		return nil
	}
	p, err := events.DataAs[events.Progress](e)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reports = append(b.reports, p)
	return err
}

// slow streams what a model wrote, a piece every 100 ms.
type slow struct{ llm.Client }

func (s slow) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	deltas := req.OnDelta
	req.OnDelta = nil
	resp, err := s.Client.Complete(ctx, req)
	if err == nil && deltas != nil {
		for range 30 {
			<-time.After(100 * time.Millisecond) // on the clock of the bubble
			deltas(strings.Repeat("x", 50))
		}
	}
	return resp, err
}

func TestAgents_TurnStreamsIntoProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		memory := tasktest.NewMemory()
		b := &board{}
		runner, err := workers.NewRunner(workers.RunnerConfig{
			Worker: "w1", Agents: []workers.Agent{open(t, slow{newModel(nil)}, "script")}, Log: memory, Board: b, CancelCheck: time.Hour,
		})
		if err != nil {
			t.Fatal(err)
		}
		msg := workerstest.Message(workerstest.Queue(t, memory, "script", []byte(scriptExample)))
		if err := runner.Handle(msg); err != nil {
			t.Fatal(err)
		}
		written, last := 0, 0.0
		for _, r := range b.reports {
			if r.Percent < last {
				t.Errorf("progress falls from %v to %v (%s)", last, r.Percent, r.Message)
			}
			last = r.Percent
			if strings.HasSuffix(r.Message, "characters)") {
				written++
			}
		}
		// Two answers of 3 s each, at most one report every 500 ms.
		if written < 8 || written > 12 {
			t.Errorf("%d reports while the model wrote, want about 10: %+v", written, b.reports)
		}
		if last < 95 {
			t.Errorf("the last report is at %v percent", last)
		}
	})
}

func TestAgents_RefuseBlankInput(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ kind, input, field string }{
		{"content", `{"subject":"\u200b","grade_level":1,"objectives":["x"]}`, "input.subject"},
		{"quiz", `{"subject":"x","objectives":["ok","\u00a0"]}`, "input.objectives[1]"},
		{"terrain", `{"subject":"\u00a0"}`, "input.subject"},
		{"code_review", `{"code":"\u00a0\n"}`, "input.code"},
		{"script", `{"functionality":"\u200b"}`, "input.functionality"},
	} {
		t.Run(c.kind, func(t *testing.T) {
			t.Parallel()
			got, _ := workerstest.Work(t, open(t, newModel(nil), c.kind), []byte(c.input))
			if got.State != task.Failed || got.Failure.Cause != events.CauseInput || !strings.Contains(got.Failure.Error, c.field+" is blank") {
				t.Errorf("state %s, failure %+v", got.State, got.Failure)
			}
		})
	}
}
