//go:build chaos && linux

package chaos_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/chaos"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/composer"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
	"github.com/toolboxai/orchestrator/workers/agents"
	"github.com/toolboxai/orchestrator/workers/workerstest"
)

// marker stands in a task's objective, and so in every prompt about it.
var marker = regexp.MustCompile(`(?i)chaos[0-9a-f]{8}`)

const template = "chaos00000000"

// quizInput is the input of the task with the given marker.
func quizInput(mark string) json.RawMessage {
	return json.RawMessage(`{"subject":"History","objectives":["Explain why Rome fell in ` + mark + `"],"num_questions":2}`)
}

// model is a provider that knows which task and step a call is for, gives good answers after a while, and keeps count.
type model struct {
	server *llmtest.Server
	good   []exchange

	mu      sync.Mutex
	calls   []call
	unknown string
	behave  behaviour // nil: good answers
}

type exchange struct{ step, prompt, text string }

// call is one call before the task of its marker is known.
type call struct {
	mark string
	chaos.Call
}

// behaviour may replace the good answer to a call; good reports whether what it returns still is one.
type behaviour func(c call, answer llmtest.Reply) (reply llmtest.Reply, good bool)

func newModel(t *testing.T) *model {
	t.Helper()
	m := &model{}
	all, err := agents.All(&eavesdropper{composer.New(), m})
	if err != nil {
		t.Fatal(err)
	}
	for _, agent := range all {
		if agent.Kind().Name == "quiz" {
			if got, _ := workerstest.Work(t, agent, quizInput(template)); got.Result == nil {
				t.Fatalf("the composer's quiz is %s: %+v", got.State, got.Failure)
			}
		}
	}
	if len(m.good) != 2 {
		t.Fatalf("the quiz has %d calls, the suite knows of two", len(m.good))
	}
	m.server = llmtest.NewOpenAI(t, m.answer)
	return m
}

// eavesdropper keeps what the composer was asked and answered.
type eavesdropper struct {
	llm.Client
	to *model
}

func (e *eavesdropper) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	res, err := e.Client.Complete(ctx, req)
	_, step, _ := strings.Cut(req.Purpose, ".")
	if step == "draft" {
		step = "draft_1"
	}
	e.to.good = append(e.to.good, exchange{step, req.Prompt, res.Text})
	return res, err
}

// set changes how calls are answered from now on; nil gives good answers.
func (m *model) set(b behaviour) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.behave = b
}

func (m *model) answer(c llmtest.Call) llmtest.Reply {
	worker, _, _ := strings.Cut(strings.TrimPrefix(c.Path, "/"), "/")
	mark := strings.ToLower(marker.FindString(c.Prompt))
	prompt := marker.ReplaceAllString(c.Prompt, template)
	got := call{mark, chaos.Call{Worker: worker, At: time.Now(), Whole: true}}
	reply := llmtest.Reply{Hold: after(100*time.Millisecond + rand.N(300*time.Millisecond)), Delta: 512}
	for _, e := range m.good {
		if strings.Contains(prompt, e.prompt) {
			got.Step, reply.Text = e.step, strings.ReplaceAll(e.text, template, mark)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if got.Step == "" || mark == "" {
		m.unknown = c.Prompt
		return llmtest.Reply{Status: 400, Raw: `{"error":{"message":"no answer is known to this prompt"}}`}
	}
	if m.behave != nil {
		reply, got.Whole = m.behave(got, reply)
	}
	m.calls = append(m.calls, got)
	return reply
}

// after returns a channel that is closed after d.
func after(d time.Duration) <-chan struct{} {
	done := make(chan struct{})
	time.AfterFunc(d, func() { close(done) })
	return done
}

// of returns the calls for the tasks with the given markers.
func (m *model) of(tasks map[string]string) []chaos.Call {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []chaos.Call
	for _, c := range m.calls {
		if id, ok := tasks[c.mark]; ok {
			c.Task = id
			out = append(out, c.Call)
		}
	}
	return out
}

// strange returns a prompt that no answer is known to, or nothing.
func (m *model) strange() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.unknown
}
