package workers

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// Budget bounds the retries of a task after failures of one cause, counted within one dispatch.
type Budget struct {
	Retries int           // attempts after the first failure of this cause; Unlimited for no bound
	Base    time.Duration // upper bound of the first wait; it doubles with each failure of the cause
	Max     time.Duration // upper bound of every wait
}

// Unlimited retries never fail a task.
const Unlimited = -1

// Budgets holds a Budget for each cause. A cause that is missing allows no retry.
type Budgets map[events.Cause]Budget

// With returns b with another number of retries for a cause.
func (b Budgets) With(c events.Cause, retries int) Budgets {
	b = maps.Clone(b)
	budget := b[c]
	budget.Retries = retries
	b[c] = budget
	return b
}

// DefaultBudgets returns the budgets with the given number of retries for what a later attempt may mend. A crash is tried
// again twice: a task that takes down three workers is the fault itself. An answer that broke the rules also after its repair is not
// asked for again, since the model was told exactly what was wrong: a budget of CauseInvalidOutput, see With, has it tried anew. Being drained, or
// cut off from the broker, is never held against a task.
func DefaultBudgets(retries int) Budgets {
	return Budgets{
		events.CauseProvider:      {Retries: retries, Base: 2 * time.Second, Max: time.Minute},
		events.CauseTimeout:       {Retries: retries, Base: 2 * time.Second, Max: time.Minute},
		events.CauseInvalidOutput: {Retries: 0, Base: time.Second, Max: 10 * time.Second},
		events.CauseCrash:         {Retries: 2},
		events.CauseBug:           {Retries: 1, Base: 5 * time.Second, Max: 5 * time.Second},
		events.CauseBroker:        {Retries: Unlimited, Base: time.Second, Max: 30 * time.Second},
		events.CauseDrain:         {Retries: Unlimited},
	}
}

// allows reports whether a task that failed n times for the cause, the last one included, is tried again.
func (b Budgets) allows(c events.Cause, n int) bool {
	budget, ok := b[c]
	return ok && (budget.Retries == Unlimited || n <= budget.Retries)
}

// wait returns how long to wait after the n-th failure for the cause: exponential with full jitter (Brooker, "Exponential
// Backoff And Jitter", AWS Architecture Blog, 2015), and no less than what the provider asked for.
func (b Budgets) wait(c events.Cause, n int, asked time.Duration) time.Duration {
	budget := b[c]
	bound := budget.Base
	for range min(n-1, 32) {
		bound = min(2*bound, budget.Max)
	}
	if bound <= 0 {
		return asked
	}
	return max(asked, rand.N(bound))
}

// classify says what an agent's error means for its task.
func classify(err error) *OutcomeError {
	var outcome *OutcomeError
	if errors.As(err, &outcome) {
		return outcome
	}
	var lost *brokerError
	if errors.As(err, &lost) {
		return &OutcomeError{Cause: events.CauseBroker, Err: err}
	}
	switch fault.KindOf(err) {
	case fault.RateLimited, fault.Unavailable, fault.Unauthorized, fault.Forbidden:
		return &OutcomeError{Cause: events.CauseProvider, Err: err}
	case fault.Timeout:
		return &OutcomeError{Cause: events.CauseTimeout, Err: err}
	case fault.Invalid:
		return &OutcomeError{Cause: events.CauseInput, Terminal: true, Err: err}
	case fault.TooLarge:
		return &OutcomeError{Cause: events.CauseInvalidOutput, Err: err}
	}
	return &OutcomeError{Cause: events.CauseBug, Err: err}
}

// isStale reports whether another writer decided on the task.
func isStale(err error) bool { return task.Stale(err) != nil }

// Causes of an attempt's end that are no failure of it.
var (
	errSuperseded = errors.New("another writer decided on the task")
	errUnrecorded = errors.New("the dispatch's task is not on the log")
	errDeadline   = errors.New("the task's deadline passed")
	errAttempt    = errors.New("the attempt ran longer than it may")
)

// ended says why ctx, the context of an attempt, is done.
func ended(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return context.Cause(ctx)
}
