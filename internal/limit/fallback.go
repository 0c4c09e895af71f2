package limit

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/toolboxai/orchestrator/internal/breaker"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Shared is a Limiter that all processes share and that can be away: redis.Limiter.
type Shared interface {
	Limiter
	// Charge counts what was granted elsewhere. It refuses nothing: what does not fit any more is dropped. At most MaxDebts at
	// once. Errors are those of Take.
	Charge(ctx context.Context, debts ...Debt) error
	// Join says that a process is there, which holds for three times JoinEvery, and how many are.
	Join(ctx context.Context, process string) (Census, error)
	// Leave says that a process has ended.
	Leave(ctx context.Context, process string) error
}

// Debt is what was granted of a bucket without asking the store.
type Debt struct {
	Bucket   string // Ask.Bucket
	Limit    Limit
	Requests int // 1 to Limit.Capacity

	digest [16]byte // of the bucket
}

// MaxDebts is how many debts a Shared takes at once.
const MaxDebts = 200

// Census is who shares a Shared.
type Census struct {
	Processes int    // that joined and did not leave, the one that asks among them
	Memory    string // names the store's memory: another one, and what was counted before is lost
}

// JoinEvery is how often a process says that it is there.
const JoinEvery = 5 * time.Second

const (
	defaultTimeout   = 50 * time.Millisecond
	defaultProcesses = 2
	maxProcesses     = 1000
	// silence is how long a process counts that gives no sign.
	silence = 3 * JoinEvery
	// look is how often Run looks whether there is something to ask the store.
	look = 100 * time.Millisecond
	// earlyEvery is how often an outage may end before the breaker's time is over: a store that answers Run and fails callers
	// would open and close the breaker all the time.
	earlyEvery = 15 * time.Second
)

// NewBreaker returns the breaker of the shared limits: 10 of the last 14 calls failed, 15 s.
func NewBreaker(logger *slog.Logger) (*breaker.Breaker, error) {
	return breaker.New(breaker.Config{Name: "redis", Failures: 10, Rate: 0.7, Reset: 15 * time.Second, Logger: logger})
}

// FallbackConfig says how a Fallback does without its store. Zero fields take the defaults.
type FallbackConfig struct {
	Shared  Shared           // required
	Local   *Local           // its own alone; made when nil
	Breaker *breaker.Breaker // of the store; NewBreaker when nil
	Process string           // the name of this process, no other's; required
	// Processes is how many share the limits until the store has said so for the first time: more than there are refuses too
	// much, fewer grants too much; 2.
	Processes int
	Timeout   time.Duration // of one call to the store; 50 ms
	Logger    *slog.Logger  // told when the store goes and when it is back
}

// Fallback asks a Shared and goes on without it. Callers see no error of the store: a call that fails or takes longer than
// Timeout is decided by this process alone, and so are all, at once and without I/O, as long as the breaker is open.
//
// This process then grants its share: one of as many parts of each limit as processes were there when the store was last heard,
// less what it granted of late, and at least one request. So what passes in an outage is at most what is allowed, plus the
// bursts of the shares once: a process that granted nothing before does not know that others granted all.
// A process that alone cannot reach a store that the others reach grants its share on top of theirs.
//
// Run finds the store again and tells it what was granted meanwhile; then the breaker closes: a tenth of a second after the store
// answers, or when the breaker half-opens where the outage before was within 15 s. While some processes ask the store and others
// do not, more passes than is allowed. So a store that comes back empty decides only when all processes have found it, or those
// that are missing count as gone; until then each goes on with its share. It is told all that each process remembers to have
// granted of late; what processes granted that are gone is lost to it. Around a restart too much passes by one burst of each
// limit, and by what is asked of the empty store before it is known to be empty: up to JoinEvery where no call failed.
type Fallback struct {
	cfg   FallbackConfig
	local *Local

	mu        sync.Mutex
	processes int
	fewer     time.Time // since when the store says of fewer processes; zero: it does not
	memory    string
	gathering time.Time // until when the others are waited for, whom a store that came back empty does not know; zero: all are there

	stumbled atomic.Bool // a call failed since Run last asked
	early    time.Time   // Run's alone: when an outage last ended before the breaker's time was over
}

var _ Limiter = (*Fallback)(nil)

// NewFallback returns a limiter that believes its store to be there. Whoever makes it runs Run.
func NewFallback(cfg FallbackConfig) (*Fallback, error) {
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Processes == 0 {
		cfg.Processes = defaultProcesses
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Shared == nil || cfg.Process == "" || cfg.Timeout < 0 || cfg.Processes < 0 || cfg.Processes > maxProcesses {
		return nil, fault.New(fault.Invalid, "shared limits need a store, the name of this process, 1 to %d processes and a timeout above zero", maxProcesses)
	}
	var err error
	if cfg.Local == nil {
		if cfg.Local, err = NewLocal(LocalConfig{}); err != nil {
			return nil, err
		}
	}
	if cfg.Breaker == nil {
		if cfg.Breaker, err = NewBreaker(cfg.Logger); err != nil {
			return nil, err
		}
	}
	return &Fallback{cfg: cfg, local: cfg.Local, processes: cfg.Processes}, nil
}

// Breaker returns the breaker of the store, for a Registry.
func (f *Fallback) Breaker() *breaker.Breaker { return f.cfg.Breaker }

// Status says whether the store is asked, and by how many processes it is shared as far as is known.
func (f *Fallback) Status() (shared bool, processes int) {
	return f.together(), f.share()
}

// together reports whether the store decides.
func (f *Fallback) together() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.gathering.IsZero() && f.cfg.Breaker.IsClosed()
}

// Take implements Limiter. Errors are Invalid, and Canceled and Timeout when ctx itself ended.
func (f *Fallback) Take(ctx context.Context, asks ...Ask) (Verdict, error) {
	if err := CheckAsks(asks); err != nil {
		return Verdict{}, err
	}
	if f.together() { // what is half open is Run's: callers do not wait for a trial
		if v, err := f.ask(ctx, asks); err == nil {
			if v.Allowed {
				f.local.note(asks, f.share())
			}
			return v, nil
		}
		f.stumbled.Store(true)
	}
	if err := ctx.Err(); err != nil {
		return Verdict{}, fault.New(fault.KindOf(err), "take from a limit: %w", err)
	}
	return f.local.take(asks, f.share(), true), nil
}

func (f *Fallback) ask(ctx context.Context, asks []Ask) (v Verdict, err error) {
	err = f.call(ctx, func(ctx context.Context) error {
		v, err = f.cfg.Shared.Take(ctx, asks...)
		return err
	})
	return v, err
}

// call makes one call to the store, if the breaker lets it. That the caller gave up says nothing about the store.
func (f *Fallback) call(ctx context.Context, fn func(context.Context) error) error {
	done, err := f.cfg.Breaker.Allow()
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, f.cfg.Timeout)
	defer cancel()
	err = fn(bounded)
	if err != nil && ctx.Err() != nil {
		done(context.Canceled)
		return err
	}
	done(err)
	return err
}

func (f *Fallback) share() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.processes
}
