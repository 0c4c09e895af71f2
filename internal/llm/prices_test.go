package llm_test

import (
	"math"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/llm"
)

func TestPrices_AreWellFormed(t *testing.T) {
	t.Parallel()
	rows, asOf, err := llm.Prices()
	if err != nil {
		t.Fatal(err)
	}
	if day, err := time.Parse(time.DateOnly, asOf); err != nil || day.Year() < 2026 {
		t.Errorf("as_of is %q", asOf)
	}
	seen := map[string]bool{}
	for _, p := range rows {
		if seen[p.Provider+" "+p.Model] {
			t.Errorf("%s %s is listed twice", p.Provider, p.Model)
		}
		seen[p.Provider+" "+p.Model] = true
		if p.Input <= 0 || p.Output < p.Input || p.UpTo < 1000 || p.CachedInput != nil && (*p.CachedInput <= 0 || *p.CachedInput > p.Input) {
			t.Errorf("impossible price %+v", p)
		}
	}
	for _, model := range []string{"openai gpt-6-luna", "anthropic claude-sonnet-5-5", "google gemini-3.8-flash"} {
		if !seen[model] {
			t.Errorf("the default %s has no price", model)
		}
	}
}

func TestPrices_Cost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, provider, model string
		input, cached, output int
		want                  float64
		known                 bool
	}{
		{"Listed", "openai", "gpt-6-luna", 1_000_000 / 4, 0, 1_000_000, 0.10/4 + 0.50, true},
		{"Cached", "anthropic", "claude-sonnet-5-5", 100_000, 40_000, 0, 0.06*2 + 0.04*0.10, true},
		{"CachedAtNoKnownPrice", "google", "gemini-3.8-flash", 100_000, 40_000, 0, 0.1 * 0.75, true},
		{"DatedVersion", "anthropic", "claude-haiku-4-5-20251001", 100_000, 0, 0, 0.1, true},
		{"DatedVersionWithDashes", "openai", "gpt-5-mini-2025-08-07", 100_000, 0, 0, 0.025, true},
		{"AnotherModelThatBeginsAlike", "openai", "gpt-6-luna-pro", 1, 0, 1, 0, false},
		{"TheNextVersion", "anthropic", "claude-sonnet-5-7", 1, 0, 1, 0, false},
		{"AnotherProvidersModel", "google", "gpt-6-luna", 1, 0, 1, 0, false},
		{"PromptBeyondTheListedPrice", "anthropic", "claude-haiku-5-5", 100_001, 0, 1, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, known, err := llm.Cost(c.provider, c.model, c.input, c.cached, c.output)
			if err != nil {
				t.Fatal(err)
			}
			if known != c.known || math.Abs(got-c.want) > 1e-9 {
				t.Errorf("got %v, %v; want %v, %v", got, known, c.want, c.known)
			}
		})
	}
}

func TestUsage_Add(t *testing.T) {
	t.Parallel()
	known := llm.Usage{InputTokens: 1, OutputTokens: 2, CostUSD: 0.5, CostKnown: true}
	if got, want := known.Add(known), (llm.Usage{InputTokens: 2, OutputTokens: 4, CostUSD: 1, CostKnown: true}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := known.Add(llm.Usage{OutputTokens: 3}); got.CostKnown || got.OutputTokens != 5 {
		t.Errorf("a sum with an unknown cost is %+v", got)
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	for model, want := range map[string]bool{
		"gpt-4o": false, "gpt-4.1-mini": false, "gpt-3.5-turbo": false, "gpt-35-turbo": false, "gpt-5": true, "gpt-5.4-mini": true,
		"gpt-6-luna": true, "openai/gpt-6.1-sol": true, "o1": true, "o4-mini": true, "orca-mini": false, "gpt-oss:20b": true,
		"claude-3-5-haiku-20241022": false, "claude-sonnet-4-20250514": false, "claude-sonnet-4-5-20250929": false,
		"claude-opus-4-6": false, "claude-opus-4-7": true, "claude-sonnet-5": true, "claude-haiku-5-5": true,
		"claude-mythos-preview": true, "claude-instant-1.2": false,
		"gemini-2.0-flash": false, "gemini-2.5-flash": true, "gemini-3.8-flash": true,
		"llama3.2:3b": false, "qwen3:8b": true, "qwen2.5:7b": false, "deepseek-r1:14b": true, "mistral-small": false,
	} {
		if got := llm.Reasons(model); got != want {
			t.Errorf("%s: got %v", model, got)
		}
	}
}
