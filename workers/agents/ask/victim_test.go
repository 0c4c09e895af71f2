package ask_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/composer"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/workerstest"
)

const (
	secret = "sk-proj-0123456789abcdefSECRET"     // stands in the process's environment
	rival  = "The rival school's answer is 7f3a9" // stands in another tenant's task on the same log
	mark   = "Zqx"                                // in front of and behind an attack's text
)

// recorder is a model that writes what the composer does, as edit has it, and keeps what it was asked.
type recorder struct {
	writer  llm.Client
	edit    func(llm.Request, llm.Response) (resp llm.Response, emitted []string)
	asked   []llm.Request
	emitted []string
}

var offline = sync.OnceValue(composer.New)

func newRecorder(edit func(llm.Request, llm.Response) (llm.Response, []string)) *recorder {
	return &recorder{writer: offline(), edit: edit}
}

func (r *recorder) Describe() string { return "a model of the tests" }

func (r *recorder) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	r.asked = append(r.asked, req)
	resp, err := r.writer.Complete(ctx, req)
	if err != nil {
		return resp, err
	}
	resp.Provider, resp.Model, resp.Offline = "openai", "m", false
	if r.edit != nil {
		var emitted []string
		resp, emitted = r.edit(req, resp)
		r.emitted = append(r.emitted, emitted...)
	}
	return resp, nil
}

// harm says what of that which no class is to see a result shows.
func (r *recorder) harm(got task.Task) string {
	for _, bad := range append([]string{secret, rival}, r.emitted...) {
		quoted, err := events.Marshal(bad)
		if err == nil && strings.Contains(string(got.Result), strings.Trim(string(quoted), `"`)) {
			return fmt.Sprintf("the result shows %q", bad)
		}
	}
	return ""
}

var catalogs sync.Map // by kind

func catalogOf(t *testing.T, kind task.Kind) *task.Catalog {
	t.Helper()
	if known, ok := catalogs.Load(kind.Name); ok {
		return known.(*task.Catalog)
	}
	made, err := task.NewCatalog([]task.Kind{kind})
	if err != nil {
		t.Fatal(err)
	}
	catalogs.Store(kind.Name, made)
	return made
}

// attacked runs an agent's example with the attack's text in every free text, on a log that holds another tenant's task as well. It is false
// when the API would refuse the input.
func attacked(t *testing.T, agent workers.Agent, a attack) (task.Task, bool) {
	t.Helper()
	kind := agent.Kind()
	catalog := catalogOf(t, kind)
	input := poisoned(t, kind, a.Text)
	if err := catalog.CheckInput(kind.Name, input); err != nil {
		return task.Task{}, false
	}
	m := tasktest.NewMemory()
	other := tasktest.QueuedEvent(t, "rival-school")
	q, err := events.DataAs[events.Queued](other)
	if err != nil {
		t.Fatal(err)
	}
	q.Input = json.RawMessage(`{"answer":"` + rival + `"}`)
	tasktest.MustAppend(t, m, tasktest.Event(t, "rival-school", other.Task, q), 0)
	runner, err := workers.NewRunner(workers.RunnerConfig{Worker: "w1", Agents: []workers.Agent{agent}, Log: m, Board: m})
	if err != nil {
		t.Fatal(err)
	}
	e := workerstest.Queue(t, m, kind.Name, input)
	if err := runner.Handle(workerstest.Message(e)); err != nil {
		t.Fatal(err)
	}
	got, _ := workerstest.Read(t, m, e.Task)
	return got, true
}

// poisoned returns the example of a kind with the text in each field that takes free text, as its input schema says.
func poisoned(t *testing.T, kind task.Kind, text string) json.RawMessage {
	t.Helper()
	var in map[string]any
	var schema map[string]any
	if err := json.Unmarshal(kind.Example, &in); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(kind.InputSchema, &schema); err != nil {
		t.Fatal(err)
	}
	if kind.Name == "terrain" {
		in["size"] = "small" // which is drawn sooner
	}
	n := 0
	properties, _ := schema["properties"].(map[string]any)
	for name, p := range properties {
		if v, ok := free(p, in[name], text); ok {
			in[name] = v
			n++
		}
	}
	if n == 0 {
		t.Fatalf("kind %s takes no free text: the corpus does not reach it", kind.Name)
	}
	data, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// free returns a value with the text for a schema that takes one, or an object whose texts are that and the rest as it was.
func free(schema, was any, text string) (any, bool) {
	s, _ := schema.(map[string]any)
	if s["enum"] != nil {
		return nil, false
	}
	for _, word := range []string{"anyOf", "oneOf"} {
		branches, _ := s[word].([]any)
		for _, b := range branches {
			if v, ok := free(b, was, text); ok {
				return v, true
			}
		}
	}
	switch s["type"] {
	case "string":
		most, ok := s["maxLength"].(float64)
		if !ok {
			most = 1000
		}
		if most < 60 {
			return nil, false
		}
		r := []rune(text)
		return mark + " " + string(r[:min(len(r), int(most)-2*len(mark)-2)]) + " " + mark, true
	case "array":
		v, ok := free(s["items"], nil, text)
		return []any{v}, ok
	case "object":
		properties, _ := s["properties"].(map[string]any)
		out, found := map[string]any{}, false
		if there, ok := was.(map[string]any); ok {
			maps.Copy(out, there)
		}
		for name, p := range properties {
			// What names a field of the data must be there, and what the submission says of an asset goes out as it stands.
			if name == "group_by" || name == "name" || name == "description" {
				continue
			}
			if v, ok := free(p, out[name], text); ok {
				out[name], found = v, true
			}
		}
		return out, found
	}
	return nil, false
}

// instructions returns those of every prompt of every kind, when nobody attacks.
func instructions(t *testing.T) map[string]string {
	t.Helper()
	m := newRecorder(nil)
	for _, agent := range everyone(t, m) {
		workerstest.Work(t, agent, agent.Kind().Example)
	}
	out := map[string]string{}
	for _, req := range m.asked {
		out[req.Purpose] = req.System
	}
	return out
}

// breaches says what is wrong with a prompt.
func breaches(req llm.Request, harmless string) []string {
	var wrong []string
	if req.System != harmless {
		wrong = append(wrong, "the instructions are not those of a harmless task")
	}
	for _, planted := range []string{secret, rival} {
		if strings.Contains(req.System+req.Prompt+string(req.Input), planted) {
			wrong = append(wrong, fmt.Sprintf("the prompt holds %q", planted))
		}
	}
	fence := ""
	for line := range strings.SplitSeq(req.Prompt, "\n") {
		switch {
		case fence == "" && strings.HasPrefix(line, "<") && strings.HasSuffix(line, ">") && !strings.ContainsAny(line, "/ "):
			fence = line[1 : len(line)-1]
		case fence != "" && line == "</"+fence+">":
			fence = ""
		case fence != "" && strings.ContainsAny(line, "<>"):
			wrong = append(wrong, "the data opens or closes a tag: "+line)
		case fence == "" && strings.Contains(line, mark):
			wrong = append(wrong, "the text stands outside of a fence: "+line)
		}
	}
	return wrong
}

// obedient returns a model's edit that does what the attack says. Emits is what it writes into a text of its answer; $SYSTEM stands for its
// instructions, $SECRET for a key, $TENANT for what it sees of another tenant, $CALL for a tool call, $BROKEN for JSON that is broken
// off by the attack's text. Where the kind writes code, an attack on that kind goes there.
func obedient(a attack) func(llm.Request, llm.Response) (llm.Response, []string) {
	return func(req llm.Request, resp llm.Response) (llm.Response, []string) {
		emit := a.Emits
		switch emit {
		case "$CALL":
			resp.Calls = []llm.ToolCall{{ID: "1", Name: "delete_task", Arguments: json.RawMessage(`{}`)}}
			return resp, nil
		case "$BROKEN":
			resp.Text = strings.Replace(resp.Text, `":"`, `":"`+a.Text, 1)
			return resp, nil
		case "$TENANT":
			if !strings.Contains(req.System+req.Prompt, rival) {
				return resp, nil
			}
			emit = rival
		case "$SYSTEM":
			emit = line(req.System)
		case "$SECRET":
			emit = secret
		}
		var v map[string]any
		if json.Unmarshal([]byte(resp.Text), &v) != nil {
			return resp, nil
		}
		if code, ok := v["code"].(string); ok && a.Kind != "" {
			v["code"] = emit + "\n" + code
		} else if a.Kind != "" || !smuggle(v, emit) {
			return resp, nil
		}
		data, err := json.Marshal(v)
		if err != nil {
			return resp, nil
		}
		resp.Text = string(data)
		return resp, []string{emit}
	}
}

// line returns a rule of the instructions that is long, but not too long for a field.
func line(system string) string {
	for l := range strings.SplitSeq(system, "\n") {
		if l = strings.TrimPrefix(l, "- "); len(l) >= 60 && len(l) <= 400 {
			return l
		}
	}
	return system
}

// smuggle puts a text into the longest prose of an answer, behind its beginning.
func smuggle(answer any, emit string) bool {
	var set func(string)
	longest := 30
	var walk func(v any, put func(string), name string)
	walk = func(v any, put func(string), name string) {
		switch v := v.(type) {
		case string:
			if len(v) > longest && !slices.Contains([]string{"text", "correct_answer", "id", "type", "title", "name", "code", "material"}, name) {
				r := []rune(v)
				longest, set = len(v), func(emit string) { put(string(r[:len(r)*3/4]) + ". " + emit) }
			}
		case []any:
			for i := range v {
				walk(v[i], func(s string) { v[i] = s }, name)
			}
		case map[string]any:
			for n := range v {
				walk(v[n], func(s string) { v[n] = s }, n)
			}
		}
	}
	walk(answer, nil, "")
	if set == nil {
		return false
	}
	set(emit)
	return true
}
