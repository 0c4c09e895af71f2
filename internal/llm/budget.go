package llm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/toolboxai/orchestrator/internal/policy"
)

// budgeted asks a model when the caller's budgets allow it. It reserves what the call may cost before it, so that many calls
// at once do not spend the same money, and settles what it did cost after it.
//
// It stands within the fallback chain, not around it: each model has its own price, and a reservation is for one of them.
type budgeted struct {
	model   Model
	next    Client
	priced  Client // who knows the price
	meter   Meter
	policy  func() policy.Policy
	guess   *estimator
	pricing pricing
	maxWait time.Duration
	log     *slog.Logger
	warned  *atomic.Bool // that calls without a caller are outside all budgets
}

func (b *budgeted) Describe() string { return b.next.Describe() }

// allowed is a claim and the budget that it is of.
type allowed struct {
	policy.Allowance
	unit string
}

const (
	unitUSD    = "usd" // counted in millionths
	unitTokens = "tokens"
)

// Complete implements Client.
func (b *budgeted) Complete(ctx context.Context, req Request) (Response, error) {
	p := b.policy()
	if len(p.Budgets) == 0 {
		return b.next.Complete(ctx, req)
	}
	caller, ok := CallerFrom(ctx)
	if !ok && !b.warned.Swap(true) {
		b.log.Warn("a call to a model names no caller and counts against no budget", "purpose", req.Purpose)
	}
	guess := b.guess.guess(b.model, req)
	claims, of := budgetClaims(p, caller, time.Now(), b.pricing.cost(b.priced, b.model, guess), int64(guess.input+guess.output))
	if len(claims) == 0 {
		return b.next.Complete(ctx, req)
	}
	r, err := b.reserve(ctx, claims, of)
	if err != nil {
		return Response{}, err
	}
	req, said := listen(req)
	resp, err := b.next.Complete(ctx, req)
	n := took(resp, err, guess, *said)
	cost := b.pricing.cost(b.priced, b.model, n)
	if usage, ok := usageOf(resp, err); ok && usage.CostKnown {
		cost = microUSD(usage.CostUSD)
	}
	actual := make([]int64, len(claims))
	for i := range claims {
		if actual[i] = cost; of[i].unit == unitTokens {
			actual[i] = int64(n.input + n.output)
		}
	}
	settleReservation(ctx, b.meter, r, actual, b.log)
	return resp, err
}

// usageOf returns what the provider counted of a call, false when it counted nothing.
func usageOf(resp Response, err error) (Usage, bool) {
	var bad *InvalidOutputError
	switch {
	case err == nil:
		return resp.Usage, resp.Usage.InputTokens+resp.Usage.OutputTokens > 0
	case errors.As(err, &bad):
		return bad.Usage, bad.Usage.InputTokens+bad.Usage.OutputTokens > 0
	}
	return Usage{}, false
}

// reserve waits in place, maxWait at most, while only calls under way keep the budget from sufficing.
func (b *budgeted) reserve(ctx context.Context, claims []Claim, of []allowed) (Reservation, error) {
	deadline := time.Now().Add(b.maxWait)
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		r, err := b.meter.Reserve(ctx, claims)
		var refused *RefusedError
		if !errors.As(err, &refused) {
			return r, err
		}
		next := time.Now().Add(pause/2 + rand.N(pause))
		if !refused.Held || next.After(deadline) {
			return Reservation{}, exhausted(refused, claims, of, b.maxWait)
		}
		if err := sleepUntil(ctx, next, b.model.Provider); err != nil {
			return Reservation{}, err
		}
	}
}

// exhausted says which budget is used up.
func exhausted(refused *RefusedError, claims []Claim, of []allowed, maxWait time.Duration) *BudgetError {
	var a allowed
	for i, c := range claims {
		if c.Key == refused.Claim.Key {
			a = of[i]
		}
	}
	e := &BudgetError{Scope: a.Scope, ID: a.ID, Tenant: a.Tenant, Period: a.Period, Until: refused.Until}
	have, want := fmt.Sprintf("%d tokens", refused.Claim.Limit), fmt.Sprintf("%d", refused.Claim.Amount)
	left := fmt.Sprintf("%d", max(refused.Claim.Limit-refused.Used, 0))
	if a.unit == unitUSD {
		have, want, left = dollars(refused.Claim.Limit), dollars(refused.Claim.Amount), dollars(max(refused.Claim.Limit-refused.Used, 0))
	}
	e.Message = fmt.Sprintf("the budget of %s %s for the %s, %s, has %s left and the call may take %s", a.Scope, a.ID, a.Period, have, left, want)
	if refused.Held {
		e.Until = time.Now().Add(max(maxWait, HeldGuess))
		e.Message += "; calls under way hold the rest"
	}
	return e
}

func dollars(micro int64) string { return fmt.Sprintf("$%.4f", float64(micro)/1e6) }

// budgetClaims returns what a call of this cost and these tokens claims of each budget of the caller.
func budgetClaims(p policy.Policy, c Caller, now time.Time, cost, tokens int64) ([]Claim, []allowed) {
	var claims []Claim
	var of []allowed
	for _, a := range p.BudgetsFor(policy.Facts{Tenant: c.Tenant, User: c.User, Workflow: c.Workflow}, now) {
		if a.USD > 0 {
			claims = append(claims, Claim{Key: BudgetKey(a, unitUSD), Until: a.End, Limit: max(microUSD(a.USD), 0), Amount: cost})
			of = append(of, allowed{a, unitUSD})
		}
		if a.Tokens > 0 {
			claims = append(claims, Claim{Key: BudgetKey(a, unitTokens), Until: a.End, Limit: min(a.Tokens, Unlimited), Amount: tokens})
			of = append(of, allowed{a, unitTokens})
		}
	}
	return claims, of
}

// BudgetKey is what the spending of a budget's period is counted under, in a Meter: unit is "usd" (counted in millionths) or
// "tokens".
func BudgetKey(a policy.Allowance, unit string) string {
	key := fmt.Sprintf("%s:%s:%s:%s:%s:%s", unit, a.Period, a.Start.Format(time.DateOnly), a.Scope,
		url.QueryEscape(a.Tenant), url.QueryEscape(a.ID))
	if len(key) <= maxMeterKey {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return unit + ":" + hex.EncodeToString(sum[:])
}
