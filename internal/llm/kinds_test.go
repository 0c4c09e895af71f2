package llm_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/internal/breaker"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/policy"
)

var knownKinds = []string{"content", "quiz", "script"}

func TestParseKinds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, value, want string }{ // what String says, or part of the error
		{"Nothing", " ", ""},
		{"ModelAndTemperature", "quiz=openai/gpt-5-mini@0.3", "(quiz: openai/gpt-5-mini at 0.3)"},
		{"Several", " script = anthropic/claude-sonnet-5-5 , content=@0.8,", "(content: at 0.8; script: anthropic/claude-sonnet-5-5)"},
		{"AStepTakesFromItsKind", "quiz.draft=@0.9,quiz=openai/m@0.1", "(quiz: openai/m at 0.1; quiz.draft: openai/m at 0.9)"},
		{"AnAtOfTheName", "quiz=openai/@cf/meta/llama@1", "(quiz: openai/@cf/meta/llama at 1)"},
		{"AnAtOfTheNameOnly", "quiz=openai/@cf/meta/llama", "(quiz: openai/@cf/meta/llama)"},
		{"ATag", "quiz=ollama/llama3.2:3b", "(quiz: ollama/llama3.2:3b)"},
		{"AnotherKind", "essay=openai/m", `LLM_KINDS there is no kind "essay", there are content, quiz, script; it is written as quiz=`},
		{"NoEntry", "quiz", `LLM_KINDS "quiz" is no entry`},
		{"NoProvider", "quiz=gpt-5-mini", `"gpt-5-mini" is no provider/model`},
		{"NothingChosen", "quiz=", `"" is no provider/model`},
		{"TooWarm", "quiz=openai/m@1.5", `the temperature "1.5" is not 0 to 1`},
		{"NotANumber", "quiz=@warm", `the temperature "warm" is not 0 to 1`},
		{"NaN", "quiz=openai/m@NaN", `the temperature "NaN" is not 0 to 1`},
		{"Twice", "quiz=@1,quiz=@0", `"quiz" is there twice`},
		{"NoStep", "quiz.=@1", `"quiz." names no step`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			kinds, err := llm.ParseKinds(c.value, knownKinds)
			switch {
			case err != nil && (!fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want) || c.want == ""):
				t.Errorf("got %v, want %s", err, c.want)
			case err == nil && kinds.String() != c.want:
				t.Errorf("got %s, want %s", kinds, c.want)
			}
		})
	}
}

func TestParseKinds_NeverPanics(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringOfN(rapid.SampledFrom([]rune("quiz.=@/,0 1x")), 0, 60, -1).Draw(t, "value")
		if _, err := llm.ParseKinds(value, knownKinds); err != nil && !strings.HasPrefix(err.Error(), "LLM_KINDS ") && !strings.Contains(err.Error(), "LLM_KINDS") {
			t.Fatal(err)
		}
	})
}

func kindsOf(t testing.TB, value string) llm.Kinds {
	t.Helper()
	kinds, err := llm.ParseKinds(value, knownKinds)
	if err != nil {
		t.Fatal(err)
	}
	return kinds
}

func TestGoverned_AsksTheModelOfTheKind(t *testing.T) {
	t.Parallel()
	claude := llm.Model{Provider: "anthropic", Name: "claude-haiku-5-5"}
	var warm float64
	note := func(_ context.Context, _ int, req llm.Request) (llm.Response, error) {
		warm = req.Temperature
		return llm.Response{Text: "good"}, nil
	}
	first, other := &provider{model: luna, answer: note}, &provider{model: claude, answer: note}
	breakers := breaker.NewRegistry()
	g := govern(t, llm.GovernConfig{
		Client: first, Open: opens(other), Kinds: kindsOf(t, "quiz=anthropic/claude-haiku-5-5@0.3,quiz.outline=@0.7,script=openai/gpt-6-luna"), Breakers: breakers,
	})
	for _, c := range []struct {
		purpose string
		model   llm.Model
		warm    float64
	}{
		{"quiz.draft", claude, 0.3},
		{"quiz.outline", claude, 0.7},
		{"script.code", luna, 0.5},
		{"content.lesson", luna, 0.5},
		{"", luna, 0.5},
	} {
		resp, err := g.Complete(t.Context(), llm.Request{Purpose: c.purpose, Prompt: "p", Temperature: 0.5})
		if err != nil || resp.Model != c.model.Name || warm != c.warm || g.ModelFor(c.purpose) != c.model || resp.Fallback != "" {
			t.Errorf("%s: %+v at %v, %v", c.purpose, resp, warm, err)
		}
	}
	if n := len(breakers.States()); n != 2 {
		t.Errorf("%d breakers for two models", n)
	}
	if want := "openai/gpt-6-luna (quiz: anthropic/claude-haiku-5-5 at 0.3; quiz.outline: anthropic/claude-haiku-5-5 at 0.7; script: openai/gpt-6-luna)"; g.Describe() != want {
		t.Errorf("got %q", g.Describe())
	}
}

func TestGoverned_StandsInForTheModelOfAKind(t *testing.T) {
	t.Parallel()
	claude := llm.Model{Provider: "anthropic", Name: "claude-haiku-5-5"}
	first, other := &provider{model: luna}, &provider{model: claude, answer: fails(fault.Unavailable)}
	g := govern(t, llm.GovernConfig{
		Client: first, Open: opens(other), Kinds: kindsOf(t, "quiz=anthropic/claude-haiku-5-5"),
		Policy: fixed(policy.Policy{Fallbacks: []string{"anthropic/claude-haiku-5-5", "openai/gpt-6-luna"}}),
	})
	resp, err := g.Complete(t.Context(), request)
	if err != nil || resp.Model != luna.Name || resp.Fallback != "anthropic/claude-haiku-5-5: unavailable" {
		t.Errorf("%+v, %v", resp, err)
	}
}

// The limit of a model is one, whichever kinds ask it.
func TestGoverned_KindsShareTheLimitOfTheirModel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := govern(t, llm.GovernConfig{Client: &provider{model: luna}, Kinds: kindsOf(t, "quiz=openai/gpt-6-luna"), Policy: fixed(limits(2, 0))})
		for _, purpose := range []string{"quiz.draft", "content.lesson"} {
			if _, err := g.Complete(t.Context(), llm.Request{Purpose: purpose, Prompt: "p"}); err != nil {
				t.Fatal(err)
			}
		}
		_, err := g.Complete(t.Context(), request)
		_ = pausedBy(t, err, llm.PausedByLimit)
	})
}

func TestGovern_RefusesKindsThatCannotBeServed(t *testing.T) {
	t.Parallel()
	base := llm.GovernConfig{Client: &provider{model: luna}, Meter: localMeter(t, llm.LocalConfig{}), Policy: fixed(policy.Policy{}), Open: opens()}
	for name, change := range map[string]func(*llm.GovernConfig){
		"NoKey":           func(c *llm.GovernConfig) { c.Kinds = kindsOf(t, "quiz=anthropic/claude-haiku-5-5") },
		"OfflineForAKind": func(c *llm.GovernConfig) { c.Kinds = kindsOf(t, "quiz=offline/composer") },
		"BesideTheComposer": func(c *llm.GovernConfig) {
			c.Kinds, c.Model = kindsOf(t, "quiz=@0.3"), llm.Model{Provider: "offline", Name: "c"}
		},
		"NothingToOpenModel": func(c *llm.GovernConfig) { c.Kinds, c.Open = kindsOf(t, "quiz=openai/other"), nil },
	} {
		cfg := base
		change(&cfg)
		if _, err := llm.Govern(cfg); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "LLM_KINDS") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// embeds is an embedder that answers as a test says.
type embeds struct {
	answer func(n int) ([][]float32, llm.Usage, error)
	calls  int
}

func (e *embeds) EmbeddingModel() llm.Model {
	return llm.Model{Provider: "openai", Name: "text-embedding-3-small"}
}

func (e *embeds) Embed(context.Context, []string) ([][]float32, llm.Usage, error) {
	e.calls++
	return e.answer(e.calls)
}

func embedded(int) ([][]float32, llm.Usage, error) {
	return [][]float32{{1}}, llm.Usage{InputTokens: 1000, CostUSD: 0.00002, CostKnown: true}, nil
}

func TestGovernEmbedder_CountsAgainstLimitsAndBudgets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := limits(2, 0)
		p.Budgets = []policy.Budget{{Scope: policy.ScopeTenant, ID: "*", Period: policy.Day, USD: 1}}
		meter, e := localMeter(t, llm.LocalConfig{}), &embeds{answer: embedded}
		g, err := llm.GovernEmbedder(llm.GovernConfig{Meter: meter, Policy: fixed(p)}, e)
		if err != nil {
			t.Fatal(err)
		}
		ctx := llm.WithCaller(t.Context(), llm.Caller{Tenant: "oak", User: "u"})
		for range 2 {
			v, usage, err := g.Embed(ctx, []string{"a"})
			if err != nil || len(v) != 1 || usage.InputTokens != 1000 {
				t.Fatal(v, usage, err)
			}
		}
		_, _, err = g.Embed(ctx, []string{"a"})
		_ = pausedBy(t, err, llm.PausedByLimit)
		a := p.BudgetsFor(policy.Facts{Tenant: "oak", User: "u"}, time.Now())
		used, err := meter.Used(ctx, []llm.Claim{{Key: llm.BudgetKey(a[0], "usd"), Until: a[0].End}})
		if err != nil || used[0] != 40 {
			t.Errorf("%v millionths are counted, want 40: %v", used, err)
		}
	})
}

func TestGovernEmbedder_OpensItsBreaker(t *testing.T) {
	t.Parallel()
	e := &embeds{answer: func(int) ([][]float32, llm.Usage, error) { return nil, llm.Usage{}, fault.New(fault.Unavailable, "no") }}
	g, err := llm.GovernEmbedder(llm.GovernConfig{Meter: localMeter(t, llm.LocalConfig{}), Policy: fixed(policy.Policy{})}, e)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, _, err := g.Embed(t.Context(), []string{"a"}); !fault.Is(err, fault.Unavailable) {
			t.Fatal(err)
		}
	}
	_, _, err = g.Embed(t.Context(), []string{"a"})
	_ = pausedBy(t, err, llm.PausedByBreaker)
	if e.calls != 3 {
		t.Errorf("%d calls went through", e.calls)
	}
}

func TestGovernEmbedder_LeavesTheOfflineOneAlone(t *testing.T) {
	t.Parallel()
	g, err := llm.GovernEmbedder(llm.GovernConfig{Meter: localMeter(t, llm.LocalConfig{}), Policy: fixed(policy.Policy{})}, llm.OfflineEmbedder{})
	if _, ok := g.(llm.OfflineEmbedder); !ok || err != nil {
		t.Errorf("%T, %v", g, err)
	}
}
