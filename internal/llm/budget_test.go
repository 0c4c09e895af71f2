package llm_test

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/internal/breaker"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/policy"
)

var teacher = llm.Caller{Tenant: "lakeside", User: "teacher-7", Workflow: "w-1", Task: "t-1"}

func budgets(list ...policy.Budget) func() policy.Policy { return fixed(policy.Policy{Budgets: list}) }

func tenantDay(usd float64) policy.Budget {
	return policy.Budget{Scope: policy.ScopeTenant, ID: policy.Everyone, Period: policy.Day, USD: usd}
}

func spent(t testing.TB, m llm.Meter, b policy.Budget, unit string) int64 {
	t.Helper()
	a := policy.Policy{Budgets: []policy.Budget{b}}.BudgetsFor(policy.Facts{Tenant: teacher.Tenant, User: teacher.User, Workflow: teacher.Workflow}, time.Now())[0]
	used, err := m.Used(t.Context(), []llm.Claim{{Key: llm.BudgetKey(a, unit), Until: a.End}})
	if err != nil {
		t.Fatal(err)
	}
	return used[0]
}

func exhausted(t testing.TB, err error) *llm.BudgetError {
	t.Helper()
	var over *llm.BudgetError
	if !errors.As(err, &over) || !fault.Is(err, fault.RateLimited) {
		t.Fatalf("got %v, want an exhausted budget", err)
	}
	return over
}

// dear answers for 100,000 prompt and 20,000 answer tokens: $0.02 of gpt-6-luna.
func dear(p *provider) func(context.Context, int, llm.Request) (llm.Response, error) {
	return func(context.Context, int, llm.Request) (llm.Response, error) {
		resp := p.good(100_000, 20_000)
		resp.Usage.CostUSD, resp.Usage.CostKnown = 0.02, true
		return resp, nil
	}
}

func TestBudget_EndsWithItsPeriod(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{model: luna}
		p.answer = dear(p)
		meter, day := localMeter(t, llm.LocalConfig{}), tenantDay(0.05)
		g := govern(t, llm.GovernConfig{Client: p, Meter: meter, Policy: budgets(day)})
		ctx := llm.WithCaller(t.Context(), teacher)
		calls := 0
		var err error
		for ; calls < 10 && err == nil; calls++ {
			_, err = g.Complete(ctx, request)
		}
		over := exhausted(t, err)
		midnight := time.Now().UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
		if over.Scope != policy.ScopeTenant || over.ID != "lakeside" || over.Period != policy.Day || !over.Until.Equal(midnight) ||
			!strings.Contains(over.Message, "tenant lakeside") {
			t.Errorf("%+v", *over)
		}
		if got := spent(t, meter, day, "usd"); got != 20_000*int64(len(p.asked())) || got < 40_000 {
			t.Errorf("%d spent on %d calls", got, len(p.asked()))
		}
		other := llm.WithCaller(t.Context(), llm.Caller{Tenant: "hillside"})
		if _, err := g.Complete(other, request); err != nil {
			t.Error(err)
		}
		<-time.After(time.Until(midnight))
		if _, err := g.Complete(ctx, request); err != nil {
			t.Errorf("on the next day: %v", err)
		}
	})
}

// spenders has 50 callers spend at once for as long as they may, and returns what was really spent.
func spenders(t *testing.T, meter llm.Meter, limit float64) (total int64) {
	p := &provider{model: luna}
	var mu sync.Mutex
	p.answer = func(context.Context, int, llm.Request) (llm.Response, error) {
		<-time.After(time.Duration(rand.IntN(1000)) * time.Millisecond)
		resp := p.good(100, 50+rand.IntN(16_000))
		cost := float64(resp.Usage.InputTokens)*0.1e-6 + float64(resp.Usage.OutputTokens)*0.5e-6
		resp.Usage.CostUSD, resp.Usage.CostKnown = cost, true
		mu.Lock()
		total += int64(cost*1e6 + 0.999)
		mu.Unlock()
		return resp, nil
	}
	g := govern(t, llm.GovernConfig{Client: p, Meter: meter, Policy: budgets(tenantDay(limit))})
	ctx := llm.WithCaller(t.Context(), teacher)
	var callers sync.WaitGroup
	for range 50 {
		callers.Go(func() {
			for {
				_, err := g.Complete(ctx, request)
				var over *llm.BudgetError
				switch {
				case errors.As(err, &over) && time.Until(over.Until) > time.Hour:
					return
				case errors.As(err, &over):
					<-time.After(time.Until(over.Until))
				case err != nil:
					t.Error(err)
					return
				}
			}
		})
	}
	callers.Wait()
	return total
}

// forgetful is a meter that grants without reserving.
type forgetful struct{ llm.Meter }

func (f forgetful) Reserve(ctx context.Context, claims []llm.Claim) (llm.Reservation, error) {
	claims = append([]llm.Claim(nil), claims...)
	for i := range claims {
		claims[i].Amount = min(claims[i].Amount, 1)
	}
	return f.Meter.Reserve(ctx, claims)
}

// errs notes by how much the calls err that were under way when the last one was granted.
type errs struct {
	llm.Meter
	mu   sync.Mutex
	open map[string]int64 // reserved
	last map[string]int64 // open when the last one was granted
	more int64            // what those of last took beyond that
}

func (e *errs) Reserve(ctx context.Context, claims []llm.Claim) (llm.Reservation, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r, err := e.Meter.Reserve(ctx, claims)
	if err == nil {
		e.open[r.ID] = claims[0].Amount
		e.last, e.more = maps.Clone(e.open), 0
	}
	return r, err
}

func (e *errs) Settle(ctx context.Context, r llm.Reservation, actual []int64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if reserved, ok := e.last[r.ID]; ok {
		e.more += max(actual[0]-reserved, 0)
		delete(e.last, r.ID)
	}
	delete(e.open, r.ID)
	return e.Meter.Settle(ctx, r, actual)
}

// Many at once spend no more than the budget and what the guesses of the last calls fall short of.
func TestBudget_IsNotOverspentByManyAtOnce(t *testing.T) {
	t.Parallel()
	const limit = 200_000
	synctest.Test(t, func(t *testing.T) {
		watched := &errs{Meter: localMeter(t, llm.LocalConfig{}), open: map[string]int64{}}
		if total := spenders(t, watched, limit/1e6); total > limit+watched.more || total < limit*8/10 {
			t.Errorf("%d of %d spent, and guesses fell %d short", total, limit, watched.more)
		}
	})
	synctest.Test(t, func(t *testing.T) { // the negative control
		watched := &errs{Meter: forgetful{localMeter(t, llm.LocalConfig{})}, open: map[string]int64{}}
		if total := spenders(t, watched, limit/1e6); total <= limit+watched.more {
			t.Errorf("%d of %d spent without reservations, and guesses fell %d short: the test sees nothing", total, limit, watched.more)
		}
	})
}

func TestBudget_CountsWhatACallTook(t *testing.T) {
	t.Parallel()
	stream := request
	stream.OnDelta = func(string) {}
	gpt := llm.Model{Provider: "openai", Name: "gpt-4.1"}
	tokens := policy.Budget{Scope: policy.ScopeUser, ID: teacher.User, Period: policy.Month, Tokens: 1_000_000}
	const most = 200 // of the guess
	for _, c := range []struct {
		name     string
		req      llm.Request
		answer   func(llm.Request) (llm.Response, error)
		min, max int64
	}{
		{"Counted", request, func(llm.Request) (llm.Response, error) {
			return llm.Response{Usage: llm.Usage{InputTokens: 30, OutputTokens: 12}}, nil
		}, 42, 42},
		{"NotCounted", request, func(llm.Request) (llm.Response, error) { return llm.Response{}, nil }, 100, most},
		{"OfNoUse", request, func(llm.Request) (llm.Response, error) {
			return llm.Response{}, &llm.InvalidOutputError{Usage: llm.Usage{InputTokens: 30, OutputTokens: 13}}
		}, 43, 43},
		{"Refused", request, func(llm.Request) (llm.Response, error) { return llm.Response{}, fault.New(fault.Invalid, "400") }, 0, 0},
		{"NotThere", request, func(llm.Request) (llm.Response, error) { return llm.Response{}, fault.New(fault.Unavailable, "503") }, 0, 0},
		{"Timeout", request, func(llm.Request) (llm.Response, error) { return llm.Response{}, fault.New(fault.Timeout, "slow") }, 100, most},
		{"Withdrawn", request, func(llm.Request) (llm.Response, error) { return llm.Response{}, fault.New(fault.Canceled, "gone") }, 100, most},
		{"BrokenOff", stream, func(req llm.Request) (llm.Response, error) {
			req.OnDelta(strings.Repeat("word", 40))
			return llm.Response{}, fault.New(fault.Unavailable, "cut")
		}, 41, 60},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := &provider{model: gpt, answer: func(_ context.Context, _ int, req llm.Request) (llm.Response, error) { return c.answer(req) }}
			meter := localMeter(t, llm.LocalConfig{})
			g := govern(t, llm.GovernConfig{Client: p, Meter: meter, Policy: budgets(tokens)})
			_, _ = g.Complete(llm.WithCaller(t.Context(), teacher), c.req)
			if got := spent(t, meter, tokens, "tokens"); got < c.min || got > c.max {
				t.Errorf("%d tokens counted, want %d to %d", got, c.min, c.max)
			}
		})
	}
}

func TestBudget_ChargesUnknownPricesAsTheDearest(t *testing.T) {
	t.Parallel()
	for model, want := range map[llm.Model]int64{
		luna:                                 100_000*1/10 + 10_000*5/10,
		{Provider: "openai", Name: "gpt-99"}: 100_000*2 + 10_000*12, // the dearest of the provider's
		{Provider: "other", Name: "x"}:       100_000*4 + 10_000*20, // of all
	} {
		p := &provider{model: model}
		p.answer = func(context.Context, int, llm.Request) (llm.Response, error) { return p.good(100_000, 10_000), nil }
		meter, day := localMeter(t, llm.LocalConfig{}), tenantDay(100)
		g := govern(t, llm.GovernConfig{Client: p, Meter: meter, Policy: budgets(day)})
		if _, err := g.Complete(llm.WithCaller(t.Context(), teacher), request); err != nil {
			t.Fatal(err)
		}
		if got := spent(t, meter, day, "usd"); got != want {
			t.Errorf("%s: %d charged, want %d", model, got, want)
		}
	}
}

func TestBudget_AllScopesHold(t *testing.T) {
	t.Parallel()
	p := &provider{model: luna}
	p.answer = dear(p)
	list := []policy.Budget{
		tenantDay(10), {Scope: policy.ScopeUser, ID: policy.Everyone, Period: policy.Month, USD: 5},
		{Scope: policy.ScopeWorkflow, ID: teacher.Workflow, Period: policy.Day, Tokens: 200_000},
	}
	meter := localMeter(t, llm.LocalConfig{})
	g := govern(t, llm.GovernConfig{Client: p, Meter: meter, Policy: budgets(list...)})
	ctx := llm.WithCaller(t.Context(), teacher)
	for range 2 {
		if _, err := g.Complete(ctx, request); err != nil {
			t.Fatal(err)
		}
	}
	_, err := g.Complete(ctx, request)
	if over := exhausted(t, err); over.Scope != policy.ScopeWorkflow || over.ID != teacher.Workflow {
		t.Errorf("%+v", *over)
	}
	for i, unit := range []string{"usd", "usd", "tokens"} {
		if got, want := spent(t, meter, list[i], unit), []int64{40_000, 40_000, 240_000}[i]; got != want {
			t.Errorf("%s: %d spent, want %d", list[i].Scope, got, want)
		}
	}
	if n := len(p.asked()); n != 2 {
		t.Errorf("%d calls", n)
	}
}

func TestBudget_NeverStopsTheComposer(t *testing.T) {
	t.Parallel()
	meter := localMeter(t, llm.LocalConfig{})
	known := breaker.NewRegistry()
	g := govern(t, llm.GovernConfig{Client: offline{}, Meter: meter, Policy: budgets(tenantDay(1e-6)), Breakers: known})
	for range 5 {
		if resp, err := g.Complete(llm.WithCaller(t.Context(), teacher), request); err != nil || !resp.Offline {
			t.Fatalf("%+v, %v", resp, err)
		}
	}
	if g.Describe() != "offline composer" || spent(t, meter, tenantDay(1), "usd") != 0 || len(known.States()) != 0 {
		t.Errorf("%q has spent %d", g.Describe(), spent(t, meter, tenantDay(1), "usd"))
	}
}

func TestBudget_DoesNotFallBack(t *testing.T) {
	t.Parallel()
	second := &provider{model: haiku}
	g := govern(t, llm.GovernConfig{Client: &provider{model: luna}, Open: opens(second), Policy: fixed(policy.Policy{
		Budgets: []policy.Budget{tenantDay(1e-6)}, Fallbacks: []string{haiku.String()},
	})})
	_, err := g.Complete(llm.WithCaller(t.Context(), teacher), request)
	_ = exhausted(t, err)
	if n := len(second.asked()); n != 0 {
		t.Errorf("the next model was asked %d times", n)
	}
}

func TestBudget_TellsOfCallsWithoutACaller(t *testing.T) {
	t.Parallel()
	var log logged
	g := govern(t, llm.GovernConfig{Client: &provider{model: luna}, Policy: budgets(tenantDay(1e-6)), Logger: log.logger()})
	for range 3 {
		if _, err := g.Complete(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	if n := log.count("a call to a model names no caller and counts against no budget"); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

func TestBudgetKey_TellsAllApart(t *testing.T) {
	t.Parallel()
	seen := map[string]policy.Allowance{}
	for _, a := range []policy.Allowance{
		{Scope: policy.ScopeUser, Tenant: "a", ID: "b:c"}, {Scope: policy.ScopeUser, Tenant: "a:b", ID: "c"},
		{Scope: policy.ScopeTenant, Tenant: "a", ID: "b:c"}, {Scope: policy.ScopeUser, Tenant: "a", ID: "b:c", Period: policy.Day},
		{Scope: policy.ScopeUser, Tenant: "a", ID: strings.Repeat("x", 600)}, {Scope: policy.ScopeUser, Tenant: "b", ID: strings.Repeat("x", 600)},
	} {
		key := llm.BudgetKey(a, "usd")
		if before, ok := seen[key]; ok || len(key) > 512 {
			t.Errorf("%+v and %+v have the key %q", a, before, key)
		}
		seen[key] = a
	}
}
