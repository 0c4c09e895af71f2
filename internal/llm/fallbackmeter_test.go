package llm_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/metertest"
)

// flaky is a store that can be away: refusing, silent, or doing what it is asked without saying so.
type flaky struct {
	llm.Meter
	mu   sync.Mutex
	mode string
	asks int
}

const (
	up     = ""
	down   = "down"
	silent = "silent"
	deaf   = "deaf" // acts, but its answer is lost
)

func (f *flaky) set(mode string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mode = mode
}

func (f *flaky) asked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asks
}

// ask returns whether to act, and the error to answer with.
func (f *flaky) ask(ctx context.Context) (act bool, err error) {
	f.mu.Lock()
	mode := f.mode
	f.asks++
	f.mu.Unlock()
	gone := fault.New(fault.Unavailable, "the store is away")
	switch mode {
	case down:
		return false, gone
	case deaf:
		return true, gone
	case silent:
		<-ctx.Done()
		return false, fault.New(fault.Timeout, "the store is silent: %w", ctx.Err())
	}
	return true, nil
}

func (f *flaky) Reserve(ctx context.Context, claims []llm.Claim) (r llm.Reservation, err error) {
	act, gone := f.ask(ctx)
	if act {
		r, err = f.Meter.Reserve(ctx, claims)
	}
	return r, errors.Join(err, gone)
}

func (f *flaky) Settle(ctx context.Context, r llm.Reservation, actual []int64) (err error) {
	act, gone := f.ask(ctx)
	if act {
		err = f.Meter.Settle(ctx, r, actual)
	}
	return errors.Join(err, gone)
}

func (f *flaky) Charge(ctx context.Context, id string, charges []llm.Charge) (err error) {
	act, gone := f.ask(ctx)
	if act {
		err = f.Meter.Charge(ctx, id, charges)
	}
	return errors.Join(err, gone)
}

func (f *flaky) PausedUntil(ctx context.Context, key string) (until time.Time, err error) {
	act, gone := f.ask(ctx)
	if act {
		until, err = f.Meter.PausedUntil(ctx, key)
	}
	return until, errors.Join(err, gone)
}

func fallback(t testing.TB, cfg llm.FallbackConfig) *llm.FallbackMeter {
	t.Helper()
	m, err := llm.NewFallbackMeter(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func newFlaky(t testing.TB) *flaky { return &flaky{Meter: localMeter(t, llm.LocalConfig{})} }

func TestFallbackMeter_Conforms(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]string{"WithItsStore": up, "WithoutItsStore": down} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			metertest.Run(t, func(t testing.TB, ttl time.Duration) llm.Meter {
				store := &flaky{Meter: localMeter(t, llm.LocalConfig{ReservationTTL: ttl})}
				store.set(mode)
				return fallback(t, llm.FallbackConfig{Store: store, ReservationTTL: ttl})
			})
		})
	}
}

// bubble runs a test with a meter on a store that can be away, on the bubble's clock.
func bubble(t *testing.T, processes int, test func(t *testing.T, store *flaky, m *llm.FallbackMeter, log *logged)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, log := newFlaky(t), &logged{}
		m, err := llm.NewFallbackMeter(llm.FallbackConfig{Store: store, Processes: processes, Logger: log.logger()})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		test(t, store, m, log)
	})
}

func grant(t testing.TB, m llm.Meter, c llm.Claim) (n int, last llm.Reservation) {
	t.Helper()
	for {
		r, err := m.Reserve(t.Context(), []llm.Claim{c})
		if fault.Is(err, fault.RateLimited) {
			return n, last
		}
		if err != nil {
			t.Fatal(err)
		}
		n, last = n+1, r
	}
}

func usedOf(t testing.TB, m llm.Meter, c llm.Claim) int64 {
	t.Helper()
	used, err := m.Used(t.Context(), []llm.Claim{c})
	if err != nil {
		t.Fatal(err)
	}
	return used[0]
}

func perMinute(limit, amount int64) llm.Claim {
	return llm.Claim{Key: "requests", Window: time.Minute, Limit: limit, Amount: amount}
}

func perDay(limit, amount int64) llm.Claim {
	return llm.Claim{Key: "money", Until: time.Now().UTC().Truncate(24 * time.Hour).Add(24 * time.Hour), Limit: limit, Amount: amount}
}

func TestFallbackMeter_GoesOnAndComesBack(t *testing.T) {
	bubble(t, 2, func(t *testing.T, store *flaky, m *llm.FallbackMeter, log *logged) {
		if n, _ := grant(t, m, perMinute(4, 1)); n != 4 {
			t.Fatalf("%d of 4 granted", n)
		}
		<-time.After(2 * time.Minute)
		store.set(down)
		if n, _ := grant(t, m, perMinute(8, 1)); n != 4 {
			t.Errorf("%d granted without the store, want half of 8", n)
		}
		if s := m.Status(); s.Shared || !s.Since.Equal(time.Now()) || s.Owed != 1 {
			t.Errorf("%+v", s)
		}
		store.set(up)
		<-time.After(400 * time.Millisecond)
		if s := m.Status(); !s.Shared || s.Owed != 0 || !s.Since.IsZero() || s.Dropped != 0 {
			t.Errorf("%+v", s)
		}
		if got := usedOf(t, store.Meter, perMinute(8, 0)); got != 4 {
			t.Errorf("the store knows of %d, want 4", got)
		}
		if n, _ := grant(t, m, perMinute(8, 1)); n != 4 {
			t.Errorf("%d granted, want the other 4 of 8", n)
		}
		gone, back := log.count("shared limits are away, each process counts its part"), log.count("shared limits are back")
		if gone != 1 || back != 1 {
			t.Errorf("told %d times that the store is away, %d times that it is back", gone, back)
		}
	})
}

func TestFallbackMeter_AsksASilentStoreOnce(t *testing.T) {
	bubble(t, 1, func(t *testing.T, store *flaky, m *llm.FallbackMeter, _ *logged) {
		store.set(silent)
		start := time.Now()
		if _, err := m.Reserve(t.Context(), []llm.Claim{perMinute(5, 1)}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 150*time.Millisecond {
			t.Errorf("the first call took %s", took)
		}
		start = time.Now()
		if n, _ := grant(t, m, perMinute(5, 1)); n != 4 || time.Since(start) != 0 {
			t.Errorf("%d granted in %s", n, time.Since(start))
		}
		<-time.After(10 * time.Second)
		if n := store.asked(); n > 30 {
			t.Errorf("the store was asked %d times in 10 s", n)
		}
	})
}

func TestFallbackMeter_ACallerWhoGivesUpIsNoOutage(t *testing.T) {
	bubble(t, 1, func(t *testing.T, store *flaky, m *llm.FallbackMeter, _ *logged) {
		store.set(silent)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := m.Reserve(ctx, []llm.Claim{perMinute(5, 1)}); !fault.Is(err, fault.Timeout) {
			t.Errorf("got %v", err)
		}
		if s := m.Status(); !s.Shared {
			t.Errorf("%+v", s)
		}
	})
}

func TestFallbackMeter_WhatWasGrantedBeforeCountsAgainstTheShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFlaky(t)
		var both [2]*llm.FallbackMeter
		for i := range both {
			m, err := llm.NewFallbackMeter(llm.FallbackConfig{Store: store, Processes: 2})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			both[i] = m
		}
		total, _ := grant(t, both[0], perMinute(10, 1))
		store.set(down)
		first, _ := grant(t, both[0], perMinute(10, 1))
		second, _ := grant(t, both[1], perMinute(10, 1))
		if total != 10 || first != 0 || second != 5 {
			t.Errorf("granted %d, then %d and %d; want 10, 0 and 5", total, first, second)
		}
	})
}

func TestFallbackMeter_SharesWhatIsLeftOfABudget(t *testing.T) {
	bubble(t, 4, func(t *testing.T, store *flaky, m *llm.FallbackMeter, _ *logged) {
		if err := store.Charge(t.Context(), "others", []llm.Charge{{Claim: perDay(0, 590), At: time.Now()}}); err != nil {
			t.Fatal(err)
		}
		r, err := m.Reserve(t.Context(), []llm.Claim{perDay(1000, 20)})
		if err != nil {
			t.Fatal(err)
		}
		store.set(down)
		if err := m.Settle(t.Context(), r, []int64{10}); err != nil { // 600 are spent, 610 is what was last heard
			t.Fatal(err)
		}
		n, last := grant(t, m, perDay(1000, 10))
		if n != 9 { // a quarter of 390 is 97
			t.Errorf("%d of 10 granted from a quarter of what is left", n)
		}
		if err := m.Settle(t.Context(), last, []int64{4}); err != nil {
			t.Fatal(err)
		}
		unknown := perDay(1000, 10)
		unknown.Key = "never heard of"
		if n, _ := grant(t, m, unknown); n != 25 {
			t.Errorf("%d of 10 granted from a quarter of a budget that nobody has heard of", n)
		}
		tiny := perDay(100, 60)
		tiny.Key = "one call"
		if n, _ := grant(t, m, tiny); n != 1 {
			t.Errorf("%d granted where a part is smaller than a call", n)
		}
		store.set(up)
		<-time.After(400 * time.Millisecond)
		if got := usedOf(t, store.Meter, perDay(0, 0)); got != 600+8*10+4 {
			t.Errorf("the store knows of %d, want 684", got)
		}
	})
}

func TestFallbackMeter_SettlesAcrossTheEndOfAnOutage(t *testing.T) {
	bubble(t, 1, func(t *testing.T, store *flaky, m *llm.FallbackMeter, _ *logged) {
		store.set(down)
		r, err := m.Reserve(t.Context(), []llm.Claim{perDay(1000, 50), perMinute(1000, 50)})
		if err != nil {
			t.Fatal(err)
		}
		store.set(up)
		<-time.After(400 * time.Millisecond)
		if got := usedOf(t, store.Meter, perDay(0, 0)); got != 50 {
			t.Errorf("the store knows of %d while the call is under way, want 50", got)
		}
		for range 2 {
			if err := m.Settle(t.Context(), r, []int64{30, 70}); err != nil {
				t.Fatal(err)
			}
		}
		if day, minute := usedOf(t, store.Meter, perDay(0, 0)), usedOf(t, store.Meter, perMinute(0, 0)); day != 30 || minute != 70 {
			t.Errorf("the store knows of %d and %d, want 30 and 70", day, minute)
		}
	})
}

func TestFallbackMeter_CountsOnceWhatTheStoreDidNotConfirm(t *testing.T) {
	bubble(t, 1, func(t *testing.T, store *flaky, m *llm.FallbackMeter, _ *logged) {
		before, err := m.Reserve(t.Context(), []llm.Claim{perDay(1000, 50)})
		if err != nil {
			t.Fatal(err)
		}
		store.set(deaf)
		if err := m.Settle(t.Context(), before, []int64{40}); err != nil {
			t.Fatal(err)
		}
		if err := m.Charge(t.Context(), "one", []llm.Charge{{Claim: perDay(0, 5), At: time.Now()}}); err != nil {
			t.Fatal(err)
		}
		<-time.After(5 * time.Second)
		store.set(up)
		<-time.After(400 * time.Millisecond)
		if got := usedOf(t, store.Meter, perDay(0, 0)); got != 45 {
			t.Errorf("the store knows of %d, want 45", got)
		}
	})
}

func TestFallbackMeter_TellsOfPauses(t *testing.T) {
	bubble(t, 1, func(t *testing.T, store *flaky, m *llm.FallbackMeter, _ *logged) {
		store.set(down)
		c := perMinute(10, 1)
		if _, err := m.Reserve(t.Context(), []llm.Claim{c}); err != nil {
			t.Fatal(err)
		}
		until := time.Now().Add(time.Minute)
		if err := m.Pause(t.Context(), c.Key, until); err != nil {
			t.Fatal(err)
		}
		if n, _ := grant(t, m, c); n != 0 {
			t.Errorf("%d granted in a pause", n)
		}
		store.set(up)
		<-time.After(400 * time.Millisecond)
		if got, err := store.PausedUntil(t.Context(), c.Key); err != nil || !got.Equal(until) {
			t.Errorf("the store knows of a pause until %s, %v", got, err)
		}
	})
}

func TestFallbackMeter_KeepsABoundedQueue(t *testing.T) {
	bubble(t, 1, func(t *testing.T, store *flaky, m *llm.FallbackMeter, _ *logged) {
		const n = 10_500
		open := make([]llm.Reservation, n)
		for i := range open {
			var err error
			if open[i], err = m.Reserve(t.Context(), []llm.Claim{{Key: "k" + strconv.Itoa(i%7), Until: perDay(0, 0).Until, Limit: llm.Unlimited, Amount: 1}}); err != nil {
				t.Fatal(err)
			}
		}
		store.set(down)
		for _, r := range open {
			if err := m.Settle(t.Context(), r, []int64{1}); err != nil {
				t.Fatal(err)
			}
		}
		if s := m.Status(); s.Owed != 10_000 || s.Dropped != n-10_000 {
			t.Errorf("%+v", s)
		}
		store.set(up)
		<-time.After(400 * time.Millisecond)
		if s := m.Status(); !s.Shared || s.Owed != 0 {
			t.Errorf("%+v", s)
		}
	})
}
