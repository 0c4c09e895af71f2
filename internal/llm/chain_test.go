package llm_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
	"github.com/toolboxai/orchestrator/internal/policy"
)

var (
	haiku = llm.Model{Provider: "anthropic", Name: "claude-haiku-5-5"}
	local = llm.Model{Provider: "ollama", Name: "org/llama3.2:3b"}
)

func standIns(models ...string) func() policy.Policy { return fixed(policy.Policy{Fallbacks: models}) }

func TestChain_AsksTheNextWhenOneIsNotThere(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"Unavailable", fault.New(fault.Unavailable, "503"), "openai/gpt-6-luna: unavailable"},
		{"Unauthorized", fault.New(fault.Unauthorized, "401"), "openai/gpt-6-luna: unauthorized"},
		{"Timeout", fault.New(fault.Timeout, "408"), "openai/gpt-6-luna: timeout"},
		{"PausedLong", refusedFor(time.Minute), "openai/gpt-6-luna: paused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			first := &provider{model: luna, answer: func(context.Context, int, llm.Request) (llm.Response, error) { return llm.Response{}, c.err }}
			second := &provider{model: haiku}
			g := govern(t, llm.GovernConfig{Client: first, Open: opens(second), Policy: standIns(haiku.String())})
			resp, err := g.Complete(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			if resp.Provider != "anthropic" || resp.Model != haiku.Name || resp.Fallback != c.want {
				t.Errorf("got %+v, want %q", resp, c.want)
			}
		})
	}
}

func TestChain_SaysWhatWasAskedInTurn(t *testing.T) {
	t.Parallel()
	first, second, third := &provider{model: luna, answer: fails(fault.Unavailable)},
		&provider{model: haiku, answer: fails(fault.Unauthorized)}, &provider{model: local}
	g := govern(t, llm.GovernConfig{Client: first, Open: opens(second, third), Policy: standIns(haiku.String(), luna.String(), haiku.String(), local.String())})
	for range 4 { // by then the first one's breaker is open
		resp, err := g.Complete(t.Context(), request)
		if err != nil || resp.Provider != "ollama" {
			t.Fatalf("%+v, %v", resp, err)
		}
		if !strings.HasPrefix(resp.Fallback, "openai/gpt-6-luna: ") || !strings.HasSuffix(resp.Fallback, "; anthropic/claude-haiku-5-5: unauthorized") {
			t.Errorf("fallback is %q", resp.Fallback)
		}
	}
	resp, err := g.Complete(t.Context(), request)
	if err != nil || !strings.HasPrefix(resp.Fallback, "openai/gpt-6-luna: breaker open; ") || len(first.asked()) != 3 {
		t.Errorf("%+v after %d calls, %v", resp, len(first.asked()), err)
	}
}

func TestChain_KeepsWhatIsAnAnswer(t *testing.T) {
	t.Parallel()
	for _, kind := range []fault.Kind{fault.Invalid, fault.Canceled, fault.Internal} {
		second := &provider{model: haiku}
		g := govern(t, llm.GovernConfig{
			Client: &provider{model: luna, answer: fails(kind)}, Open: opens(second), Policy: standIns(haiku.String()),
		})
		if _, err := g.Complete(t.Context(), request); !fault.Is(err, kind) || len(second.asked()) != 0 {
			t.Errorf("%s: got %v, and the next was asked %d times", kind, err, len(second.asked()))
		}
	}
}

func TestChain_DoesNotMixStreams(t *testing.T) {
	t.Parallel()
	speak := true
	first := &provider{model: luna, answer: func(_ context.Context, _ int, req llm.Request) (llm.Response, error) {
		if speak {
			req.OnDelta("The sky ")
		}
		return llm.Response{}, fault.New(fault.Unavailable, "the stream broke")
	}}
	second := &provider{model: haiku}
	second.answer = func(_ context.Context, _ int, req llm.Request) (llm.Response, error) {
		req.OnDelta("The sea")
		return second.good(1, 1), nil
	}
	g := govern(t, llm.GovernConfig{Client: first, Open: opens(second), Policy: standIns(haiku.String())})
	heard, req := "", request
	req.OnDelta = func(delta string) { heard += delta }
	if _, err := g.Complete(t.Context(), req); !fault.Is(err, fault.Unavailable) || heard != "The sky " {
		t.Errorf("heard %q, %v", heard, err)
	}
	speak, heard = false, ""
	if _, err := g.Complete(t.Context(), req); err != nil || heard != "The sea" {
		t.Errorf("heard %q, %v", heard, err)
	}
}

func TestChain_NeverComposesInSilence(t *testing.T) {
	t.Parallel()
	var log logged
	opened := 0
	g := govern(t, llm.GovernConfig{
		Client: &provider{model: luna, answer: fails(fault.Unavailable)}, Logger: log.logger(), Breaker: llm.BreakerConfig{Calls: 100},
		Policy: standIns("offline/composer", "nonsense", "mistral/large"),
		Open: func(m llm.Model) (llm.Client, error) {
			opened++
			if m.Provider == "offline" {
				return offline{}, nil
			}
			return nil, fault.New(fault.Invalid, "no key")
		},
	})
	for range 3 {
		if _, err := g.Complete(t.Context(), request); !fault.Is(err, fault.Unavailable) {
			t.Errorf("got %v", err)
		}
	}
	if n := log.count("a model of the policy cannot stand in"); n != 3 || opened != 3 {
		t.Errorf("%d lines in the log for 3 entries, %d models opened", n, opened)
	}
}

func TestChain_WaitsForTheFirstThatComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		long := &provider{model: luna, answer: func(context.Context, int, llm.Request) (llm.Response, error) {
			return llm.Response{}, refusedFor(time.Hour)
		}}
		short := &provider{model: haiku, answer: func(context.Context, int, llm.Request) (llm.Response, error) {
			return llm.Response{}, refusedFor(time.Minute)
		}}
		g := govern(t, llm.GovernConfig{Client: long, Open: opens(short), Policy: standIns(haiku.String())})
		_, err := g.Complete(t.Context(), request)
		held := pausedBy(t, err, llm.PausedByProvider)
		if held.Model != haiku.Name || time.Until(held.Until) != time.Minute || !strings.Contains(err.Error(), "openai/gpt-6-luna: paused; anthropic/") {
			t.Errorf("%+v in %v", *held, err)
		}
	})
}

func TestChain_FollowsThePolicy(t *testing.T) {
	t.Parallel()
	var now atomic.Pointer[policy.Policy]
	now.Store(&policy.Policy{})
	second := &provider{model: haiku}
	g := govern(t, llm.GovernConfig{
		Client: &provider{model: luna, answer: fails(fault.Unavailable)}, Open: opens(second), Breaker: llm.BreakerConfig{Calls: 100},
		Policy: func() policy.Policy { return *now.Load() },
	})
	if _, err := g.Complete(t.Context(), request); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v", err)
	}
	now.Store(&policy.Policy{Fallbacks: []string{haiku.String()}})
	if resp, err := g.Complete(t.Context(), request); err != nil || resp.Model != haiku.Name {
		t.Errorf("got %+v, %v", resp, err)
	}
	now.Store(&policy.Policy{})
	if _, err := g.Complete(t.Context(), request); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v", err)
	}
}

func TestOpener_OpensWhatHasAKey(t *testing.T) {
	t.Parallel()
	cfg := llm.Config{OpenAI: llm.Endpoint{Key: llmtest.Key, Model: "gpt-5-mini"}, Ollama: llm.Endpoint{Transport: nowhere}, Offline: offline{}}
	c, err := llm.Opener(cfg)(llm.Model{Provider: "openai", Name: "gpt-6-sol"})
	if err != nil || c.Describe() != "openai gpt-6-sol at https://api.openai.com/v1" || c.(llm.Identified).Model().Name != "gpt-6-sol" {
		t.Errorf("%v, %v", c, err)
	}
	unusable := llm.CheckFallbacks(t.Context(), cfg, []string{"openai/gpt-6-sol", "anthropic/claude-haiku-5-5", "offline/composer", "ollama/llama3.2:3b", "gpt"})
	wants := []string{"ANTHROPIC_API_KEY", "offline", "OLLAMA_HOST", `"gpt"`}
	if len(unusable) != len(wants) {
		t.Fatalf("got %v", unusable)
	}
	for i, want := range wants {
		if line := unusable[i].Error(); !strings.Contains(line, want) || strings.Contains(line, llmtest.Key) {
			t.Errorf("%q, want %s in it", line, want)
		}
	}
	server := llmtest.New(t, llmtest.Ollama, llmtest.Say("x"))
	cfg.Ollama = llm.Endpoint{Base: server.Base()}
	if err := llm.CheckFallbacks(t.Context(), cfg, []string{"openai/gpt-6-sol", "ollama/llama3.2:3b"}); len(err) != 0 {
		t.Error(err)
	}
	if err := llm.CheckFallbacks(t.Context(), cfg, []string{"ollama/other"}); len(err) != 1 {
		t.Error("a model that is not installed is usable")
	}
}

// nameless does not say which model it asks.
type nameless struct{ offline }

func (nameless) Describe() string { return "model" }

func TestGovern_ChecksItsConfiguration(t *testing.T) {
	t.Parallel()
	good := llm.GovernConfig{Client: &provider{model: luna}, Meter: localMeter(t, llm.LocalConfig{}), Policy: fixed(policy.Policy{})}
	for name, spoil := range map[string]func(*llm.GovernConfig){
		"NoClient": func(c *llm.GovernConfig) { c.Client = nil }, "NoMeter": func(c *llm.GovernConfig) { c.Meter = nil },
		"NoPolicy": func(c *llm.GovernConfig) { c.Policy = nil }, "NegativeWait": func(c *llm.GovernConfig) { c.MaxWait = -1 },
		"RateAboveOne": func(c *llm.GovernConfig) { c.Breaker.Rate = 60 },
		"UnknownModel": func(c *llm.GovernConfig) { c.Client = nameless{} },
	} {
		cfg := good
		spoil(&cfg)
		if _, err := llm.Govern(cfg); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if g := govern(t, good); g.Describe() != luna.String() {
		t.Errorf("described as %q", g.Describe())
	}
}
