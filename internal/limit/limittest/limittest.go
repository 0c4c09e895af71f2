// Package limittest is what every limit.Limiter must pass: a conformance suite in real time, and a Model for tests that hold the
// clock themselves.
package limittest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/limit"
)

// Patience is how long a test waits for what must come.
const Patience = 30 * time.Second

// slow returns a limit of which nothing drains while a test runs.
func slow(name string, burst int) limit.Limit {
	return limit.Limit{Name: name, Rate: 1, Per: time.Hour, Burst: burst}
}

func ask(key string, l limit.Limit, cost int) limit.Ask {
	return limit.Ask{Key: key, Limit: l, Cost: cost}
}

// Take takes and fails the test on an error.
func Take(t testing.TB, l limit.Limiter, asks ...limit.Ask) limit.Verdict {
	t.Helper()
	v, err := l.Take(context.Background(), asks...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Run holds the limiters that open returns against the contract of limit.Limiter. Each may be the same one: keys differ.
func Run(t *testing.T, open func(t testing.TB) limit.Limiter) {
	for name, test := range map[string]func(t *testing.T, l limit.Limiter){
		"CountsDown":                 countsDown,
		"TakesAllOrNothing":          allOrNothing,
		"NamesTheOneThatRefuses":     namesTheRefusal,
		"PeeksWithoutTaking":         peeks,
		"TellsBucketsApart":          apart,
		"DrainsAtItsRate":            drains,
		"SlidesOverItsLog":           slides,
		"FollowsALimitThatIsChanged": follows,
		"IsExactWhenManyAsk":         exact,
		"RefusesWhatMakesNoSense":    nonsense,
		"EndsWithItsContext":         ends,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func countsDown(t *testing.T, l limit.Limiter) {
	three := slow("count", 3)
	for want := 2; want >= 0; want-- {
		v := Take(t, l, ask("down", three, 0))
		if !v.Allowed || v.Remaining != want || v.RetryAfter != 0 || v.Limit != three {
			t.Fatalf("got %+v, want %d left", v, want)
		}
		if full := time.Duration(3-want) * time.Hour; v.Reset > full || v.Reset < full-Patience {
			t.Errorf("full again in %s, want %s", v.Reset, full)
		}
	}
	v := Take(t, l, ask("down", three, 2))
	if v.Allowed || v.Remaining != 0 || v.RetryAfter > 2*time.Hour || v.RetryAfter < 2*time.Hour-Patience || v.Reset < 3*time.Hour-Patience {
		t.Errorf("got %+v", v)
	}
}

func allOrNothing(t *testing.T, l limit.Limiter) {
	wide, narrow := ask("all", slow("wide", 5), 2), ask("all", slow("narrow", 1), 1)
	if v := Take(t, l, wide, narrow); !v.Allowed || v.Limit.Name != "narrow" || v.Remaining != 0 {
		t.Errorf("got %+v, want the one with the least left", v)
	}
	for _, asks := range [][]limit.Ask{{wide, narrow}, {narrow, wide}} {
		if v := Take(t, l, asks...); v.Allowed || v.Limit.Name != "narrow" {
			t.Errorf("got %+v", v)
		}
	}
	wide.Cost = limit.Peek
	if v := Take(t, l, wide); v.Remaining != 3 {
		t.Errorf("%d left, want 3: what was refused took something", v.Remaining)
	}
}

func namesTheRefusal(t *testing.T, l limit.Limiter) {
	short := ask("refusal", limit.Limit{Name: "short", Rate: 2, Per: time.Hour, Burst: 1}, 0)
	long := ask("refusal", slow("long", 1), 0)
	log := ask("refusal", limit.Limit{Name: "log", Rate: 1, Per: time.Minute, Sliding: true}, 0)
	Take(t, l, short, long, log)
	v := Take(t, l, log, short, long)
	if v.Allowed || v.Limit.Name != "long" || v.RetryAfter < time.Hour-Patience {
		t.Errorf("got %+v, want the one that refuses longest", v)
	}
	if v := Take(t, l, log, short); v.Limit.Name != "short" || v.RetryAfter > time.Hour/2 {
		t.Errorf("got %+v", v)
	}
	if v := Take(t, l, log); v.Limit.Name != "log" || v.RetryAfter > time.Minute || v.RetryAfter < time.Minute-Patience || v.Reset != v.RetryAfter {
		t.Errorf("got %+v", v)
	}
}

func peeks(t *testing.T, l limit.Limiter) {
	for _, one := range []limit.Limit{slow("peek", 1), {Name: "peeklog", Rate: 1, Per: time.Hour, Sliding: true}} {
		for range 3 {
			if v := Take(t, l, ask("peek", one, limit.Peek)); !v.Allowed || v.Remaining != 1 || v.Reset != 0 {
				t.Errorf("%s: got %+v", one.Name, v)
			}
		}
		Take(t, l, ask("peek", one, 1))
		if v := Take(t, l, ask("peek", one, limit.Peek)); v.Allowed || v.RetryAfter == 0 {
			t.Errorf("%s: got %+v, nothing is left", one.Name, v)
		}
	}
}

func apart(t *testing.T, l limit.Limiter) {
	one := slow("apart", 1)
	log := limit.Limit{Name: "apart", Rate: 1, Per: time.Hour, Sliding: true}
	long := string(make([]byte, 1<<16)) // any text is a key
	for _, a := range []limit.Ask{ask("a", one, 1), ask("b", one, 1), ask("a", slow("other", 1), 1), ask("a", log, 1), ask(long, one, 1), ask("", one, 1)} {
		if v := Take(t, l, a); !v.Allowed {
			t.Errorf("%.9q of %s shares a bucket", a.Key, a.Limit.Name)
		}
		if v := Take(t, l, a); v.Allowed {
			t.Errorf("%.9q of %s is not counted", a.Key, a.Limit.Name)
		}
	}
}

// drains has takers ask as fast as they can for a while.
func drains(t *testing.T, l limit.Limiter) {
	a := ask("drain", limit.Limit{Name: "drain", Rate: 40, Per: time.Second, Burst: 5}, 0)
	start, passed := time.Now(), 0
	for time.Since(start) < 500*time.Millisecond {
		v := Take(t, l, a)
		if v.Allowed {
			passed++
			continue
		}
		if v.RetryAfter <= 0 || v.RetryAfter > 25*time.Millisecond {
			t.Fatalf("refused for %s, a request takes 25 ms", v.RetryAfter)
		}
		<-time.After(v.RetryAfter)
	}
	took := time.Since(start)
	if most := 5 + 40*took.Seconds() + 1; float64(passed) > most { // 1: clocks begin to count apart from each other
		t.Errorf("%d passed in %s, at most %.0f may", passed, took, most)
	}
	if passed < 6 {
		t.Errorf("%d passed in %s: the bucket does not drain", passed, took)
	}
}

func slides(t *testing.T, l limit.Limiter) {
	a := ask("slide", limit.Limit{Name: "slide", Rate: 3, Per: 400 * time.Millisecond, Sliding: true}, 0)
	var began []time.Time // of what passed: each passed no earlier than that
	var ended []time.Time // and no later than that
	deadline := time.Now().Add(Patience)
	for len(ended) < 9 && time.Now().Before(deadline) {
		before := time.Now()
		v := Take(t, l, a)
		if v.Allowed {
			began, ended = append(began, before), append(ended, time.Now())
			continue
		}
		if v.RetryAfter <= 0 || v.RetryAfter > a.Limit.Per || v.Remaining != 0 || v.Reset < v.RetryAfter {
			t.Fatalf("got %+v", v)
		}
		<-time.After(v.RetryAfter)
	}
	for i := 3; i < len(ended); i++ {
		if stretch := ended[i].Sub(began[i-3]); stretch < a.Limit.Per-time.Millisecond {
			t.Errorf("4 passed within %s", stretch)
		}
	}
	if len(ended) < 9 {
		t.Errorf("%d passed within %s", len(ended), Patience)
	}
	two := ask("slide2", a.Limit, 2)
	Take(t, l, two)
	if v := Take(t, l, two); v.Allowed || v.Remaining != 1 {
		t.Errorf("got %+v, one is left", v)
	}
}

func follows(t *testing.T, l limit.Limiter) {
	for range 4 {
		Take(t, l, ask("live", slow("live", 4), 0))
	}
	if v := Take(t, l, ask("live", slow("live", 6), 0)); !v.Allowed || v.Remaining != 1 {
		t.Errorf("a larger burst: %+v", v)
	}
	if v := Take(t, l, ask("live", slow("live", 2), 0)); v.Allowed || v.RetryAfter > time.Hour {
		t.Errorf("a smaller burst: %+v, a bucket is no fuller than full", v)
	}
	quick := limit.Limit{Name: "live", Rate: 1_000_000, Per: time.Hour, Burst: 4} // 3.6 ms a request
	deadline := time.Now().Add(Patience)
	for !Take(t, l, ask("live", quick, 4)).Allowed {
		if time.Now().After(deadline) {
			t.Fatal("a larger rate does not count")
		}
		<-time.After(time.Millisecond)
	}
}

func exact(t *testing.T, l limit.Limiter) {
	const most = 37
	Crowd(t, most, 50, []limit.Ask{ask("exact", slow("exact", most), 0), ask("beside", slow("beside", 1000), 0)}, l)
	log := limit.Limit{Name: "exactlog", Rate: most, Per: time.Hour, Sliding: true}
	Crowd(t, most, 50, []limit.Ask{ask("exact", log, 0)}, l)
}

// Crowd has four takers at each limiter ask n times, and fails the test unless want of all these pass.
func Crowd(t *testing.T, want, n int, asks []limit.Ask, limiters ...limit.Limiter) {
	t.Helper()
	if passed := Passed(t, n, asks, limiters...); passed != want {
		t.Errorf("%d passed, want %d", passed, want)
	}
}

// Passed has four takers at each limiter ask n times, and returns how many passed.
func Passed(t *testing.T, n int, asks []limit.Ask, limiters ...limit.Limiter) int {
	t.Helper()
	var passed atomic.Int64
	var takers sync.WaitGroup
	for _, l := range limiters {
		for range 4 {
			takers.Go(func() {
				for range n {
					v, err := l.Take(context.Background(), asks...)
					if err != nil {
						t.Error(err)
						return
					}
					if v.Allowed {
						passed.Add(1)
					}
				}
			})
		}
	}
	takers.Wait()
	return int(passed.Load())
}

func nonsense(t *testing.T, l limit.Limiter) {
	good := slow("good", 2)
	many := make([]limit.Ask, limit.MaxAsks+1)
	for i := range many {
		many[i] = ask(fmt.Sprint(i), good, 0)
	}
	for name, asks := range map[string][]limit.Ask{
		"none": nil, "many": many, "twice": {ask("a", good, 0), ask("a", good, 0)}, "a cost below": {ask("a", good, -2)}, "a cost above": {ask("a", good, 3)},
		"zero": {{Key: "a"}}, "no rate": {ask("a", limit.Limit{Name: "x", Per: time.Second, Burst: 1}, 0)},
		"no burst":         {ask("a", limit.Limit{Name: "x", Rate: 1, Per: time.Second}, 0)},
		"a name":           {ask("a", limit.Limit{Name: "a:b", Rate: 1, Per: time.Second, Burst: 1}, 0)},
		"a long day":       {ask("a", limit.Limit{Name: "x", Rate: 1, Per: 24 * time.Hour, Burst: 1}, 0)},
		"a sliding burst":  {ask("a", limit.Limit{Name: "x", Rate: 1, Per: time.Second, Burst: 1, Sliding: true}, 0)},
		"a sliding crowd":  {ask("a", limit.Limit{Name: "x", Rate: limit.MaxSliding + 1, Per: time.Second, Sliding: true}, 0)},
		"a burst too many": {ask("a", limit.Limit{Name: "x", Rate: 1, Per: time.Second, Burst: limit.MaxBurst + 1}, 0)},
	} {
		if _, err := l.Take(t.Context(), asks...); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func ends(t *testing.T, l limit.Limiter) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Take(ctx, ask("end", slow("end", 1), 0)); !fault.Is(err, fault.Canceled) {
		t.Errorf("got %v", err)
	}
	ctx, cancel = context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if _, err := l.Take(ctx, ask("end", slow("end", 1), 0)); !fault.Is(err, fault.Timeout) {
		t.Errorf("got %v", err)
	}
	if v := Take(t, l, ask("end", slow("end", 1), 0)); !v.Allowed {
		t.Errorf("got %+v: an ended call took something", v)
	}
}
