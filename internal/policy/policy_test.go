package policy_test

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/policy"
)

func full() policy.Policy {
	return policy.Policy{
		Fairness:  policy.Fairness{Outstanding: 10, Tenants: map[string]policy.Fraction{"lakeside": {Outstanding: 50, Weight: 2}}},
		Limits:    []policy.Limit{{Name: "terrain-gpu", Kind: "terrain", Labels: map[string]string{"gpu": "yes"}, Per: []string{"tenant", "label:class"}, Max: 4}},
		Paused:    map[string]policy.Pause{"script": {Reason: "a bad deploy", By: "ada", Since: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}},
		Models:    []policy.ModelLimit{{Provider: "openai", Model: "gpt-5-mini", RequestsPerMinute: 500}, {Provider: "openai", TokensPerMinute: 1000}},
		Fallbacks: []string{"openai/gpt-5-mini", "anthropic/claude"},
		Budgets:   []policy.Budget{{Scope: policy.ScopeTenant, ID: "*", Period: policy.Day, USD: 5}, {Scope: policy.ScopeUser, ID: "u1", Tenant: "lakeside", Period: policy.Month, Tokens: 1e6}},
		TopUps:    []policy.TopUp{{Scope: policy.ScopeTenant, ID: "lakeside", Period: policy.Day, From: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), USD: 3, By: "ada"}},
		Rates:     []policy.Rate{{Class: "generation", Tenant: "lakeside", PerMinute: 40}, {Class: "generation", PerMinute: 2000, Burst: 50}, {Class: "login", PerMinute: 10}},
	}
}

func TestValidate_TakesWhatIsRight(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]policy.Policy{"zero": {}, "full": full()} {
		if err := p.Validate([]string{"quiz", "terrain", "script"}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := full().Validate(nil); err != nil {
		t.Errorf("any kind: %v", err)
	}
}

func TestValidate_NamesTheFieldThatIsWrong(t *testing.T) {
	t.Parallel()
	for field, spoil := range map[string]func(*policy.Policy){
		"fairness.outstanding":                  func(p *policy.Policy) { p.Fairness.Outstanding = -1 },
		"fairness.tenants.Lake Side":            func(p *policy.Policy) { p.Fairness.Tenants = map[string]policy.Fraction{"Lake Side": {}} },
		"fairness.tenants.lakeside.weight":      func(p *policy.Policy) { p.Fairness.Tenants["lakeside"] = policy.Fraction{Weight: 0.01} },
		"fairness.tenants.a.weight":             func(p *policy.Policy) { p.Fairness.Tenants["a"] = policy.Fraction{Weight: math.NaN()} },
		"fairness.tenants.lakeside.outstanding": func(p *policy.Policy) { p.Fairness.Tenants["lakeside"] = policy.Fraction{Outstanding: 1e6} },
		"limits[0].name":                        func(p *policy.Policy) { p.Limits[0].Name = "" },
		"limits[1].name":                        func(p *policy.Policy) { p.Limits = append(p.Limits, p.Limits[0]) },
		"limits[0].kind":                        func(p *policy.Policy) { p.Limits[0].Kind = "poem" },
		"limits[0].tenant":                      func(p *policy.Policy) { p.Limits[0].Tenant = "a.b" },
		"limits[0].labels.":                     func(p *policy.Policy) { p.Limits[0].Labels = map[string]string{"": "x"} },
		"limits[0].per[0]":                      func(p *policy.Policy) { p.Limits[0].Per = []string{"school"} },
		"limits[0].per[1]":                      func(p *policy.Policy) { p.Limits[0].Per = []string{"user", "user"} },
		"limits[0].max":                         func(p *policy.Policy) { p.Limits[0].Max = -1 },
		"limits":                                func(p *policy.Policy) { p.Limits = make([]policy.Limit, policy.MaxLimits+1) },
		"paused.poem":                           func(p *policy.Policy) { p.Paused["poem"] = policy.Pause{} },
		"paused.script.reason":                  func(p *policy.Policy) { p.Paused["script"] = policy.Pause{Reason: strings.Repeat("x", 501)} },
		"models[0].provider":                    func(p *policy.Policy) { p.Models[0].Provider = "" },
		"models[0].tokens_per_minute":           func(p *policy.Policy) { p.Models[0].TokensPerMinute = -1 },
		"models[0]":                             func(p *policy.Policy) { p.Models[0].RequestsPerMinute = 0 },
		"models[1]":                             func(p *policy.Policy) { p.Models[0], p.Models[1] = p.Models[1], p.Models[0] },
		"fallbacks[1]":                          func(p *policy.Policy) { p.Fallbacks[1] = p.Fallbacks[0] },
		"fallbacks[0]":                          func(p *policy.Policy) { p.Fallbacks[0] = "gpt" },
		"rates[0].class":                        func(p *policy.Policy) { p.Rates[0].Class = "poem" },
		"rates[0].tenant":                       func(p *policy.Policy) { p.Rates[0].Tenant = "a.b" },
		"rates[2].tenant":                       func(p *policy.Policy) { p.Rates[2].Tenant = "lakeside" },
		"rates[0].per_minute":                   func(p *policy.Policy) { p.Rates[0].PerMinute = 0 },
		"rates[1].per_minute":                   func(p *policy.Policy) { p.Rates[1].PerMinute = policy.MaxPerMinute + 1 },
		"rates[0].burst":                        func(p *policy.Policy) { p.Rates[0].Burst = -1 },
		"rates[1].burst":                        func(p *policy.Policy) { p.Rates[1].Burst = 0 },
		"rates[1]":                              func(p *policy.Policy) { p.Rates[1].Tenant = "lakeside" },
		"rates":                                 func(p *policy.Policy) { p.Rates = make([]policy.Rate, policy.MaxRates+1) },
		"budgets[0].scope":                      func(p *policy.Policy) { p.Budgets[0].Scope = "school" },
		"budgets[0].period":                     func(p *policy.Policy) { p.Budgets[0].Period = "week" },
		"budgets[0].id":                         func(p *policy.Policy) { p.Budgets[0].ID = "" },
		"budgets[0].tenant":                     func(p *policy.Policy) { p.Budgets[0].Tenant = "lakeside" },
		"budgets[0].usd":                        func(p *policy.Policy) { p.Budgets[0].USD = math.Inf(1) },
		"budgets[0].tokens":                     func(p *policy.Policy) { p.Budgets[0].Tokens = -1 },
		"budgets[0]":                            func(p *policy.Policy) { p.Budgets[0].USD = 0 },
		"budgets[2]":                            func(p *policy.Policy) { p.Budgets = append(p.Budgets, p.Budgets[0]) },
		"top_ups[0].from":                       func(p *policy.Policy) { p.TopUps[0].From = p.TopUps[0].From.Add(time.Hour) },
		"top_ups[0].id":                         func(p *policy.Policy) { p.TopUps[0].ID = "*" },
	} {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			p := full()
			spoil(&p)
			err := p.Validate([]string{"quiz", "terrain", "script"})
			var f *fault.Error
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("got %v, want Invalid", err)
			}
			f, _ = err.(*fault.Error) //nolint:errorlint // Validate returns it bare
			if !slices.ContainsFunc(f.Details, func(d fault.Detail) bool { return d.Field == field }) {
				t.Errorf("%v does not name %s", f.Details, field)
			}
		})
	}
}

func TestPeriod_BoundsHoldTheTime(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		zone := time.FixedZone("", rapid.IntRange(-14*3600, 14*3600).Draw(t, "zone"))
		at := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "at"), 0).In(zone)
		for _, p := range []policy.Period{policy.Day, policy.Month} {
			start, end := p.Bounds(at)
			if at.Before(start) || !at.Before(end) {
				t.Fatalf("%s is not in the %s from %s to %s", at, p, start, end)
			}
			if again, _ := p.Bounds(end.Add(-1)); !again.Equal(start) {
				t.Fatalf("the last moment of the %s is in another one", p)
			}
			if next, _ := p.Bounds(end); !next.Equal(end) {
				t.Fatalf("the %s after the one that ends at %s begins at %s", p, end, next)
			}
		}
	})
}

func TestBudgetsFor_TakesTheMostParticularAndAddsTopUps(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 2, 28, 23, 30, 0, 0, time.FixedZone("", -2*3600)) // March in UTC
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	p := policy.Policy{
		Budgets: []policy.Budget{
			{Scope: policy.ScopeUser, ID: "*", Period: policy.Day, USD: 1},
			{Scope: policy.ScopeUser, ID: "*", Tenant: "lakeside", Period: policy.Day, USD: 2, Tokens: 100},
			{Scope: policy.ScopeUser, ID: "u1", Period: policy.Day, USD: 3},
			{Scope: policy.ScopeTenant, ID: "*", Period: policy.Month, USD: 50},
			{Scope: policy.ScopeWorkflow, ID: "*", Period: policy.Day, USD: 9},
		},
		TopUps: []policy.TopUp{
			{Scope: policy.ScopeUser, ID: "u2", Period: policy.Day, From: day, USD: 4, Tokens: 5},
			{Scope: policy.ScopeUser, ID: "u2", Tenant: "hillside", Period: policy.Day, From: day, USD: 100},
			{Scope: policy.ScopeUser, ID: "u2", Period: policy.Day, From: day.AddDate(0, 0, -1), USD: 100},
			{Scope: policy.ScopeTenant, ID: "lakeside", Period: policy.Month, From: day, USD: 7, Tokens: 1000},
		},
	}
	month := policy.Allowance{
		Scope: policy.ScopeTenant, Tenant: "lakeside", ID: "lakeside", Period: policy.Month, Start: day, End: day.AddDate(0, 1, 0), USD: 57,
	}
	for _, c := range []struct {
		user string
		want policy.Allowance
	}{
		{"u1", policy.Allowance{USD: 3}},
		{"u2", policy.Allowance{USD: 6, Tokens: 105}},
		{"u3", policy.Allowance{USD: 2, Tokens: 100}},
	} {
		c.want.Scope, c.want.Tenant, c.want.ID, c.want.Period, c.want.Start, c.want.End = policy.ScopeUser, "lakeside", c.user, policy.Day, day, day.AddDate(0, 0, 1)
		got := p.BudgetsFor(policy.Facts{Tenant: "lakeside", User: c.user}, now)
		if diff := cmp.Diff([]policy.Allowance{month, c.want}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.user, diff)
		}
	}
}

func TestModelLimitFor_TakesTheFirstThatFits(t *testing.T) {
	t.Parallel()
	p := full()
	if l, ok := p.ModelLimitFor("openai", "gpt-5-mini"); !ok || l.RequestsPerMinute != 500 {
		t.Errorf("got %+v, %v", l, ok)
	}
	if l, ok := p.ModelLimitFor("openai", "gpt-5"); !ok || l.TokensPerMinute != 1000 {
		t.Errorf("got %+v, %v", l, ok)
	}
	if l, ok := p.ModelLimitFor("ollama", "llama"); ok {
		t.Errorf("got %+v", l)
	}
}

// Two tasks share a count exactly when they agree in all that Per names.
func TestLimit_KeyTellsCountsApart(t *testing.T) {
	t.Parallel()
	value := rapid.SampledFrom([]string{"", "a", "b", "a/", "=a", "-", `\`, `a\/`, "/=", "=/"})
	facts := rapid.Custom(func(t *rapid.T) policy.Facts {
		f := policy.Facts{Kind: value.Draw(t, "kind"), Tenant: value.Draw(t, "tenant"), User: value.Draw(t, "user"), Labels: map[string]string{}}
		for _, name := range []string{"x", "y"} {
			if rapid.Bool().Draw(t, "has") {
				f.Labels[name] = value.Draw(t, "label")
			}
		}
		return f
	})
	all := []string{policy.PerKind, policy.PerTenant, policy.PerUser, "label:x", "label:y"}
	rapid.Check(t, func(t *rapid.T) {
		l := policy.Limit{Name: "l", Per: rapid.SliceOfNDistinct(rapid.SampledFrom(all), 0, len(all), rapid.ID).Draw(t, "per")}
		a, b := facts.Draw(t, "a"), facts.Draw(t, "b")
		keyA, _ := l.Key(a)
		keyB, _ := l.Key(b)
		if same := reflect.DeepEqual(named(l, a), named(l, b)); same != (keyA == keyB) {
			t.Fatalf("keys %q and %q, agree: %v", keyA, keyB, same)
		}
	})
}

func named(l policy.Limit, f policy.Facts) []any {
	var all []any
	for _, per := range l.Per {
		switch per {
		case policy.PerKind:
			all = append(all, f.Kind)
		case policy.PerTenant:
			all = append(all, f.Tenant)
		case policy.PerUser:
			all = append(all, f.Tenant, f.User)
		default:
			value, ok := f.Labels[strings.TrimPrefix(per, policy.PerLabel)]
			all = append(all, value, ok)
		}
	}
	return all
}

func TestLimit_KeyFitsFacts(t *testing.T) {
	t.Parallel()
	l := policy.Limit{Name: "l", Kind: "terrain", Tenant: "a", Labels: map[string]string{"gpu": ""}}
	for want, f := range map[bool]policy.Facts{
		true:  {Kind: "terrain", Tenant: "a", Labels: map[string]string{"gpu": "", "x": "y"}},
		false: {Kind: "terrain", Tenant: "a"},
	} {
		if _, ok := l.Key(f); ok != want {
			t.Errorf("%+v: got %v", f, ok)
		}
	}
	if _, ok := l.Key(policy.Facts{Kind: "quiz", Tenant: "a", Labels: l.Labels}); ok {
		t.Error("another kind fits")
	}
}

func TestNormalised_DropsWhatIsOver(t *testing.T) {
	t.Parallel()
	p := full()
	p.Fairness.Tenants["idle"] = policy.Fraction{}
	n := p.Normalised(p.TopUps[0].From.Add(25 * time.Hour))
	if len(n.TopUps) != 0 || len(n.Fairness.Tenants) != 1 {
		t.Errorf("got %+v", n)
	}
	if len(p.TopUps) != 1 || len(p.Fairness.Tenants) != 2 {
		t.Error("the original was changed")
	}
}

// What passes Validate is kept and read again, and nothing that comes from outside brings anything down.
func FuzzValidate(f *testing.F) {
	for _, p := range []policy.Policy{{}, full()} {
		data, err := json.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"top_ups":[{"scope":"user","id":"*","period":"week","from":"9999-12-31T23:59:59Z"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var p policy.Policy
		if json.Unmarshal(data, &p) != nil {
			return
		}
		facts := policy.Facts{Kind: "quiz", Tenant: "t", User: "u", Workflow: "w", Labels: map[string]string{"a": "b"}}
		for _, l := range p.Limits {
			l.Key(facts)
		}
		now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
		p.BudgetsFor(facts, now)
		if p.Validate(nil) != nil {
			return
		}
		n := p.Normalised(now)
		if err := n.Validate(nil); err != nil {
			t.Fatalf("normalised: %v", err)
		}
		if diff := cmp.Diff(p.BudgetsFor(facts, now), n.BudgetsFor(facts, now)); diff != "" {
			t.Fatal(fmt.Sprint("what holds changed: ", diff))
		}
	})
}
