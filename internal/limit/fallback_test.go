package limit_test

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/internal/breaker"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/limit"
	"github.com/toolboxai/orchestrator/internal/limit/limittest"
)

// store is a limit.Shared that can be away in all ways. It keeps what it is charged with on a list of its own.
type store struct {
	*limit.Local

	mu      sync.Mutex
	down    bool // answers with an error
	silent  bool // does not answer
	deaf    bool // answers all but charges
	mute    bool // fails all takes, and nothing else
	census  limit.Census
	asked   int
	charged map[string]int // requests, by bucket
	left    []string
}

func newStore(t testing.TB) *store {
	t.Helper()
	return &store{Local: newLocal(t, 0), census: limit.Census{Processes: 3, Memory: "m1"}, charged: map[string]int{}}
}

func (s *store) set(change func(*store)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *store) reach(ctx context.Context) error {
	s.mu.Lock()
	s.asked++
	down, silent := s.down, s.silent
	s.mu.Unlock()
	if silent {
		<-ctx.Done()
		return fault.New(fault.KindOf(ctx.Err()), "no answer: %w", ctx.Err())
	}
	if down {
		return fault.New(fault.Unavailable, "connection refused")
	}
	return nil
}

func (s *store) Take(ctx context.Context, asks ...limit.Ask) (limit.Verdict, error) {
	if err := s.reach(ctx); err != nil {
		return limit.Verdict{}, err
	}
	s.mu.Lock()
	mute := s.mute
	s.mu.Unlock()
	if mute {
		return limit.Verdict{}, fault.New(fault.Unavailable, "a script failed")
	}
	return s.Local.Take(ctx, asks...)
}

func (s *store) Join(ctx context.Context, _ string) (limit.Census, error) {
	if err := s.reach(ctx); err != nil {
		return limit.Census{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.census, nil
}

func (s *store) Charge(ctx context.Context, debts ...limit.Debt) error {
	if err := s.reach(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deaf || len(debts) > limit.MaxDebts {
		return fault.New(fault.Unavailable, "%d debts", len(debts))
	}
	for _, d := range debts {
		s.charged[d.Bucket] += d.Requests
	}
	return nil
}

func (s *store) Leave(_ context.Context, process string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = append(s.left, process)
	return nil
}

// paid returns what s was charged with since it was last asked.
func (s *store) paid() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	paid := maps.Clone(s.charged)
	clear(s.charged)
	return paid
}

func (s *store) calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// run starts a limiter before s whose Run ends with the test.
func run(t *testing.T, s *store, processes int) *limit.Fallback {
	t.Helper()
	f, err := limit.NewFallback(limit.FallbackConfig{Shared: s, Process: "api-1", Processes: processes})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
	return f
}

func bucketOf(l limit.Limit) string { return limit.Ask{Key: "k", Limit: l}.Bucket() }

// drain takes until it is refused, and returns how many passed.
func drain(t testing.TB, l limit.Limiter, lim limit.Limit) (n int) {
	t.Helper()
	for limittest.Take(t, l, limit.Ask{Key: "k", Limit: lim}).Allowed {
		n++
	}
	return n
}

var (
	bucket30 = limit.Limit{Name: "bucket", Rate: 30, Per: time.Hour, Burst: 30}
	log30    = limit.Limit{Name: "log", Rate: 30, Per: time.Hour, Sliding: true}
)

func TestFallback_ConformsWithAStore(t *testing.T) {
	t.Parallel()
	limittest.Run(t, func(t testing.TB) limit.Limiter {
		f, err := limit.NewFallback(limit.FallbackConfig{Shared: newStore(t), Process: "api-1", Processes: 3})
		if err != nil {
			t.Fatal(err)
		}
		return f
	})
}

func TestFallback_ConformsAloneWithoutAStore(t *testing.T) {
	t.Parallel()
	limittest.Run(t, func(t testing.TB) limit.Limiter {
		s := newStore(t)
		s.down = true
		f, err := limit.NewFallback(limit.FallbackConfig{Shared: s, Process: "api-1", Processes: 1})
		if err != nil {
			t.Fatal(err)
		}
		return f
	})
}

func TestFallback_GrantsItsShareLessWhatItGranted(t *testing.T) {
	t.Parallel()
	for _, lim := range []limit.Limit{bucket30, log30} {
		synctest.Test(t, func(t *testing.T) {
			s := newStore(t)
			f := run(t, s, 0)
			for range 4 {
				limittest.Take(t, f, limit.Ask{Key: "k", Limit: lim})
			}
			s.set(func(s *store) { s.down = true })
			if n := drain(t, f, lim); n != 30/3-4 {
				t.Errorf("%s: %d passed on top of 4, a third of 30 may", lim.Name, n)
			}
			if other := limittest.Take(t, f, limit.Ask{Key: "another", Limit: lim, Cost: 25}); !other.Allowed { // more than the share, not than the limit
				t.Errorf("%s: what is larger than the share is shut out: %+v", lim.Name, other)
			}
			<-time.After(time.Hour)
			if n := drain(t, f, lim); n != 10 {
				t.Errorf("%s: %d passed an hour later, want 10", lim.Name, n)
			}
		})
	}
}

func TestFallback_GrantsOneWhereTheShareIsLess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		s.census.Processes = 8
		f := run(t, s, 0)
		s.set(func(s *store) { s.down = true })
		for _, lim := range []limit.Limit{{Name: "login", Rate: 5, Per: time.Minute, Sliding: true}, {Name: "two", Rate: 2, Per: time.Minute, Burst: 2}} {
			if n := drain(t, f, lim); n != 1 {
				t.Errorf("%s: %d passed, want 1", lim.Name, n)
			}
		}
	})
}

func TestFallback_WaitsForASilentStoreOnlyUntilTheBreakerOpens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		f := run(t, s, 0)
		s.set(func(s *store) { s.silent = true })
		start := time.Now()
		wide := limit.Limit{Name: "wide", Rate: 1000, Per: time.Second, Burst: 3000}
		for range 1000 {
			if v := limittest.Take(t, f, limit.Ask{Key: "k", Limit: wide}); !v.Allowed {
				t.Fatalf("got %+v", v)
			}
		}
		if took := time.Since(start); took > 10*50*time.Millisecond {
			t.Errorf("1,000 callers waited %s, at most 10 of them 50 ms each should", took)
		}
		if shared, _ := f.Status(); shared {
			t.Error("the breaker is closed")
		}
		<-time.After(16 * time.Second)
		synctest.Wait() // for what Run asks at this moment
		start, asked := time.Now(), s.calls()
		for range 1000 {
			limittest.Take(t, f, limit.Ask{Key: "k", Limit: wide})
		}
		if took := time.Since(start); took > 0 || s.calls() != asked {
			t.Errorf("callers waited %s for a trial, and asked %d times", took, s.calls()-asked)
		}
		s.set(func(s *store) { s.silent = false })
		<-time.After(16 * time.Second)
		if shared, _ := f.Status(); !shared {
			t.Error("the store is not found again")
		}
	})
}

func TestFallback_TellsTheStoreWhatItMissed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lost bool
		want int
	}{"memory kept": {false, 6}, "memory lost": {true, 10}} {
		for _, lim := range []limit.Limit{bucket30, log30} {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				f := run(t, s, 0)
				for range 4 {
					limittest.Take(t, f, limit.Ask{Key: "k", Limit: lim})
				}
				s.set(func(s *store) { s.down = true })
				if n := drain(t, f, lim); n != 6 {
					t.Fatalf("%d passed", n)
				}
				for range 20 { // the breaker opens
					limittest.Take(t, f, limit.Ask{Key: "k", Limit: lim})
				}
				s.set(func(s *store) {
					s.down, s.deaf = false, true
					if c.lost {
						s.census.Memory = "m2"
					}
				})
				<-time.After(16 * time.Second) // it is back, but does not take charges
				if shared, _ := f.Status(); shared {
					t.Error("the breaker closed before the store knew")
				}
				s.set(func(s *store) { s.deaf = false })
				<-time.After(17 * time.Second)
				if shared, _ := f.Status(); !shared {
					t.Error("the breaker did not close")
				}
				want := map[string]int{bucketOf(lim): c.want}
				if paid := s.paid(); !maps.Equal(paid, want) {
					t.Errorf("%s, %s: it was told %v, want %v", name, lim.Name, paid, want)
				}
				<-time.After(time.Minute)
				if paid := s.paid(); len(paid) != 0 {
					t.Errorf("%s: it was told twice: %v", name, paid)
				}
			})
		}
	}
}

func TestFallback_PaysForASingleCallThatFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		f := run(t, s, 0)
		s.set(func(s *store) { s.down = true })
		if v := limittest.Take(t, f, limit.Ask{Key: "k", Limit: bucket30, Cost: 3}); !v.Allowed {
			t.Fatalf("got %+v", v)
		}
		s.set(func(s *store) { s.down = false })
		if shared, _ := f.Status(); !shared {
			t.Fatal("one failure opened the breaker")
		}
		<-time.After(time.Second)
		if paid := s.paid(); paid[bucketOf(bucket30)] != 3 {
			t.Errorf("it was told %v", paid)
		}
	})
}

// A store that comes back without what it knew, before anybody noticed, is told within JoinEvery.
func TestFallback_NoticesAnEmptyStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		f := run(t, s, 0)
		for i := range 500 { // more than are told at once
			limittest.Take(t, f, limit.Ask{Key: fmt.Sprint(i), Limit: log30, Cost: 2})
		}
		s.set(func(s *store) { s.census.Memory = "m2" })
		<-time.After(limit.JoinEvery + time.Second)
		paid := s.paid()
		for bucket, n := range paid {
			if n != 2 {
				t.Errorf("%s: %d", bucket, n)
			}
		}
		if len(paid) != 500 {
			t.Errorf("told of %d buckets", len(paid))
		}
	})
}

// As long as a store that was emptied does not know of all, each grants its share: together that is the limit.
func TestFallback_KeepsToItsShareUntilAllAreBack(t *testing.T) {
	t.Parallel()
	for name, others := range map[string]bool{"they come": true, "they are gone": false} {
		synctest.Test(t, func(t *testing.T) {
			s := newStore(t)
			f := run(t, s, 0)
			is := func(when string, want bool) {
				t.Helper()
				if shared, _ := f.Status(); shared != want {
					t.Errorf("%s, %s: shared is %v", name, when, shared)
				}
			}
			is("before", true)
			s.set(func(s *store) { s.census = limit.Census{Processes: 1, Memory: "m2"} })
			<-time.After(limit.JoinEvery + time.Second)
			is("with others missing", false)
			if n := drain(t, f, bucket30); n != 10 {
				t.Errorf("%s: %d passed, a third of 30 may", name, n)
			}
			if others {
				s.set(func(s *store) { s.census.Processes = 3 })
				<-time.After(time.Second)
			} else {
				<-time.After(3 * limit.JoinEvery)
			}
			is("at last", true)
			if paid := s.paid(); paid[bucketOf(bucket30)] != 10 {
				t.Errorf("%s: it was told %v", name, paid)
			}
		})
	}
}

// A store that answers Run and nobody else ends an outage early once, then the breaker's time counts.
func TestFallback_DoesNotFlap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		f := run(t, s, 0)
		s.set(func(s *store) { s.mute = true })
		failed := 0
		for range 40 { // 10 s
			for range 40 {
				before := s.calls()
				limittest.Take(t, f, limit.Ask{Key: "k", Limit: bucket30})
				failed += s.calls() - before
			}
			<-time.After(250 * time.Millisecond)
		}
		if failed > 2*14 {
			t.Errorf("%d callers waited for a store that fails them", failed)
		}
		s.set(func(s *store) { s.mute = false })
		<-time.After(16 * time.Second)
		if shared, _ := f.Status(); !shared {
			t.Error("the store is not found again")
		}
	})
}

func TestFallback_BelievesInFewerProcessesOnlyAfterAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		f := run(t, s, 0)
		is := func(want int) {
			t.Helper()
			if _, n := f.Status(); n != want {
				t.Errorf("%d processes, want %d", n, want)
			}
		}
		is(3)
		s.set(func(s *store) { s.census = limit.Census{Processes: 1, Memory: "m2"} }) // it restarted: the others have yet to come
		<-time.After(2 * limit.JoinEvery)
		is(3)
		s.set(func(s *store) { s.census.Processes = 2 })
		<-time.After(3 * limit.JoinEvery)
		is(2)
		s.set(func(s *store) { s.census.Processes = 9 })
		<-time.After(limit.JoinEvery + time.Second)
		is(9)
	})
}

func TestFallback_AssumesItsConfigurationUntilItHears(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		s.down = true
		f := run(t, s, 5)
		if n := drain(t, f, bucket30); n != 6 {
			t.Errorf("%d passed, a fifth of 30 may", n)
		}
	})
}

func TestFallback_LeavesWhenItEnds(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f, err := limit.NewFallback(limit.FallbackConfig{Shared: s, Process: "api-1"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Run(ctx); err != nil || len(s.left) != 1 || s.left[0] != "api-1" {
		t.Errorf("%v, %q left", err, s.left)
	}
}

func TestFallback_ACallerThatLeavesShowsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		s.silent = true
		f, err := limit.NewFallback(limit.FallbackConfig{Shared: s, Process: "api-1"})
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			if _, err := f.Take(ctx, limit.Ask{Key: "k", Limit: bucket30}); !fault.Is(err, fault.Timeout) {
				t.Errorf("got %v", err)
			}
			cancel()
		}
		if shared, _ := f.Status(); !shared || f.Breaker().State().State != breaker.Closed {
			t.Error("impatient callers opened the breaker")
		}
	})
}

func TestNewFallback_RefusesWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for name, cfg := range map[string]limit.FallbackConfig{
		"no store": {Process: "a"}, "no name": {Shared: s}, "timeout": {Shared: s, Process: "a", Timeout: -1}, "processes": {Shared: s, Process: "a", Processes: 1001},
	} {
		if _, err := limit.NewFallback(cfg); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
