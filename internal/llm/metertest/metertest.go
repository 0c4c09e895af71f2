// Package metertest holds the suite that every llm.Meter passes. It runs on the real clock, because the store of a real meter
// has no other, with windows of a part of a second.
package metertest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/llm"
)

// patience bounds every wait for something that is to happen.
const patience = 20 * time.Second

// Opener returns a meter that has counted nothing yet. Its reservations end by themselves after ttl.
type Opener func(t testing.TB, ttl time.Duration) llm.Meter

// Run checks what every Meter promises.
func Run(t *testing.T, open Opener) {
	t.Helper()
	for _, c := range []struct {
		name  string
		check func(t *testing.T, open Opener)
	}{
		{"WindowGrantsItsLimitAndSaysWhenMoreFits", windowGrantsItsLimit},
		{"WindowIsNeverExceeded", windowIsNeverExceeded},
		{"PeriodGrantsItsLimit", periodGrantsItsLimit},
		{"ReserveTakesAllOrNothing", reserveTakesAllOrNothing},
		{"ReserveGrantsNothingTwice", reserveGrantsNothingTwice},
		{"ReserveRefusesNonsense", reserveRefusesNonsense},
		{"ReserveEndsWithItsContext", reserveEndsWithItsContext},
		{"SettleReplacesTheEstimate", settleReplacesTheEstimate},
		{"SettleTwiceCountsOnce", settleTwiceCountsOnce},
		{"ReservationsEndByThemselves", reservationsEndByThemselves},
		{"RefusalBySoonSettledReservationsSaysSo", refusalByReservations},
		{"ChargeCountsOnce", chargeCountsOnce},
		{"ChargeCorrectsAndForgets", chargeCorrectsAndForgets},
		{"RaiseNeverLowers", raiseNeverLowers},
		{"PauseRefusesUntilItEnds", pauseRefusesUntilItEnds},
		{"LargeAmountsAreExact", largeAmountsAreExact},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.check(t, open)
		})
	}
}

// Grant is one granted reservation, as its caller saw it: it happened between Asked and Got.
type Grant struct{ Asked, Got time.Time }

// Exceeded returns an error when the grants prove that more than limit of them fell within one window.
func Exceeded(grants []Grant, window time.Duration, limit int) error {
	grants = slices.Clone(grants)
	slices.SortFunc(grants, func(a, b Grant) int { return a.Got.Compare(b.Got) })
	for i := limit; i < len(grants); i++ {
		first := slices.MinFunc(grants[i-limit:i+1], func(a, b Grant) int { return a.Asked.Compare(b.Asked) })
		if span := grants[i].Got.Sub(first.Asked); span < window {
			return fmt.Errorf("%d grants within %s, at most %d are allowed within %s", limit+1, span, limit, window)
		}
	}
	return nil
}

// Eventually returns when ok does, and fails the test when it does not in 20 seconds.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("it did not happen that %s", what)
		}
	}
}

func windowClaim(t testing.TB, name string, window time.Duration, limit, amount int64) llm.Claim {
	return llm.Claim{Key: t.Name() + "/" + name, Window: window, Limit: limit, Amount: amount}
}

func periodClaim(t testing.TB, name string, limit, amount int64) llm.Claim {
	return llm.Claim{Key: t.Name() + "/" + name, Until: tomorrow(), Limit: limit, Amount: amount}
}

func tomorrow() time.Time { return time.Now().UTC().Truncate(24 * time.Hour).Add(24 * time.Hour) }

func context20s(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// take reserves and fails the test when it may not.
func take(t testing.TB, m llm.Meter, claims ...llm.Claim) llm.Reservation {
	t.Helper()
	r, err := m.Reserve(context20s(t), claims)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func settle(t testing.TB, m llm.Meter, r llm.Reservation, actual ...int64) {
	t.Helper()
	if err := m.Settle(context20s(t), r, actual); err != nil {
		t.Fatal(err)
	}
}

// wantUsed fails the test unless so much is counted for c.
func wantUsed(t testing.TB, m llm.Meter, c llm.Claim, want int64) {
	t.Helper()
	if got := used(t, m, c); got != want {
		t.Errorf("%d used of %s, want %d", got, c.Key, want)
	}
}

func used(t testing.TB, m llm.Meter, c llm.Claim) int64 {
	t.Helper()
	got, err := m.Used(context20s(t), []llm.Claim{c})
	if err != nil {
		t.Fatal(err)
	}
	return got[0]
}
