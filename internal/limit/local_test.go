package limit_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/limit"
	"github.com/toolboxai/orchestrator/internal/limit/limittest"
)

func newLocal(t testing.TB, buckets int) *limit.Local {
	t.Helper()
	l, err := limit.NewLocal(limit.LocalConfig{Buckets: buckets})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLocal_Conforms(t *testing.T) {
	t.Parallel()
	limittest.Run(t, func(t testing.TB) limit.Limiter { return newLocal(t, 0) })
}

// Whatever the model admits the limiter admits, and nothing else; and that is never more than burst + rate·t.
func TestLocal_AgreesWithTheModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		steps := limittest.Steps(rt, "")
		var err error
		synctest.Test(t, func(t *testing.T) {
			err = limittest.Play(t.Context(), steps, newLocal(t, 0), func(d time.Duration) { <-time.After(d) })
		})
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// The negative control: a limiter that is a little too generous or too strict is seen.
func TestPlay_SeesAnotherLimiter(t *testing.T) {
	t.Parallel()
	seven := limit.Limit{Name: "seven", Rate: 7, Per: time.Minute, Burst: 3}
	asks := []limit.Ask{{Key: "k", Limit: seven}}
	steps := []limittest.Step{{Asks: asks}, {Asks: asks}, {Asks: asks}, {Asks: asks}}
	for name, spoil := range map[string]func(limit.Limit) limit.Limit{
		"another rate":   func(l limit.Limit) limit.Limit { l.Rate++; return l },
		"a larger burst": func(l limit.Limit) limit.Limit { l.Burst++; return l },
		"a smaller one":  func(l limit.Limit) limit.Limit { l.Burst--; return l },
	} {
		synctest.Test(t, func(t *testing.T) {
			l := spoiled{newLocal(t, 0), spoil}
			if err := limittest.Play(t.Context(), steps, l, func(d time.Duration) { <-time.After(d) }); err == nil {
				t.Errorf("%s: not seen", name)
			}
		})
	}
}

// spoiled counts other limits than it is asked.
type spoiled struct {
	limit.Limiter
	spoil func(limit.Limit) limit.Limit
}

func (s spoiled) Take(ctx context.Context, asks ...limit.Ask) (limit.Verdict, error) {
	asks = slices.Clone(asks)
	for i := range asks {
		asks[i].Limit = s.spoil(asks[i].Limit)
	}
	return s.Limiter.Take(ctx, asks...)
}

func TestLocal_RemembersSoManyAndThoseThatMatter(t *testing.T) {
	t.Parallel()
	l := newLocal(t, 64) // one bucket for each shard
	victim := limit.Ask{Key: "victim", Limit: limit.Limit{Name: "login", Rate: 2, Per: time.Hour, Sliding: true}}
	for range 2 {
		limittest.Take(t, l, victim)
	}
	big := newLocal(t, 64*16)
	for range 2 {
		limittest.Take(t, big, victim)
	}
	wide := limit.Limit{Name: "wide", Rate: 1, Per: time.Hour, Burst: 100}
	for i := range 20_000 {
		for _, l := range []*limit.Local{l, big} {
			limittest.Take(t, l, limit.Ask{Key: fmt.Sprint(i), Limit: wide})
		}
	}
	if n := l.Buckets(); n > 64 {
		t.Errorf("%d buckets are remembered, at most 64 may", n)
	}
	if n := big.Buckets(); n > 64*16 || n < 64*8 {
		t.Errorf("%d buckets are remembered of 1,024", n)
	}
	if v := limittest.Take(t, big, victim); v.Allowed {
		t.Error("a flood of new keys freed the one that is held back")
	}
	if _, err := limit.NewLocal(limit.LocalConfig{Buckets: 1}); !fault.Is(err, fault.Invalid) {
		t.Errorf("got %v", err)
	}
}

func TestAsk_BucketHidesItsKeyAndIsShort(t *testing.T) {
	t.Parallel()
	l := limit.PerMinute(strings.Repeat("x", 32), 1, 1)
	for _, key := range []string{"", "ada@school.example", strings.Repeat("k", 1<<16)} {
		b := limit.Ask{Key: key, Limit: l}.Bucket()
		if len(b) > 55 || key != "" && strings.Contains(b, key) {
			t.Errorf("the bucket is %q", b)
		}
	}
}

func BenchmarkLocal_Take(b *testing.B) {
	l := newLocal(b, 0)
	asks := []limit.Ask{
		{Key: "global", Limit: limit.PerMinute("global", limit.MaxRate, limit.MaxBurst)},
		{Key: "u", Limit: limit.PerMinute("user", limit.MaxRate, limit.MaxBurst)}, {Key: "u", Limit: limit.PerMinute("generation", 1000, 0)},
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Take(b.Context(), asks...); err != nil {
			b.Fatal(err)
		}
	}
}
