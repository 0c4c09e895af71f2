package llm

import (
	"context"
	"fmt"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	// Unlimited is the Limit of a claim that is counted and never refused but by a pause. It is the largest count that a
	// meter can hold exactly.
	Unlimited int64 = 1<<53 - 1
	// WindowSlots is how many parts a window is counted in. A count leaves the window with its part, at most one part late
	// and never early.
	WindowSlots = 60

	maxClaims   = 32
	maxMeterKey = 512 // bytes
)

// Claim is a wish to use up some of a limit. There are two sorts of limits: so much within any Window (requests and tokens
// a minute), and so much until a moment (a budget's day or month).
type Claim struct {
	Key    string        // what is counted, the same in every process; 1 to 512 bytes
	Window time.Duration // counted over the last Window at any moment, at least a millisecond; 0: until Until. A key keeps its Window
	Until  time.Time     // the end of the period, only without a Window
	Limit  int64         // 0 to Unlimited
	Amount int64         // 0 to Unlimited
}

// Reservation is a claim that was granted. It ends with Settle, or by itself after the meter's bound, so that nothing stays
// taken for a process that died.
type Reservation struct {
	ID     string
	At     time.Time // by the meter's clock
	Claims []Claim
	Used   []int64 // what is counted for each claim, this reservation included

	local  bool      // the in-process stand-in of a FallbackMeter granted it …
	outage uint64    // … in this outage
	shadow time.Time // when the stand-in took note of it
}

// Charge is something that was used without asking, or a correction when Amount is negative. Limit means nothing.
type Charge struct {
	Claim
	At time.Time // when; what has left its Window since is not counted
}

// Meter counts what is used, over all processes that share its store, and refuses what is above a limit. Money is counted in
// millionths of a US dollar. It is safe for concurrent use.
//
// Errors are *RefusedError where a limit or a pause says no, Invalid for claims that make no sense, Unavailable when the store
// does not answer (it is unknown then whether it acted), Timeout and Canceled when ctx ended.
type Meter interface {
	// Reserve takes all claims or none. At most 32, each with a key of its own.
	Reserve(ctx context.Context, claims []Claim) (Reservation, error)
	// Settle replaces what r reserved by what was used, one actual for each claim, which may be more. Repeating it does no
	// harm. A reservation that has ended by itself is settled all the same: what was used is counted.
	Settle(ctx context.Context, r Reservation, actual []int64) error
	// Charge counts what was used without a reservation. A second Charge of the same id within 15 minutes does nothing.
	Charge(ctx context.Context, id string, charges []Charge) error
	// Raise makes sure that at least used is counted as settled for key in the period that ends at until. It never lowers a
	// count: who knows of more than the caller does is right.
	Raise(ctx context.Context, key string, until time.Time, used int64) error
	// Used returns what is counted for each claim at present, settled and reserved. Limit and Amount mean nothing.
	Used(ctx context.Context, claims []Claim) ([]int64, error)
	// Pause refuses every claim of key until then. It never shortens a pause.
	Pause(ctx context.Context, key string, until time.Time) error
	// PausedUntil returns when the pause of key ends, the zero time when there is none.
	PausedUntil(ctx context.Context, key string) (time.Time, error)
}

// RefusedError says which claim of a Reserve did not fit. When several did not, it is the one that takes longest.
type RefusedError struct {
	Claim  Claim
	Used   int64     // settled and reserved
	Until  time.Time // when it fits if nobody else comes first
	Paused bool      // by a pause, not by its limit
	Held   bool      // only reservations stand in the way, which are settled soon; Until is a guess then
}

func (e *RefusedError) Error() string {
	if e.Paused {
		return fmt.Sprintf("%s is paused until %s", e.Claim.Key, e.Until.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("%s has %d of %d used, %d more do not fit before %s",
		e.Claim.Key, e.Used, e.Claim.Limit, e.Claim.Amount, e.Until.UTC().Format(time.RFC3339))
}

// Unwrap returns the RateLimited fault.
func (e *RefusedError) Unwrap() error {
	return &fault.Error{Kind: fault.RateLimited, Message: "a limit is reached", RetryAfter: max(time.Until(e.Until), 0)}
}

// HeldGuess is how soon a claim is worth trying again that only reservations keep from fitting.
const HeldGuess = 2 * time.Second

// ChargeMemory is how long a meter remembers what was settled or charged, so that a repetition does nothing.
const ChargeMemory = 15 * time.Minute

// CheckClaims returns an Invalid error for claims that no meter takes.
func CheckClaims(claims []Claim) error {
	if len(claims) == 0 || len(claims) > maxClaims {
		return fault.New(fault.Invalid, "%d claims at once, 1 to %d are allowed", len(claims), maxClaims)
	}
	for i, c := range claims {
		switch {
		case c.Key == "" || len(c.Key) > maxMeterKey:
			return fault.New(fault.Invalid, "claim %d has a key of %d bytes", i, len(c.Key))
		case c.Window == 0 && c.Until.IsZero() || c.Window != 0 && c.Window < time.Millisecond:
			return fault.New(fault.Invalid, "the claim of %s has neither a window nor an end", c.Key)
		case c.Limit < 0 || c.Limit > Unlimited || c.Amount < 0 || c.Amount > Unlimited:
			return fault.New(fault.Invalid, "the claim of %s is out of range", c.Key)
		}
		for _, before := range claims[:i] {
			if before.Key == c.Key {
				return fault.New(fault.Invalid, "%s is claimed twice", c.Key)
			}
		}
	}
	return nil
}

// CheckActual returns an Invalid error unless actual fits r.
func CheckActual(r Reservation, actual []int64) error {
	if len(actual) != len(r.Claims) {
		return fault.New(fault.Invalid, "%d amounts for a reservation of %d claims", len(actual), len(r.Claims))
	}
	for i, n := range actual {
		if n < 0 || n > Unlimited {
			return fault.New(fault.Invalid, "the amount used of %s is out of range", r.Claims[i].Key)
		}
	}
	return nil
}

// SlotWidth returns the length of one of the parts in which window is counted, in milliseconds.
func SlotWidth(window time.Duration) int64 {
	return max((window.Milliseconds()+WindowSlots-1)/WindowSlots, 1)
}
