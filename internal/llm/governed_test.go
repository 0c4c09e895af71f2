package llm_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
	"github.com/toolboxai/orchestrator/internal/policy"
)

var luna = llm.Model{Provider: "openai", Name: "gpt-6-luna"} // $0.10 and $0.50 per million tokens

// provider is a model that answers as a test says, and notes when it was asked.
type provider struct {
	model  llm.Model
	answer func(ctx context.Context, n int, req llm.Request) (llm.Response, error) // nil: good

	mu    sync.Mutex
	calls []time.Time
}

func (p *provider) Model() llm.Model { return p.model }
func (p *provider) Describe() string { return p.model.String() }

func (p *provider) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	p.mu.Lock()
	n := len(p.calls)
	p.calls = append(p.calls, time.Now())
	p.mu.Unlock()
	if p.answer != nil {
		resp, err := p.answer(ctx, n, req)
		resp.Provider, resp.Model = p.model.Provider, p.model.Name
		return resp, err
	}
	return p.good(10, 10), nil
}

func (p *provider) good(input, output int) llm.Response {
	return llm.Response{Text: "good", Provider: p.model.Provider, Model: p.model.Name, Usage: llm.Usage{InputTokens: input, OutputTokens: output}}
}

func (p *provider) asked() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]time.Time(nil), p.calls...)
}

func fails(kind fault.Kind) func(context.Context, int, llm.Request) (llm.Response, error) {
	return func(context.Context, int, llm.Request) (llm.Response, error) {
		return llm.Response{}, fault.New(kind, "no")
	}
}

func refusedFor(wait time.Duration) error {
	return &fault.Error{Kind: fault.RateLimited, Message: "openai answered 429", RetryAfter: wait}
}

func fixed(p policy.Policy) func() policy.Policy { return func() policy.Policy { return p } }

func limits(requests, tokens int) policy.Policy {
	return policy.Policy{Models: []policy.ModelLimit{{Provider: "openai", RequestsPerMinute: requests, TokensPerMinute: tokens}}}
}

// govern fills in what a test leaves open.
func govern(t testing.TB, cfg llm.GovernConfig) *llm.Governed {
	t.Helper()
	if cfg.Meter == nil {
		cfg.Meter = localMeter(t, llm.LocalConfig{})
	}
	if cfg.Policy == nil {
		cfg.Policy = fixed(policy.Policy{})
	}
	g, err := llm.Govern(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// opens returns the providers by their model.
func opens(providers ...*provider) func(llm.Model) (llm.Client, error) {
	return func(m llm.Model) (llm.Client, error) {
		for _, p := range providers {
			if p.model == m {
				return p, nil
			}
		}
		return nil, fault.New(fault.Invalid, "no key for %s", m)
	}
}

var request = llm.Request{Purpose: "quiz.draft", Prompt: "A quiz about the sky.", MaxTokens: 100}

func pausedBy(t testing.TB, err error, reason llm.PauseReason) *llm.PausedError {
	t.Helper()
	var held *llm.PausedError
	if !errors.As(err, &held) || held.Reason != reason || !fault.Is(err, fault.RateLimited) {
		t.Fatalf("got %v, want a pause by %s", err, reason)
	}
	if want := time.Until(held.Until); (fault.RetryAfter(err) - want).Abs() > time.Second {
		t.Errorf("retry after %s, but until %s", fault.RetryAfter(err), want)
	}
	return held
}

// logged keeps what was logged.
type logged struct {
	mu       sync.Mutex
	messages []string
}

func (l *logged) logger() *slog.Logger                     { return slog.New(l) }
func (l *logged) Enabled(context.Context, slog.Level) bool { return true }
func (l *logged) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logged) WithGroup(string) slog.Handler            { return l }
func (l *logged) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages = append(l.messages, r.Message)
	return nil
}

func (l *logged) count(message string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, m := range l.messages {
		if m == message {
			n++
		}
	}
	return n
}

func TestGoverned_KeepsThePromisesOfAClient(t *testing.T) {
	t.Parallel()
	for name, p := range providers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			llmtest.Run(t, func(t *testing.T) llm.Client {
				return govern(t, llm.GovernConfig{Client: p.open(t, llmtest.New(t, p.dialect, llmtest.Compliant).Base())})
			})
		})
	}
}
