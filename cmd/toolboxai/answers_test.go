package main

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/composer"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/agents"
)

// answers gives a scripted model good answers: those that the composer gave to the same task in this process.
type answers struct {
	mu   sync.Mutex
	good []exchange
	seen map[string]int
}

type exchange struct{ step, prompt, text string }

// recordAnswers runs the quiz that the tests submit on the composer and keeps what was asked and answered.
func recordAnswers(t *testing.T) *answers {
	t.Helper()
	return recordAnswersTo(t, quizBody)
}

// recordAnswersTo does so with a quiz of another input.
func recordAnswersTo(t *testing.T, quiz string) *answers {
	t.Helper()
	a := newAnswers()
	var body struct {
		Input json.RawMessage `json:"input"`
	}
	if err := json.Unmarshal([]byte(quiz), &body); err != nil {
		t.Fatal(err)
	}
	a.record(t, "quiz", body.Input)
	if len(a.good) < 2 {
		t.Fatalf("the quiz has %d calls, these tests need two", len(a.good))
	}
	return a
}

func newAnswers() *answers { return &answers{seen: map[string]int{}} }

// record runs a task of a kind on the composer and keeps what was asked and answered.
func (a *answers) record(t *testing.T, kind string, input json.RawMessage) {
	t.Helper()
	all, err := agents.All(&eavesdropper{composer.New(), a})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(agent workers.Agent) bool { return agent.Kind().Name == kind })
	if got, err := workers.Solo(t.Context(), workers.SoloConfig{Agent: all[i], Input: input}); got.Result == nil {
		t.Fatalf("the composer's %s is %s: %+v: %v", kind, got.State, got.Failure, err)
	}
}

type eavesdropper struct {
	llm.Client
	to *answers
}

func (e *eavesdropper) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	res, err := e.Client.Complete(ctx, req)
	_, step, _ := strings.Cut(req.Purpose, ".")
	e.to.good = append(e.to.good, exchange{step, req.Prompt, res.Text})
	return res, err
}

// of returns which step a call is of, and a good answer to it.
func (a *answers) of(c llmtest.Call) (step, text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.good {
		if strings.Contains(c.Prompt, e.prompt) {
			a.seen[e.step]++
			return e.step, e.text
		}
	}
	a.seen["unknown"]++
	return "unknown", "no answer was recorded for this prompt"
}

func (a *answers) count(step string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seen[step]
}

func contains(s, part string) bool { return strings.Contains(s, part) }
