package ask_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/agents"
	"github.com/toolboxai/orchestrator/workers/agents/ask"
)

// attack is a case of the injection corpus.
type attack struct {
	Name  string
	Kind  string // empty: every kind
	About string // what it attempts
	Text  string // what stands in every free text of the input
	Emits string // what a model writes that obeys; see obedient
}

func corpus(t *testing.T) []attack {
	t.Helper()
	data, err := os.ReadFile("testdata/injection.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Cases []attack }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) < 100 {
		t.Errorf("the corpus has %d cases", len(file.Cases))
	}
	var cases []attack
	for i := 0; i < len(file.Cases); i += thin {
		cases = append(cases, file.Cases[i])
	}
	return cases
}

// everyone returns the agents of all kinds.
func everyone(t *testing.T, client llm.Client) []workers.Agent {
	t.Helper()
	all, err := agents.All(client)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// victims returns those of all whom an attack is for.
func victims(all []workers.Agent, a attack) []workers.Agent {
	return slices.DeleteFunc(slices.Clone(all), func(agent workers.Agent) bool { return a.Kind != "" && agent.Kind().Name != a.Kind })
}

// TestInjection_StaysInsideItsFence holds each prompt of each kind against three rules: its instructions are those of a harmless task, byte by
// byte; the text stands between a fence's tags, where it can close nothing; and nothing of the process or of another tenant is in it.
func TestInjection_StaysInsideItsFence(t *testing.T) {
	t.Setenv("OPENAI_API_KEY", secret)
	t.Setenv("JWT_SECRET_KEY", secret)
	harmless := instructions(t)
	refused, held := 0, 0
	m := newRecorder(nil)
	all := everyone(t, m)
	for _, a := range corpus(t) {
		for _, agent := range victims(all, a) {
			m.asked = nil
			if _, admitted := attacked(t, agent, a); !admitted {
				refused++
				continue
			}
			if len(m.asked) == 0 {
				t.Errorf("%s, %s: no model was asked", a.Name, agent.Kind().Name)
			}
			for _, req := range m.asked {
				held++
				for _, wrong := range breaches(req, harmless[req.Purpose]) {
					t.Errorf("%s, %s: %s", a.Name, req.Purpose, wrong)
				}
			}
		}
	}
	if held < 400/thin {
		t.Errorf("%d prompts were held against the rules, %d inputs were refused", held, refused)
	}
}

// The control: a fence whose data is not escaped is closed from within, and the test above would see it.
func TestInjection_IsSeenWhenTheFenceDoesNotEscape(t *testing.T) {
	t.Parallel()
	harmless := instructions(t)
	m := newRecorder(nil)
	all := everyone(t, m)
	for _, a := range corpus(t) {
		if !strings.Contains(a.Text, "</request>") {
			continue
		}
		for _, agent := range victims(all, a) {
			m.asked = nil
			if _, admitted := attacked(t, agent, a); !admitted {
				continue
			}
			seen := slices.ContainsFunc(m.asked, func(req llm.Request) bool {
				req.Prompt = strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(req.Prompt)
				return len(breaches(req, harmless[req.Purpose])) > 0
			})
			if !seen {
				t.Errorf("%s, %s: nobody sees the open fence", a.Name, agent.Kind().Name)
			}
		}
	}
}

// TestInjection_ObeyedIsRefusedOrHarmless has a model do what the text says. The platform keeps it from the class: what it writes is refused,
// with both answers on record, or nothing of it is in the result.
func TestInjection_ObeyedIsRefusedOrHarmless(t *testing.T) {
	t.Parallel()
	outcomes := map[task.State]int{}
	m := newRecorder(nil)
	all := everyone(t, m)
	for _, a := range corpus(t) {
		m.edit = obedient(a)
		for _, agent := range victims(all, a) {
			m.asked, m.emitted = nil, nil
			got, admitted := attacked(t, agent, a)
			if !admitted {
				continue
			}
			outcomes[got.State]++
			if harm := m.harm(got); harm != "" {
				t.Errorf("%s, %s: %s", a.Name, agent.Kind().Name, harm)
			}
			tidied := strings.HasPrefix(a.Name, "unicode-") // characters that a kind's rules take out of a line
			if len(m.emitted) > 0 && got.State != task.Failed && !tidied {
				t.Errorf("%s, %s: %s, after the model wrote %q", a.Name, agent.Kind().Name, got.State, m.emitted)
			}
			if got.State == task.Failed && (got.Failure.Cause != "invalid_output" || len(got.Refused) == 0) {
				t.Errorf("%s, %s: %+v with %d answers on record", a.Name, agent.Kind().Name, got.Failure, len(got.Refused))
			}
		}
	}
	t.Logf("%v", outcomes)
}

// The control: without the check for safety the obedient model's words come before the class.
func TestInjection_ObeyedDoesHarmWithoutSafety(t *testing.T) {
	ask.WithoutSafety(t)
	harmed, wrote := map[string]int{}, map[string]int{}
	m := newRecorder(nil)
	all := everyone(t, m)
	for _, a := range corpus(t) {
		m.edit = obedient(a)
		for _, agent := range victims(all, a) {
			m.asked, m.emitted = nil, nil
			got, admitted := attacked(t, agent, a)
			if !admitted || len(m.emitted) == 0 {
				continue
			}
			wrote[agent.Kind().Name]++
			if m.harm(got) != "" {
				harmed[agent.Kind().Name]++
			}
		}
	}
	for _, kind := range []string{"content", "quiz"} {
		if wrote[kind] < 60/thin || harmed[kind]*10 < wrote[kind]*7 {
			t.Errorf("%s: %d of %d results show what the model was told to write", kind, harmed[kind], wrote[kind])
		}
	}
}

// TestInjection_NoToolIsOffered has every kind's models ask for tools. None was offered, so an answer that is nothing but calls is refused.
func TestInjection_NoToolIsOffered(t *testing.T) {
	t.Parallel()
	m := newRecorder(func(req llm.Request, resp llm.Response) (llm.Response, []string) {
		resp.Text, resp.Calls = "", []llm.ToolCall{{ID: "1", Name: "delete_task", Arguments: json.RawMessage(`{"id":1}`)}}
		return resp, nil
	})
	for _, agent := range everyone(t, m) {
		m.asked = nil
		got, _ := attacked(t, agent, attack{Text: "A lesson."})
		if got.State != task.Failed || got.Result != nil {
			t.Errorf("%s: %s", agent.Kind().Name, got.State)
		}
		if len(m.asked) != 2 {
			t.Errorf("%s: %d calls to the model", agent.Kind().Name, len(m.asked))
		}
		for _, req := range m.asked {
			if len(req.Tools) > 0 {
				t.Errorf("%s offers tools: the corpus has to hold its calls against an allow list", fmt.Sprint(req.Purpose))
			}
		}
	}
}
