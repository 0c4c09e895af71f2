package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/internal/task"
)

// How a model that is no good at first answers.
const (
	goodAnswers = iota
	badAnswersFirst
	badAnswersOnly
)

// Every kind runs as the README says it: submitted by its typed route, followed by server-sent events, and read. It does so with the composer, and
// with a model that is right, that is right when it is told what was wrong, and that is never right.
func TestKinds_RunFromEndToEnd(t *testing.T) {
	t.Parallel()
	all, err := kinds()
	if err != nil {
		t.Fatal(err)
	}
	catalog, err := task.NewCatalog(all)
	if err != nil {
		t.Fatal(err)
	}
	all = catalog.Kinds() // those that can be submitted
	good := newAnswers()
	for _, k := range all {
		good.record(t, k.Name, k.Example)
	}
	var mood atomic.Int32
	model := llmtest.NewOpenAI(t, func(c llmtest.Call) llmtest.Reply {
		_, text := good.of(c)
		if m := mood.Load(); m == badAnswersOnly || m == badAnswersFirst && !strings.Contains(c.Prompt, "<previous_answer>") {
			text = `{"unexpected":true}`
		}
		return llmtest.Reply{Text: text}
	})
	s := newSite(t, pgtest.New(t), "MAX_AGENT_RETRIES=0", "LLM_CACHE=off")
	s.api()
	s.role("recorder")

	composed := s.role("worker")
	results := map[string]json.RawMessage{}
	for name, r := range s.runAll(all) {
		results[name] = r.task.Result
		if r.task.State != task.Completed || !r.task.Provenance.Offline || r.steps == 0 {
			t.Fatalf("%s by the composer is %s after %d steps: %+v", name, r.task.State, r.steps, r.task.Failure)
		}
		if err := catalog.CheckResult(name, r.task.Result); err != nil {
			t.Errorf("%s by the composer: %v", name, err)
		}
	}
	composed.signal(syscall.SIGTERM)

	s.role("worker", scripted(model)...)
	for _, round := range []struct {
		mood  int32
		calls int // for each step
	}{{goodAnswers, 1}, {badAnswersFirst, 2}} {
		mood.Store(round.mood)
		for name, r := range s.runAll(all) {
			got := r.task
			if got.State != task.Completed || got.Attempt != 1 || got.Provenance.Provider != "openai" || got.Provenance.Offline || got.Usage.Calls != round.calls*r.steps {
				t.Errorf("%s with %d calls a step is %s in attempt %d: %+v, %+v, %+v", name, round.calls, got.State, got.Attempt, got.Usage, got.Provenance, got.Failure)
			}
			if diff := cmp.Diff(decoded(t, results[name]), decoded(t, got.Result)); diff != "" {
				t.Errorf("%s is another than the composer's with the same answers (-composer +model):\n%s", name, diff)
			}
		}
	}

	mood.Store(badAnswersOnly)
	for name, r := range s.runAll(all) {
		got := r.task
		if got.State != task.Failed || got.Failure.Cause != events.CauseInvalidOutput || !strings.Contains(got.Failure.Error, "answer.") || got.Usage.Calls != 2 {
			t.Errorf("%s with bad answers only is %s: %+v, %+v", name, got.State, got.Failure, got.Usage)
		}
		if got.Result != nil || got.ResultRef != nil || r.steps != 0 || slices.Contains(r.types, events.TypeCompleted) {
			t.Errorf("of %s something was kept that is no result: %v, %s", name, r.types, got.Result)
		}
		for i, want := range []int{1, 2} { // the round of each
			if len(got.Refused) != 2 {
				t.Errorf("%s keeps %d refused answers, want both", name, len(got.Refused))
				break
			}
			if r := got.Refused[i]; r.Round != want || r.Attempt != 1 || r.Text != `{"unexpected":true}` || len(r.Reasons) == 0 ||
				!strings.HasPrefix(r.GeneratedBy, "openai/") || !strings.HasPrefix(r.PromptVersion, name+"/") {
				t.Errorf("%s keeps of round %d: %+v", name, want, r)
			}
		}
		eventually(t, "the dead letter is listed", func() error {
			out, _ := s.command("deadletters", "list", "--kind", name)
			if !strings.Contains(out, got.ID) {
				return errNotCompleted
			}
			return nil
		})
	}
}

// ran is a task as its submitter saw it.
type ran struct {
	task  task.Task
	types []events.Type // of the events that were followed
	steps int
}

// runAll submits the example of each kind by its typed route, all at once, follows each to its end, and reads it.
func (s *site) runAll(all []task.Kind) map[string]ran {
	s.t.Helper()
	ids := map[string]string{}
	for _, k := range all {
		var got submitted
		status, answer, err := s.request(http.MethodPost, "/api/v1"+k.Routes[0], nil, string(k.Example))
		if err != nil || status != http.StatusAccepted || json.Unmarshal(answer.Data, &got) != nil {
			s.t.Fatalf("%s: %d, %s, %v", k.Routes[0], status, answer.Message, err)
		}
		ids[k.Name] = got.Task.ID
	}
	done := map[string]ran{}
	for name, id := range ids {
		var r ran
		err := remote{URL: s.base}.follow(s.t.Context(), id, func(f frame) error {
			r.types = append(r.types, events.Type(f.event))
			if events.Type(f.event) == events.TypeStep {
				r.steps++
			}
			return nil
		})
		if err != nil {
			s.t.Fatalf("follow %s: %v", name, err)
		}
		if r.task, err = s.read(id); err != nil {
			s.t.Fatal(err)
		}
		done[name] = r
	}
	return done
}

func decoded(t *testing.T, raw json.RawMessage) (v any) {
	t.Helper()
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
