package llm

import (
	"fmt"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/policy"
)

// PauseReason says why a model is not asked for now.
type PauseReason string

const (
	PausedByLimit    PauseReason = "limit"        // our own limit of requests or tokens per minute is used up
	PausedByProvider PauseReason = "rate_limited" // the provider asked to be left alone
	PausedByBreaker  PauseReason = "breaker"      // too many calls failed of late
)

// PausedError says that a model is not asked before Until. Nothing was sent, or what was sent was refused, so that the call
// costs nothing and no attempt. Its fault kind is RateLimited.
type PausedError struct {
	Provider string
	Model    string
	Until    time.Time
	Reason   PauseReason
	Message  string // one sentence for who waits
	Err      error  // the provider's refusal, where there was one
}

func (e *PausedError) Error() string { return e.Message }

// Unwrap returns the RateLimited fault, with how long to wait.
func (e *PausedError) Unwrap() []error {
	kind := &fault.Error{Kind: fault.RateLimited, Message: e.Message, RetryAfter: max(time.Until(e.Until), 0)}
	if e.Err == nil {
		return []error{kind}
	}
	return []error{kind, e.Err}
}

func paused(m Model, reason PauseReason, until time.Time, cause error) *PausedError {
	why := map[PauseReason]string{
		PausedByLimit:    "has used up its requests or tokens of this minute",
		PausedByProvider: "asks to be left alone",
		PausedByBreaker:  "failed too often of late",
	}[reason]
	return &PausedError{
		Provider: m.Provider, Model: m.Name, Until: until, Reason: reason, Err: cause,
		Message: fmt.Sprintf("%s %s and is asked again at %s", m, why, until.UTC().Format("15:04:05 UTC")),
	}
}

// BudgetError says that a budget does not allow a call. Nothing was sent. Its fault kind is RateLimited.
type BudgetError struct {
	Scope  policy.Scope
	ID     string
	Tenant string // of the user or workflow
	Period policy.Period
	Until  time.Time // the end of the period; sooner where only calls under way stand in the way
	// Message is one sentence for who waits.
	Message string
}

func (e *BudgetError) Error() string { return e.Message }

// Unwrap returns the RateLimited fault, with how long to wait.
func (e *BudgetError) Unwrap() error {
	return &fault.Error{Kind: fault.RateLimited, Message: e.Message, RetryAfter: max(time.Until(e.Until), 0)}
}
