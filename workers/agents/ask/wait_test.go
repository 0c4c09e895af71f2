package ask_test

import (
	"context"
	"reflect"
	"testing"
	"testing/fstest"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/policy"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/agents/ask"
	"github.com/toolboxai/orchestrator/workers/workerstest"
)

func TestAsk_GivesTheSlotBackWhenMoneyOrTheModelIsMissing(t *testing.T) {
	t.Parallel()
	until := time.Now().Add(time.Hour).UTC()
	for name, c := range map[string]struct {
		err  error
		wait events.Wait
		of   string
	}{
		"Tenant": {&llm.BudgetError{Scope: policy.ScopeTenant, ID: "school", Period: policy.Month, Until: until, Message: "spent"}, events.WaitBudget, "tenant/school/month"},
		"User":   {&llm.BudgetError{Scope: policy.ScopeUser, ID: "u1", Tenant: "school", Period: policy.Day, Until: until, Message: "spent"}, events.WaitBudget, "user/school/u1/day"},
		"Model":  {&llm.PausedError{Provider: "openai", Model: "m", Until: until, Message: "busy"}, events.WaitProvider, "openai/m"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The first round was paid for; the repair is what has to wait.
			s := &say{answers: []string{`{"lines":[]}`}, errs: []error{nil, c.err}}
			got, _ := workerstest.Work(t, poet(t, s), []byte(input))
			if got.State != task.Waiting || got.Wait.For != c.wait || got.Wait.Name != c.of || !got.Wait.Until.Equal(until) || got.Wait.Message != c.err.Error() {
				t.Errorf("got %s: %+v, %+v", got.State, got.Wait, got.Failure)
			}
			if len(got.Failures) != 0 || got.Usage == nil || got.Usage.Calls != 1 {
				t.Errorf("failures %v, usage %+v", got.Failures, got.Usage)
			}
		})
	}
}

// caller answers, and keeps for whom.
type caller struct {
	say
	of llm.Caller
}

func (c *caller) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	c.of, _ = llm.CallerFrom(ctx)
	resp, err := c.say.Complete(ctx, req)
	resp.Fallback = "openai/n: breaker open"
	return resp, err
}

func TestAsk_SaysForWhomItAsksAndWhoStoodIn(t *testing.T) {
	t.Parallel()
	c := &caller{say: say{answers: []string{`{"lines":["a","b"]}`}}}
	m := tasktest.NewMemory()
	r, err := workers.NewRunner(workers.RunnerConfig{Worker: "w1", Agents: []workers.Agent{poet(t, c)}, Log: m, Board: m})
	if err != nil {
		t.Fatal(err)
	}
	e := tasktest.QueuedEvent(t, "school")
	e = tasktest.MustAppend(t, m, tasktest.Event(t, "school", e.Task, events.Queued{
		Kind: "poem", Input: []byte(input), Priority: events.Normal, Dispatch: 1, UserID: "u1", Origin: &events.Origin{Workflow: "course"},
	}), 0)
	if err := r.Handle(workerstest.Message(e)); err != nil {
		t.Fatal(err)
	}
	got, _ := workerstest.Read(t, m, e.Task)
	if want := (llm.Caller{Tenant: "school", User: "u1", Workflow: "course", Task: e.Task}); !reflect.DeepEqual(c.of, want) {
		t.Errorf("asked for %+v, want %+v", c.of, want)
	}
	if got.State != task.Completed || got.Provenance.Fallback != "openai/n: breaker open" {
		t.Errorf("got %s: %+v", got.State, got.Provenance)
	}
}

// poetry is the folder of a kind whose prompts have three versions, of which the second was withdrawn.
func poetry(versions ...string) fstest.MapFS {
	folder := fstest.MapFS{
		"input.schema.json":  {Data: []byte(`{"type":"object"}`)},
		"output.schema.json": {Data: []byte(`{"type":"object"}`)},
		"example.json":       {Data: []byte(`{}`)},
		"evals.json":         {Data: []byte(`{"cases":[{"name":"short","about":"A short poem.","input":{}}]}`)},
	}
	for _, v := range versions {
		folder["prompts/draft.v"+v+".md"] = &fstest.MapFile{Data: []byte(`{{define "system"}}As version ` + v + `.{{end}}{{define "prompt"}}{{data "request" .}}{{end}}`)}
		folder["prompts/draft.v"+v+".schema.json"] = &fstest.MapFile{Data: []byte(poemSchema)}
	}
	return folder
}

func TestNewAgent_WorksAsTheVersionThatTheTaskBeganWith(t *testing.T) {
	t.Parallel()
	s := &say{answers: []string{`{"lines":["a"]}`, `{"lines":["b"]}`}}
	var numbers []int
	agent, err := ask.NewAgent(s, poetry("1", "3"), 3, task.Kind{Name: "poem"}, func(ctx context.Context, run *workers.Run, author *ask.Author, in wish) (poem, error) {
		numbers = append(numbers, author.Version())
		return ask.Ask(ctx, run, author, ask.Question[poem]{Prompt: "draft", Input: in})
	})
	if err != nil {
		t.Fatal(err)
	}
	m := tasktest.NewMemory()
	r, err := workers.NewRunner(workers.RunnerConfig{Worker: "w1", Agents: []workers.Agent{agent}, Log: m, Board: m})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Stats().Kinds[0].Versions; len(got) != 2 || got[0] != "poem/3" || got[1] != "poem/1" {
		t.Fatalf("the versions are %v", got)
	}
	old, fresh := workerstest.Queue(t, m, "poem", []byte(input)), workerstest.Queue(t, m, "poem", []byte(input))
	tasktest.MustAppend(t, m, tasktest.Event(t, "school", old.Task, events.Started{Attempt: 1, Dispatch: 1, Worker: "w0", Version: "poem/1"}), old.Seq)
	for i, want := range []struct {
		e       events.Event
		version string
		number  int
	}{{old, "poem/1", 1}, {fresh, "poem/3", 3}} {
		if err := r.Handle(workerstest.Message(want.e)); err != nil {
			t.Fatal(err)
		}
		got, _ := workerstest.Read(t, m, want.e.Task)
		if got.State != task.Completed || got.Version != want.version || got.Provenance.PromptVersion != want.version || numbers[i] != want.number {
			t.Errorf("got %s as %q by prompt %+v and code %v: %+v", got.State, got.Version, got.Provenance, numbers, got.Failure)
		}
		if system := s.asked[i].System; system != "As version "+want.version[len("poem/"):]+"." {
			t.Errorf("%s was asked %q", want.version, system)
		}
	}
	if _, err := ask.NewAgent(s, poetry("1"), 3, task.Kind{Name: "poem"}, func(context.Context, *workers.Run, *ask.Author, wish) (poem, error) { return poem{}, nil }); err == nil {
		t.Error("an agent without the prompts of its own version")
	}
}
