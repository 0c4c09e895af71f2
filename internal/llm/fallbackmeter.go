package llm

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	defaultStoreTimeout = 150 * time.Millisecond
	defaultProbeEvery   = 250 * time.Millisecond
	maxPendingSettles   = 10_000
	maxDebts            = 1 << 16
	chargeBatch         = 200
)

// FallbackConfig says how a FallbackMeter does without its store. Zero fields take the defaults.
type FallbackConfig struct {
	Store      Meter         // shared by all processes; required
	Processes  int           // that share the limits: each grants one part while the store is away; 1
	Timeout    time.Duration // of one call to the store; 150 ms
	ProbeEvery time.Duration // how often a store that is away is asked for a sign of life; 250 ms
	// ReservationTTL is how long a reservation of an outage lasts that nobody settles; DefaultReservationTTL.
	ReservationTTL time.Duration
	Logger         *slog.Logger // told once when the store goes and once when it is back
}

// FallbackMeter is a Meter that goes on without its store. The first call that the store does not answer within the timeout
// ends in the in-process stand-in, and so do all others, at once, until a probe finds the store back. Callers see no error.
//
// The stand-in grants this process' part: of a window the limit over Processes, less what this process was granted within that
// window before; of a budget's period the part of what was left when the store was last heard, or the part of the whole limit
// for a key never heard of. So an outage grants at most Processes parts on top of what was used, plus one call a process where
// a part is smaller than one call.
//
// What is used meanwhile is counted in the store when it is back: the sums for each key, and up to 10,000 settlements of
// reservations that the store itself had granted; of those beyond, the store forgets the reservation after its bound.
type FallbackMeter struct {
	cfg   FallbackConfig
	local *LocalMeter

	mu      sync.Mutex
	away    bool
	since   time.Time
	outage  uint64 // counts them
	owed    ledger
	unsure  *batch // sent, and not known whether it arrived
	settles []settlement
	dropped uint64
	pauses  map[string]time.Time

	paying sync.Mutex // one payer at a time
	stop   context.CancelFunc
	ctx    context.Context // ends with Close; only for the probe, which belongs to the meter and to no call
	probes sync.WaitGroup
}

var _ Meter = (*FallbackMeter)(nil)

// NewFallbackMeter returns a meter that believes its store to be there. Close ends it.
func NewFallbackMeter(cfg FallbackConfig) (*FallbackMeter, error) {
	setZero(&cfg.Processes, 1)
	setZero(&cfg.Timeout, defaultStoreTimeout)
	setZero(&cfg.ProbeEvery, defaultProbeEvery)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Store == nil || cfg.Processes < 1 || cfg.Timeout < 0 || cfg.ProbeEvery < 0 {
		return nil, fault.New(fault.Invalid, "a fallback meter needs a store, and at least one process, and times above zero")
	}
	local, err := NewLocalMeter(LocalConfig{Share: 1 / float64(cfg.Processes), ReservationTTL: cfg.ReservationTTL})
	if err != nil {
		return nil, err
	}
	m := &FallbackMeter{cfg: cfg, local: local, owed: ledger{}, pauses: map[string]time.Time{}}
	m.ctx, m.stop = context.WithCancel(context.Background())
	return m, nil
}

// Close ends the probe and waits for it. What the store has not been told by then is lost to it.
func (m *FallbackMeter) Close() {
	m.stop()
	m.probes.Wait()
}

// Reserve implements Meter.
func (m *FallbackMeter) Reserve(ctx context.Context, claims []Claim) (Reservation, error) {
	if m.isAway() {
		return m.reserveLocally(ctx, claims)
	}
	var r Reservation
	err := m.ask(ctx, func(ctx context.Context) (err error) {
		r, err = m.cfg.Store.Reserve(ctx, claims)
		return err
	})
	if m.lost(ctx, err) {
		return m.reserveLocally(ctx, claims)
	}
	if err != nil {
		return r, err
	}
	r.shadow = time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, c := range claims {
		if c.Window > 0 {
			m.local.note([]Charge{{Claim: c, At: r.shadow}})
		} else if i < len(r.Used) && !m.away { // in an outage the stand-in knows more than an answer from before it
			m.local.heard(c.Key, c.Until, r.Used[i])
		}
	}
	return r, nil
}

// reserveLocally also notes what it grants as owed to the store: a process that dies then has used it.
func (m *FallbackMeter) reserveLocally(ctx context.Context, claims []Claim) (Reservation, error) {
	r, err := m.local.Reserve(ctx, claims)
	if err != nil {
		return r, err
	}
	r.local, r.shadow = true, r.At
	amounts := make([]int64, len(claims))
	for i, c := range claims {
		amounts[i] = c.Amount
	}
	m.mu.Lock()
	r.outage = m.outage
	m.mu.Unlock()
	m.owe(ctx, r, amounts)
	return r, nil
}

// Settle implements Meter. The only errors are Invalid ones.
func (m *FallbackMeter) Settle(ctx context.Context, r Reservation, actual []int64) error {
	if err := CheckActual(r, actual); err != nil {
		return err
	}
	corrections := make([]int64, len(actual))
	for i, c := range r.Claims {
		corrections[i] = actual[i] - c.Amount
	}
	if r.local {
		m.settleLocal(ctx, r, actual, corrections)
		return nil
	}
	for i, c := range r.Claims {
		if c.Window > 0 {
			c.Amount = corrections[i]
			m.local.note([]Charge{{Claim: c, At: r.shadow}})
		}
	}
	if !m.isAway() {
		err := m.ask(ctx, func(ctx context.Context) error { return m.cfg.Store.Settle(ctx, r, actual) })
		if err == nil || fault.Is(err, fault.Invalid) {
			return err
		}
		m.lost(ctx, err)
	}
	m.settleLater(ctx, settlement{r, actual})
	return nil
}

func (m *FallbackMeter) settleLocal(ctx context.Context, r Reservation, actual, corrections []int64) {
	if !m.local.begin(r.ID) {
		return // settled before
	}
	m.mu.Lock()
	same := m.away && m.outage == r.outage
	m.mu.Unlock()
	if same {
		m.local.settle(r, actual)
	} else { // the store has taken over what was reserved; windows keep their own count
		for i, c := range r.Claims {
			if c.Window > 0 {
				c.Amount = corrections[i]
				m.local.note([]Charge{{Claim: c, At: r.shadow}})
			}
		}
	}
	m.owe(ctx, r, corrections)
}

// Charge implements Meter.
func (m *FallbackMeter) Charge(ctx context.Context, id string, charges []Charge) error {
	if !m.isAway() {
		err := m.ask(ctx, func(ctx context.Context) error { return m.cfg.Store.Charge(ctx, id, charges) })
		if !m.lost(ctx, err) {
			if err == nil {
				m.local.note(windowsOf(charges))
			}
			return err
		}
	}
	if !m.local.begin("c" + id) {
		return nil
	}
	m.local.note(charges)
	for _, c := range charges {
		m.owe(ctx, Reservation{Claims: []Claim{c.Claim}, shadow: c.At}, []int64{c.Amount})
	}
	return nil
}

// Raise implements Meter. While the store is away it tells the stand-in how much is left; the store hears it the next time.
func (m *FallbackMeter) Raise(ctx context.Context, key string, until time.Time, used int64) error {
	if !m.isAway() {
		err := m.ask(ctx, func(ctx context.Context) error { return m.cfg.Store.Raise(ctx, key, until, used) })
		if !m.lost(ctx, err) {
			return err
		}
	}
	return m.local.Raise(ctx, key, until, used)
}

// Used implements Meter.
func (m *FallbackMeter) Used(ctx context.Context, claims []Claim) ([]int64, error) {
	if !m.isAway() {
		var used []int64
		err := m.ask(ctx, func(ctx context.Context) (err error) {
			used, err = m.cfg.Store.Used(ctx, claims)
			return err
		})
		if !m.lost(ctx, err) {
			return used, err
		}
	}
	return m.local.Used(ctx, claims)
}

// Pause implements Meter.
func (m *FallbackMeter) Pause(ctx context.Context, key string, until time.Time) error {
	if err := m.local.Pause(ctx, key, until); err != nil {
		return err
	}
	if !m.isAway() {
		err := m.ask(ctx, func(ctx context.Context) error { return m.cfg.Store.Pause(ctx, key, until) })
		if !m.lost(ctx, err) {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.pauses) < maxLocalKeys && until.After(m.pauses[key]) {
		m.pauses[key] = until
	}
	return nil
}

// PausedUntil implements Meter.
func (m *FallbackMeter) PausedUntil(ctx context.Context, key string) (time.Time, error) {
	if !m.isAway() {
		var until time.Time
		err := m.ask(ctx, func(ctx context.Context) (err error) {
			until, err = m.cfg.Store.PausedUntil(ctx, key)
			return err
		})
		if !m.lost(ctx, err) {
			return until, err
		}
	}
	return m.local.PausedUntil(ctx, key)
}

func setZero[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}
