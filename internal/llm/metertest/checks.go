package metertest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
)

// refusal reserves and fails the test unless that is refused.
func refusal(t testing.TB, m llm.Meter, claims ...llm.Claim) *llm.RefusedError {
	t.Helper()
	_, err := m.Reserve(context20s(t), claims)
	var refused *llm.RefusedError
	if !errors.As(err, &refused) || !fault.Is(err, fault.RateLimited) {
		t.Fatalf("got %v, want a refusal", err)
	}
	return refused
}

func windowGrantsItsLimit(t *testing.T, open Opener) {
	m := open(t, time.Minute)
	c := windowClaim(t, "w", 2*time.Second, 3, 1)
	for range 3 {
		take(t, m, c)
	}
	refused := refusal(t, m, c)
	if refused.Claim.Key != c.Key || refused.Used != 3 || refused.Paused || refused.Held {
		t.Errorf("refused as %+v", *refused)
	}
	if wait := time.Until(refused.Until); wait <= 0 || wait > 2*time.Second+100*time.Millisecond {
		t.Errorf("it fits in %s, want within the window", wait)
	}
	Eventually(t, "the window has room again", func() bool {
		_, err := m.Reserve(context20s(t), []llm.Claim{c})
		return err == nil
	})
	if early := time.Until(refused.Until); early > 20*time.Millisecond {
		t.Errorf("granted %s before the time that was said", early)
	}
}

func windowIsNeverExceeded(t *testing.T, open Opener) {
	const window, limit, goal = 300 * time.Millisecond, 20, 70
	m := open(t, time.Minute)
	ctx, cancel := context.WithCancel(context20s(t))
	defer cancel()
	var mu sync.Mutex
	var grants []Grant
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for ctx.Err() == nil {
				asked := time.Now()
				_, err := m.Reserve(ctx, []llm.Claim{windowClaim(t, "w", window, limit, 1)})
				got := time.Now()
				if err == nil {
					mu.Lock()
					if grants = append(grants, Grant{asked, got}); len(grants) == goal {
						cancel()
					}
					mu.Unlock()
				} else if !fault.Is(err, fault.RateLimited) && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	callers.Wait()
	if len(grants) < goal {
		t.Fatalf("only %d were granted", len(grants))
	}
	if err := Exceeded(grants, window, limit); err != nil {
		t.Error(err)
	}
}

func periodGrantsItsLimit(t *testing.T, open Opener) {
	m := open(t, time.Minute)
	c := periodClaim(t, "p", 10, 4)
	settle(t, m, take(t, m, c), 4)
	settle(t, m, take(t, m, c), 4)
	refused := refusal(t, m, c)
	if refused.Held || refused.Used != 8 || !refused.Until.Equal(c.Until) {
		t.Errorf("refused as %+v, want until %s", *refused, c.Until)
	}
	c.Amount = 2
	take(t, m, c)
}

func reserveTakesAllOrNothing(t *testing.T, open Opener) {
	m := open(t, time.Minute)
	a, b, c := windowClaim(t, "a", time.Minute, 10, 3), periodClaim(t, "b", 10, 3), periodClaim(t, "c", 2, 3)
	if refused := refusal(t, m, a, b, c); refused.Claim.Key != c.Key {
		t.Errorf("refused for %s, want %s", refused.Claim.Key, c.Key)
	}
	wantUsed(t, m, a, 0)
	wantUsed(t, m, b, 0)
	r := take(t, m, a, b)
	wantUsed(t, m, a, 3)
	wantUsed(t, m, b, 3)
	if len(r.Used) != 2 || r.Used[0] != 3 || r.Used[1] != 3 {
		t.Errorf("the reservation says that %v are used", r.Used)
	}
}

func reserveGrantsNothingTwice(t *testing.T, open Opener) {
	m := open(t, time.Minute)
	c, w := periodClaim(t, "p", 100, 7), windowClaim(t, "w", time.Minute, 1000, 1)
	var granted atomic.Int64
	var callers sync.WaitGroup
	for range 50 {
		callers.Go(func() {
			if _, err := m.Reserve(context20s(t), []llm.Claim{c, w}); err == nil {
				granted.Add(1)
			} else if !fault.Is(err, fault.RateLimited) {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	if granted.Load() != 14 {
		t.Errorf("%d of 7 were granted from 100", granted.Load())
	}
	wantUsed(t, m, c, 98)
	wantUsed(t, m, w, 14)
}

func reserveRefusesNonsense(t *testing.T, open Opener) {
	m := open(t, time.Minute)
	good := periodClaim(t, "p", 1, 1)
	for name, claims := range map[string][]llm.Claim{
		"Nothing":      {},
		"NoKey":        {{Until: good.Until, Limit: 1, Amount: 1}},
		"NoEnd":        {{Key: "k", Limit: 1, Amount: 1}},
		"Negative":     {{Key: "k", Until: good.Until, Limit: 1, Amount: -1}},
		"BeyondCounts": {{Key: "k", Until: good.Until, Limit: llm.Unlimited + 1, Amount: 1}},
		"Twice":        {good, good},
	} {
		if _, err := m.Reserve(context20s(t), claims); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	r := take(t, m, good)
	if err := m.Settle(context20s(t), r, nil); !fault.Is(err, fault.Invalid) {
		t.Errorf("settled without amounts: %v", err)
	}
}

func reserveEndsWithItsContext(t *testing.T, open Opener) {
	m := open(t, time.Minute)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	c := periodClaim(t, "p", 10, 1)
	if _, err := m.Reserve(ctx, []llm.Claim{c}); !errors.Is(err, context.Canceled) || !fault.Is(err, fault.Canceled) {
		t.Errorf("got %v", err)
	}
	wantUsed(t, m, c, 0)
}

func settleReplacesTheEstimate(t *testing.T, open Opener) {
	m := open(t, time.Minute)
	w, p := windowClaim(t, "w", time.Minute, 100, 40), periodClaim(t, "p", 100, 40)
	settle(t, m, take(t, m, w, p), 10, 15)
	wantUsed(t, m, w, 10)
	wantUsed(t, m, p, 15)
	settle(t, m, take(t, m, w, p), 70, 85) // more than was thought
	wantUsed(t, m, w, 80)
	wantUsed(t, m, p, 100)
	settle(t, m, take(t, m, windowClaim(t, "x", time.Minute, 5, 5)), 0)
	wantUsed(t, m, windowClaim(t, "x", time.Minute, 5, 0), 0)
}

func settleTwiceCountsOnce(t *testing.T, open Opener) {
	m := open(t, time.Minute)
	w, p := windowClaim(t, "w", time.Minute, 100, 10), periodClaim(t, "p", 100, 10)
	first, second := take(t, m, w, p), take(t, m, w, p)
	settle(t, m, first, 4, 5)
	settle(t, m, first, 4, 5)
	wantUsed(t, m, w, 14)
	wantUsed(t, m, p, 15)
	settle(t, m, second, 0, 0)
	wantUsed(t, m, w, 4)
	wantUsed(t, m, p, 5)
}

func reservationsEndByThemselves(t *testing.T, open Opener) {
	m := open(t, 50*time.Millisecond)
	c := periodClaim(t, "p", 10, 10)
	dead := take(t, m, c)
	Eventually(t, "a dead reservation ends", func() bool { return used(t, m, c) == 0 })
	settle(t, m, take(t, m, c), 3)
	settle(t, m, dead, 6) // it was not dead, only slow: what it used is counted
	wantUsed(t, m, c, 9)
	late := take(t, m, periodClaim(t, "p", 10, 1))
	Eventually(t, "the next one ends, too", func() bool { return used(t, m, c) == 9 })
	settle(t, m, late, 1)
	wantUsed(t, m, c, 10)
}

func refusalByReservations(t *testing.T, open Opener) {
	m := open(t, time.Minute)
	c := periodClaim(t, "p", 10, 6)
	r := take(t, m, c)
	refused := refusal(t, m, c)
	if wait := time.Until(refused.Until); !refused.Held || wait <= 0 || wait > llm.HeldGuess {
		t.Errorf("refused as %+v", *refused)
	}
	settle(t, m, r, 5)
	if refused := refusal(t, m, c); refused.Held || !refused.Until.Equal(c.Until) {
		t.Errorf("refused as %+v, want until %s", *refused, c.Until)
	}
}

func chargeCountsOnce(t *testing.T, open Opener) {
	m := open(t, time.Minute)
	w, p := windowClaim(t, "w", time.Minute, 100, 7), periodClaim(t, "p", 100, 8)
	charges := []llm.Charge{{Claim: w, At: time.Now()}, {Claim: p, At: time.Now()}}
	for _, id := range []string{"one", "one", "two"} {
		if err := m.Charge(context20s(t), t.Name()+id, charges); err != nil {
			t.Fatal(err)
		}
	}
	wantUsed(t, m, w, 14)
	wantUsed(t, m, p, 16)
	p.Amount = 85
	_ = refusal(t, m, p)
}

func chargeCorrectsAndForgets(t *testing.T, open Opener) {
	m := open(t, time.Minute)
	w, p := windowClaim(t, "w", time.Minute, 100, 7), periodClaim(t, "p", 100, 7)
	charge := func(id string, at time.Time, claims ...llm.Claim) {
		t.Helper()
		var charges []llm.Charge
		for _, c := range claims {
			charges = append(charges, llm.Charge{Claim: c, At: at})
		}
		if err := m.Charge(context20s(t), t.Name()+id, charges); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	charge("some", now, w, p)
	w.Amount, p.Amount = -3, -3
	charge("less", now, w, p)
	wantUsed(t, m, w, 4)
	wantUsed(t, m, p, 4)
	w.Amount, p.Amount = -50, -50
	charge("nothing", now, w, p)
	wantUsed(t, m, w, 0)
	wantUsed(t, m, p, 0)
	w.Amount = 9
	charge("long ago", now.Add(-2*time.Minute), w)
	wantUsed(t, m, w, 0)
	charge("just now", now.Add(-10*time.Second), w)
	wantUsed(t, m, w, 9)
}

func raiseNeverLowers(t *testing.T, open Opener) {
	m := open(t, time.Minute)
	c := periodClaim(t, "p", 100, 10)
	settle(t, m, take(t, m, c), 10)
	take(t, m, c)
	for _, step := range []struct{ to, want int64 }{{5, 20}, {60, 70}, {0, 70}} {
		if err := m.Raise(context20s(t), c.Key, c.Until, step.to); err != nil {
			t.Fatal(err)
		}
		wantUsed(t, m, c, step.want)
	}
	c.Amount = 31
	_ = refusal(t, m, c)
}

func pauseRefusesUntilItEnds(t *testing.T, open Opener) {
	m := open(t, time.Minute)
	c := windowClaim(t, "w", time.Minute, llm.Unlimited, 1)
	other := windowClaim(t, "other", time.Minute, llm.Unlimited, 1)
	if until, err := m.PausedUntil(context20s(t), c.Key); err != nil || !until.IsZero() {
		t.Fatalf("paused until %s, %v", until, err)
	}
	end := time.Now().Add(250 * time.Millisecond)
	for _, until := range []time.Time{end, end.Add(-200 * time.Millisecond), time.Now().Add(-time.Hour)} {
		if err := m.Pause(context20s(t), c.Key, until); err != nil {
			t.Fatal(err)
		}
	}
	if until, err := m.PausedUntil(context20s(t), c.Key); err != nil || until.Sub(end).Abs() > 100*time.Millisecond {
		t.Errorf("paused until %s, %v; want %s", until, err, end)
	}
	if refused := refusal(t, m, other, c); !refused.Paused || refused.Claim.Key != c.Key {
		t.Errorf("refused as %+v", *refused)
	}
	wantUsed(t, m, other, 0)
	take(t, m, other)
	Eventually(t, "the pause ends", func() bool {
		_, err := m.Reserve(context20s(t), []llm.Claim{c})
		return err == nil
	})
	if early := time.Until(end); early > 20*time.Millisecond {
		t.Errorf("the pause ended %s too early", early)
	}
}

func largeAmountsAreExact(t *testing.T, open Opener) {
	m := open(t, time.Minute)
	const huge = 4_000_000_000_000_003 // four billion dollars
	c := periodClaim(t, "p", huge+1, huge)
	settle(t, m, take(t, m, c), huge)
	wantUsed(t, m, c, huge)
	c.Amount = 2
	_ = refusal(t, m, c)
	c.Amount = 1
	take(t, m, c)
	wantUsed(t, m, c, huge+1)
}
