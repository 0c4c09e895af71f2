package limit_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/limit"
	"github.com/toolboxai/orchestrator/internal/limit/limittest"
	"github.com/toolboxai/orchestrator/internal/policy"
)

func TestRates_HaveTheDefaultsOfTheContract(t *testing.T) {
	t.Parallel()
	r := limit.NewRates(policy.Policy{})
	want := map[string]limit.Limit{
		"user":  {Name: "user", Rate: 100, Per: time.Minute, Burst: 20},
		"login": {Name: "login", Rate: 5, Per: time.Minute, Sliding: true}, "register": {Name: "register", Rate: 10, Per: time.Hour, Sliding: true},
		"generation": {Name: "generation", Rate: 20, Per: time.Minute, Sliding: true}, "content": {Name: "content", Rate: 30, Per: time.Minute, Sliding: true},
		"quiz": {Name: "quiz", Rate: 20, Per: time.Minute, Sliding: true}, "terrain": {Name: "terrain", Rate: 15, Per: time.Minute, Sliding: true},
		"chat":   {Name: "chat", Rate: 20, Per: time.Minute, Sliding: true},
		"script": {Name: "script", Rate: 20, Per: time.Minute, Sliding: true}, "code_review": {Name: "code_review", Rate: 25, Per: time.Minute, Sliding: true},
		"roblox": {Name: "roblox", Rate: 10, Per: time.Minute, Sliding: true},
	}
	for class, l := range want {
		if diff := cmp.Diff(l, r.For(class, "lakeside")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", class, diff)
		}
	}
	for _, class := range limit.Classes() {
		if l := r.For(class, ""); l.Check() != nil || l.Name != class {
			t.Errorf("%s: %+v", class, l)
		}
	}
	if l := r.For("poem", ""); l != (limit.Limit{}) {
		t.Errorf("no class has %+v", l)
	}
}

// A policy may name exactly the classes that there are.
func TestRates_ClassesAreThoseOfThePolicy(t *testing.T) {
	t.Parallel()
	byTenant, platform := policy.RateClasses()
	if diff := cmp.Diff(limit.Classes(), slices.Sorted(slices.Values(append(byTenant, platform...)))); diff != "" {
		t.Errorf("(-limit +policy):\n%s", diff)
	}
	if policy.MaxUnburstable > limit.MaxSliding || policy.MaxPerMinute > limit.MaxRate || policy.MaxBurst > limit.MaxBurst {
		t.Error("a policy allows what no limiter takes")
	}
}

func TestRates_FollowThePolicy(t *testing.T) {
	t.Parallel()
	r := limit.NewRates(policy.Policy{Rates: []policy.Rate{
		{Class: "generation", Tenant: "lakeside", PerMinute: 90},
		{Class: "generation", PerMinute: 5, Burst: 2},
		{Class: "user", PerMinute: 300},
		{Class: "register", PerMinute: 3},
	}})
	for _, c := range []struct {
		class, tenant string
		want          limit.Limit
	}{
		{"generation", "lakeside", limit.PerMinute("generation", 90, 0)},
		{"generation", "hillside", limit.PerMinute("generation", 5, 2)},
		{"generation", "", limit.PerMinute("generation", 5, 2)},
		{"user", "lakeside", limit.PerMinute("user", 300, 20)},
		{"quiz", "lakeside", limit.PerMinute("quiz", 20, 0)},
		{"register", "", limit.PerMinute("register", 3, 0)},
	} {
		if got := r.For(c.class, c.tenant); got != c.want || got.Check() != nil {
			t.Errorf("%s of %q: %+v, want %+v", c.class, c.tenant, got, c.want)
		}
	}
	for perMinute, want := range map[int]limit.Limit{
		0: limit.PerMinute("key", 100, 20), 3: limit.PerMinute("key", 3, 1), 500: limit.PerMinute("key", 500, 100), 1e9: limit.PerMinute("key", limit.MaxRate, 200_000),
	} {
		if got := r.Key("lakeside", perMinute); got != want || got.Check() != nil {
			t.Errorf("a key of %d: %+v, want %+v", perMinute, got, want)
		}
	}
}

// An override counts from the next request on, and what was taken before stays taken.
func TestRates_ChangeLive(t *testing.T) {
	t.Parallel()
	l := newLocal(t, 0)
	current := policy.Policy{}
	generate := func(tenant string) bool {
		return limittest.Take(t, l, limit.Ask{Key: tenant, Limit: limit.NewRates(current).For(limit.ClassGeneration, tenant)}).Allowed
	}
	for range 20 {
		if !generate("lakeside") || !generate("hillside") {
			t.Fatal("refused within 20 a minute")
		}
	}
	current.Rates = []policy.Rate{{Class: limit.ClassGeneration, Tenant: "lakeside", PerMinute: 22}}
	for i, want := range []bool{true, true, false} {
		if generate("lakeside") != want {
			t.Errorf("request %d of 22 a minute: passed is %v", 21+i, !want)
		}
	}
	if generate("hillside") {
		t.Error("another tenant's override counts")
	}
	current.Rates[0].PerMinute = 10
	if generate("lakeside") {
		t.Error("a stricter override does not count")
	}
}

func BenchmarkRates_For(b *testing.B) {
	var p policy.Policy
	for range policy.MaxRates {
		p.Rates = append(p.Rates, policy.Rate{Class: "generation", Tenant: "another-school", PerMinute: 1})
	}
	r := limit.NewRates(p)
	for b.Loop() {
		r.For("generation", "lakeside")
	}
}
