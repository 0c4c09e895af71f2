package llm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/policy"
)

// maxSynced bounds how many counts one sync of a period keeps in memory.
const maxSynced = 200_000

// Ledger is the durable record of what was spent.
type Ledger interface {
	// SpentAll calls each with what every user spent from a moment on until, but without, another, apart for each workflow
	// (empty: outside of any), in millionths of a US dollar and in tokens.
	SpentAll(ctx context.Context, from, to time.Time, each func(tenant, user, workflow string, microUSD, tokens int64)) error
}

// SyncConfig says what SyncBudgets makes agree with what. Every field is required.
type SyncConfig struct {
	Ledger Ledger
	Meter  Meter
	Policy func() policy.Policy
}

// SyncBudgets makes sure that the meter counts at least what the ledger has on record, for every budget of everyone who spent
// something in its period, so that a store that lost its memory does not hand out spent money again. Run it at the start and
// then every minute or so; it asks the ledger once for each sort of period that the policy has budgets of.
//
// It only raises counts: the ledger hears of a call when its task records it, so the meter is ahead of it at most times. What
// the meter counts too much, of calls whose cost nobody told, is kept until the period ends.
//
// A count that fails does not keep the others from being raised; all errors are returned together.
func SyncBudgets(ctx context.Context, cfg SyncConfig) error {
	if cfg.Ledger == nil || cfg.Meter == nil || cfg.Policy == nil {
		return fault.New(fault.Invalid, "the sync of budgets lacks a part of its configuration")
	}
	p, now := cfg.Policy(), time.Now()
	var failed []error
	for _, period := range []policy.Period{policy.Day, policy.Month} {
		if !hasBudgets(p, period) {
			continue
		}
		spent, err := sumUp(ctx, cfg.Ledger, p, period, now)
		if err != nil {
			failed = append(failed, fmt.Errorf("sum up what the %s has cost: %w", period, err))
			continue
		}
		for key, s := range spent {
			if ctx.Err() != nil {
				return errors.Join(append(failed, endedFault(ctx, "the meter"))...)
			}
			if err := cfg.Meter.Raise(ctx, key, s.until, min(s.used, Unlimited)); err != nil {
				failed = append(failed, fmt.Errorf("raise a count: %w", err))
			}
		}
	}
	return errors.Join(failed...)
}

func hasBudgets(p policy.Policy, period policy.Period) bool {
	for _, b := range p.Budgets {
		if b.Period == period {
			return true
		}
	}
	return false
}

type spending struct {
	until time.Time
	used  int64
}

// sumUp returns what was spent in the period that now is in, by the keys of the meter.
func sumUp(ctx context.Context, ledger Ledger, p policy.Policy, period policy.Period, now time.Time) (map[string]spending, error) {
	spent, lost := map[string]spending{}, 0
	add := func(key string, until time.Time, n int64) {
		s, ok := spent[key]
		if !ok && len(spent) >= maxSynced {
			lost++
			return
		}
		spent[key] = spending{until, s.used + n}
	}
	start, end := period.Bounds(now)
	err := ledger.SpentAll(ctx, start, end, func(tenant, user, workflow string, microUSD, tokens int64) {
		for _, a := range p.BudgetsFor(policy.Facts{Tenant: tenant, User: user, Workflow: workflow}, now) {
			if a.Period == period && a.USD > 0 && microUSD > 0 {
				add(BudgetKey(a, unitUSD), a.End, microUSD)
			}
			if a.Period == period && a.Tokens > 0 && tokens > 0 {
				add(BudgetKey(a, unitTokens), a.End, tokens)
			}
		}
	})
	if err == nil && lost > 0 {
		err = fault.New(fault.TooLarge, "more than %d budgets were spent from: %d entries are left out", maxSynced, lost)
	}
	return spent, err
}
