package agents_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"

	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/composer"
)

// model plays a paid model in tests: it answers as the composer does, unless edit has it otherwise, and keeps what it was
// asked. Each call costs 10 tokens in, 20 out and 0.5 dollars.
type model struct {
	writer llm.Client
	edit   func(call int, req llm.Request, answer string) (string, error)

	mu    sync.Mutex
	calls []llm.Request
}

var offline = sync.OnceValue(composer.New)

func newModel(edit func(call int, req llm.Request, answer string) (string, error)) *model {
	return &model{writer: offline(), edit: edit}
}

func (m *model) Describe() string { return "a model of the tests" }

func (m *model) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	m.mu.Lock()
	call := len(m.calls)
	m.calls = append(m.calls, req)
	m.mu.Unlock()
	resp, err := m.writer.Complete(ctx, req)
	if err == nil && m.edit != nil {
		resp.Text, err = m.edit(call, req, resp.Text)
	}
	if err != nil {
		return llm.Response{}, err
	}
	resp.Provider, resp.Model, resp.Offline = "openai", "gpt-test", false
	resp.Usage = llm.Usage{InputTokens: 10, OutputTokens: 20, CostUSD: 0.5, CostKnown: true}
	return resp, nil
}

func (m *model) asked() []llm.Request {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]llm.Request(nil), m.calls...)
}

type object = map[string]any

// edited changes an answer as decoded JSON.
func edited(t testing.TB, answer string, change func(object)) string {
	t.Helper()
	var v object
	if err := json.Unmarshal([]byte(answer), &v); err != nil {
		t.Fatal(err)
	}
	change(v)
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// at walks into decoded JSON: names of fields and indexes of lists.
func at(v any, path ...any) any {
	for _, step := range path {
		switch s := step.(type) {
		case string:
			v = v.(object)[s]
		case int:
			v = v.([]any)[s]
		}
	}
	return v
}
