// Package breaker keeps callers from waiting for what is down.
//
//	           Failures of the last calls                Reset is over, one trial
//	closed ────────────────────────────────► open ────────────────────────────────► half_open
//	   ▲                                       ▲                                        │
//	   │                                       └──────────── the trial failed ──────────┤
//	   └─────────────────────────────────────────────────── the trial worked ───────────┘
//
// A Breaker stands before one dependency of one process: it counts on failsafe-go, and adds what that leaves open: which call a
// result belongs to, so that an answer from before the breaker opened decides nothing; calls that were withdrawn, which show
// nothing; and what an operator wants to see. A Registry knows all breakers of a process.
package breaker

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// States of a Breaker.
const (
	Closed   = "closed"    // calls pass
	Open     = "open"      // calls are refused at once
	HalfOpen = "half_open" // one call is on trial, the others are refused
)

const (
	maxName    = 320       // bytes: a provider and a model of a policy fit
	maxCounted = 1_000_000 // calls that a breaker remembers

	// trialGuess is how soon a trial that is under way is known to have worked.
	trialGuess = 2 * time.Second
)

// Config says when a Breaker opens. Name is required; the other zero fields take the defaults.
type Config struct {
	Name string // shown to operators, unique in a Registry: "redis", "openai/gpt-5-mini"
	// Failures and Rate open it: so many of the last Failures/Rate calls failed. 3 and 0.6, which is 3 of the last 5: what the
	// platform grants an external API.
	Failures int
	Rate     float64 // above 0, at most 1
	// Window counts by time instead: of the calls within the last Window there were at least Failures, and Rate of them failed.
	// A breaker for few and slow calls wants that, lest it holds yesterday's failures against today. 0 counts calls.
	Window time.Duration
	Reset  time.Duration // how long it stays open before a call is tried; 60 s
	// IsFailure says whether an error shows that the dependency is not there. Nil takes Unavailable and Timeout faults. What is
	// Canceled is never asked about: it shows nothing.
	IsFailure func(error) bool
	Logger    *slog.Logger // told of each change; nil: nobody is
}

// State is a Breaker at one moment.
type State struct {
	Name      string    `json:"name"`
	State     string    `json:"state"`              // Closed, Open or HalfOpen
	Failures  int       `json:"failures"`           // among the calls that count at present; of an open one, those that opened it
	Successes int       `json:"successes"`          // likewise
	OpenedAt  time.Time `json:"opened_at,omitzero"` // when it left Closed; zero while closed
	RetryAt   time.Time `json:"retry_at,omitzero"`  // from when an open one lets a call through
}

// Breaker is one circuit breaker. It is safe for concurrent use and holds nothing to close.
type Breaker struct {
	cfg Config

	mu       sync.Mutex
	circuit  circuitbreaker.CircuitBreaker[any]
	term     uint64 // counts the changes of state: a result counts in the term that its call began in
	openedAt time.Time
}

// New returns a closed breaker. A configuration that makes no sense is Invalid.
func New(cfg Config) (*Breaker, error) {
	if cfg.Failures == 0 {
		cfg.Failures = 3
	}
	if cfg.Rate == 0 {
		cfg.Rate = 0.6
	}
	if cfg.Reset == 0 {
		cfg.Reset = time.Minute
	}
	if cfg.IsFailure == nil {
		cfg.IsFailure = IsAway
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case cfg.Name == "" || len(cfg.Name) > maxName:
		return nil, fault.New(fault.Invalid, "the name of a breaker has %d bytes, must have 1 to %d", len(cfg.Name), maxName)
	case cfg.Failures < 0 || !(cfg.Rate > 0 && cfg.Rate <= 1) || float64(cfg.Failures)/cfg.Rate > maxCounted || cfg.Window < 0 || cfg.Reset < 0:
		return nil, fault.New(fault.Invalid, "the breaker %s at %d failures, a rate of %v and %s makes no sense", cfg.Name, cfg.Failures, cfg.Rate, cfg.Reset)
	}
	return &Breaker{cfg: cfg, circuit: circuit(cfg)}, nil
}

func circuit(cfg Config) circuitbreaker.CircuitBreaker[any] {
	b := circuitbreaker.NewBuilder[any]().WithSuccessThreshold(1).WithDelay(cfg.Reset)
	if failures := uint(cfg.Failures); cfg.Window > 0 {
		b = b.WithFailureRateThreshold(cfg.Rate, failures, cfg.Window)
	} else {
		b = b.WithFailureThresholdRatio(failures, uint(math.Floor(float64(cfg.Failures)/cfg.Rate)))
	}
	return b.Build()
}

// IsAway reports whether err is an Unavailable or Timeout fault.
func IsAway(err error) bool { return fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Timeout) }

// Name returns the breaker's name.
func (b *Breaker) Name() string { return b.cfg.Name }

// Allow asks for leave to make one call. When that is granted, the caller must call done once with how the call ended; further
// calls of done do nothing. When it is not, the error is Unavailable and says when to come back.
func (b *Breaker) Allow() (done func(error), err error) {
	b.mu.Lock()
	before := b.circuit.State()
	granted := b.circuit.TryAcquirePermit()
	change := b.changed(before)
	term := b.term
	wait := b.circuit.RemainingDelay()
	b.mu.Unlock()
	b.tell(change)
	if !granted {
		if wait <= 0 {
			wait = trialGuess
		}
		return nil, fault.After(wait, "%s failed too often of late and is left alone", b.cfg.Name)
	}
	var once sync.Once
	return func(err error) { once.Do(func() { b.record(term, err) }) }, nil
}

// Do makes a call when the breaker grants it, and returns its error or the breaker's. A panic of fn counts as withdrawn.
func (b *Breaker) Do(ctx context.Context, fn func(context.Context) error) error {
	done, err := b.Allow()
	if err != nil {
		return err
	}
	defer done(context.Canceled)
	err = fn(ctx)
	done(err)
	return err
}

// record takes the result of a call that was allowed in term.
func (b *Breaker) record(term uint64, err error) {
	b.mu.Lock()
	if b.term != term {
		b.mu.Unlock()
		return
	}
	before := b.circuit.State()
	switch {
	case fault.Is(err, fault.Canceled):
		if b.circuit.IsHalfOpen() { // the next trial gets the permit
			b.circuit.Open()
			b.circuit.HalfOpen()
		}
	case err != nil && b.cfg.IsFailure(err):
		b.circuit.RecordFailure()
	default:
		b.circuit.RecordSuccess()
	}
	change := b.changed(before)
	b.mu.Unlock()
	b.tell(change)
}

// HalfOpen lets an open breaker try a call before Reset is over: for who has another sign of life than such a call.
func (b *Breaker) HalfOpen() {
	b.mu.Lock()
	before := b.circuit.State()
	if b.circuit.IsOpen() {
		b.circuit.HalfOpen()
	}
	change := b.changed(before)
	b.mu.Unlock()
	b.tell(change)
}

// Reset closes the breaker and forgets what it counted. Calls under way decide nothing any more.
func (b *Breaker) Reset() {
	b.mu.Lock()
	before := b.circuit.State()
	b.circuit.Close()
	b.circuit = circuit(b.cfg)
	change := b.changed(before)
	b.term++
	b.mu.Unlock()
	b.tell(change)
}

// IsClosed reports whether calls pass.
func (b *Breaker) IsClosed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.circuit.IsClosed()
}

// State returns what an operator wants to know. An open breaker stays Open after RetryAt until somebody asks it.
func (b *Breaker) State() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.circuit.Metrics()
	s := State{
		Name: b.cfg.Name, State: named(b.circuit.State()), Failures: int(m.Failures()), Successes: int(m.Successes()), OpenedAt: b.openedAt,
	}
	if b.circuit.IsOpen() {
		s.RetryAt = time.Now().Add(b.circuit.RemainingDelay())
	}
	return s
}

// change is what became of a breaker.
type change struct{ from, to string }

// changed notes that the state is no longer what it was before. It is called with mu held; who called it tells of the change.
func (b *Breaker) changed(before circuitbreaker.State) change {
	now := b.circuit.State()
	if now == before {
		return change{}
	}
	b.term++
	switch now {
	case circuitbreaker.ClosedState:
		b.openedAt = time.Time{}
	case circuitbreaker.OpenState:
		if b.openedAt.IsZero() {
			b.openedAt = time.Now()
		}
	}
	return change{named(before), named(now)}
}

func (b *Breaker) tell(c change) {
	if c != (change{}) {
		b.cfg.Logger.Warn("breaker changed", "breaker", b.cfg.Name, "from", c.from, "to", c.to)
	}
}

func named(s circuitbreaker.State) string {
	switch s {
	case circuitbreaker.ClosedState:
		return Closed
	case circuitbreaker.OpenState:
		return Open
	case circuitbreaker.HalfOpenState:
		return HalfOpen
	}
	return fmt.Sprintf("state %d", s)
}
