package eval_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/agents/ask"
	"github.com/toolboxai/orchestrator/workers/agents/eval"
)

// model answers by a function of the call's number and the request. Each call costs 10 tokens in, 20 out and a dollar.
type model struct {
	answer   func(ctx context.Context, n int, req llm.Request) (string, error)
	unpriced bool

	mu    sync.Mutex
	calls int
}

func (m *model) Describe() string { return "openai m" }

func (m *model) asked() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls
}

func (m *model) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	m.mu.Lock()
	m.calls++
	n := m.calls
	m.mu.Unlock()
	text, err := m.answer(ctx, n, req)
	if err != nil {
		return llm.Response{}, err
	}
	usage := llm.Usage{InputTokens: 10, OutputTokens: 20, CostUSD: 1, CostKnown: !m.unpriced}
	return llm.Response{Text: text, Provider: "openai", Model: "m", Usage: usage}, nil
}

// say answers with the texts in turn, and repeats the last one.
func say(texts ...string) *model {
	return &model{answer: func(_ context.Context, n int, _ llm.Request) (string, error) { return texts[min(n, len(texts))-1], nil }}
}

// poem is a result; its score is its number of lines over four.
type poem struct {
	Lines []string           `json:"lines"`
	Score float64            `json:"quality_score"`
	Parts map[string]float64 `json:"quality"`
}

// poets opens a kind of one step, with two versions of prompts and a set of three cases. No line may be "bad".
func poets(client llm.Client) ([]workers.Agent, error) {
	folder := fstest.MapFS{
		"input.schema.json":  {Data: []byte(`{"type":"object"}`)},
		"output.schema.json": {Data: []byte(`{"type":"object"}`)},
		"example.json":       {Data: []byte(`{}`)},
		"evals.json": {Data: []byte(`{"cases":[{"name":"rain","about":"Rain.","input":{"about":"rain"}},{"name":"snow","about":"Snow.","input":{"about":"snow"}},
			{"name":"sun","about":"Sun, at length.","input":{"about":"sun"},"min_score":0.5}]}`)},
	}
	for _, v := range []string{"1", "2"} {
		folder["prompts/draft.v"+v+".md"] = &fstest.MapFile{Data: []byte(`{{define "system"}}version ` + v + `{{end}}{{define "prompt"}}{{data "request" .}}{{end}}`)}
		folder["prompts/draft.v"+v+".schema.json"] = &fstest.MapFile{
			Data: []byte(`{"type":"object","required":["lines"],"properties":{"lines":{"type":"array","minItems":1,"items":{"type":"string"}}}}`),
		}
	}
	agent, err := ask.NewAgent(client, folder, 2, task.Kind{Name: "poem"}, func(ctx context.Context, run *workers.Run, a *ask.Author, in map[string]string) (poem, error) {
		p, err := ask.Ask(ctx, run, a, ask.Question[poem]{Prompt: "draft", Input: in, Check: func(p *poem) []fault.Detail {
			if strings.Contains(strings.Join(p.Lines, " "), "bad") {
				return []fault.Detail{{Field: "answer.lines", Reason: "are bad"}}
			}
			return nil
		}})
		p.Score = float64(len(p.Lines)) / 4
		p.Parts = map[string]float64{"length": p.Score}
		return p, err
	})
	return []workers.Agent{agent}, err
}

func run(t *testing.T, cfg eval.Config) eval.Report {
	t.Helper()
	cfg.Open, cfg.Kind, cfg.Concurrency = poets, "poem", max(cfg.Concurrency, 1)
	r, err := eval.Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// lines is an answer of n lines.
func lines(n int) string {
	return fmt.Sprintf(`{"lines":[%s]}`, strings.TrimSuffix(strings.Repeat(`"x",`, n), ","))
}
