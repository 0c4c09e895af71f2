package llm

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	maxLocalKeys = 1 << 16
	maxLocalDone = 1 << 16
	localSweep   = time.Minute

	// DefaultReservationTTL is how long a meter keeps a reservation that nobody settles: longer than any call takes.
	DefaultReservationTTL = 10 * time.Minute
)

// LocalConfig says how a LocalMeter counts. Zero fields take the defaults.
type LocalConfig struct {
	Share          float64       // of each limit, above 0 and at most 1; 1
	ReservationTTL time.Duration // of a reservation that nobody settles; DefaultReservationTTL
}

// LocalMeter is a Meter of this process alone. Where several processes share a limit and nothing else to count in, each
// grants its share of it: of a window the share of the limit, of a period the share of what nobody had used when this meter
// last heard of the others. A claim that is larger than the share but not than the limit is granted when nothing else is
// counted, so that nobody is shut out for good.
//
// It remembers at most 65,536 keys; beyond that it forgets those that were not used for longest.
type LocalMeter struct {
	share float64
	ttl   time.Duration

	mu      sync.Mutex
	ids     uint64
	windows map[string]*localWindow
	periods map[string]*localPeriod
	pauses  map[string]time.Time
	done    map[string]struct{} // settled or charged
	order   []string            // of done, oldest first
	swept   time.Time
}

var _ Meter = (*LocalMeter)(nil)

// NewLocalMeter returns a meter that has counted nothing yet. A share that makes no sense is Invalid.
func NewLocalMeter(cfg LocalConfig) (*LocalMeter, error) {
	if cfg.Share == 0 {
		cfg.Share = 1
	}
	if cfg.ReservationTTL == 0 {
		cfg.ReservationTTL = DefaultReservationTTL
	}
	if !(cfg.Share > 0 && cfg.Share <= 1) || cfg.ReservationTTL < 0 {
		return nil, fault.New(fault.Invalid, "a meter with a share of %v and reservations of %s makes no sense", cfg.Share, cfg.ReservationTTL)
	}
	return &LocalMeter{
		share: cfg.Share, ttl: cfg.ReservationTTL, windows: map[string]*localWindow{}, periods: map[string]*localPeriod{},
		pauses: map[string]time.Time{}, done: map[string]struct{}{}, swept: time.Now(),
	}, nil
}

// Reserve implements Meter.
func (m *LocalMeter) Reserve(ctx context.Context, claims []Claim) (Reservation, error) {
	if err := CheckClaims(claims); err != nil {
		return Reservation{}, err
	}
	if ctx.Err() != nil {
		return Reservation{}, endedFault(ctx, "the meter")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.sweep(now)
	var worst *RefusedError
	for _, c := range claims {
		if r := m.refuse(c, now); r != nil && (worst == nil || r.Until.After(worst.Until)) {
			worst = r
		}
	}
	if worst != nil {
		return Reservation{}, worst
	}
	m.ids++
	r := Reservation{ID: strconv.FormatUint(m.ids, 36), At: now, Claims: slices.Clone(claims), Used: make([]int64, len(claims))}
	for i, c := range claims {
		if c.Window > 0 {
			w := m.window(c.Key, c.Window, now)
			w.add(now, c.Amount)
			r.Used[i] = w.sum
		} else {
			p := m.period(c.Key, c.Until, now)
			p.hold(r.ID, c.Amount, now.Add(m.ttl))
			r.Used[i] = p.base + p.spent + p.held
		}
	}
	return r, nil
}

// refuse returns why c does not fit, nil when it does.
func (m *LocalMeter) refuse(c Claim, now time.Time) *RefusedError {
	if until := m.pauses[c.Key]; until.After(now) {
		return &RefusedError{Claim: c, Until: until, Paused: true}
	}
	if c.Window > 0 {
		w := m.window(c.Key, c.Window, now)
		used := w.used(now)
		if m.fits(used, c.Amount, c.Limit) {
			return nil
		}
		allowed := int64(float64(c.Limit) * m.share)
		return &RefusedError{Claim: c, Used: used, Until: w.fitsAt(now, c.Amount, allowed)}
	}
	p := m.period(c.Key, c.Until, now)
	p.expire(now)
	left := c.Limit - p.base
	if m.fits(p.spent+p.held, c.Amount, left) {
		return nil
	}
	refused := &RefusedError{Claim: c, Used: p.base + p.spent + p.held, Until: c.Until}
	if p.held > 0 && m.fits(p.spent, c.Amount, left) {
		refused.Held, refused.Until = true, now.Add(HeldGuess)
	}
	return refused
}

func (m *LocalMeter) fits(used, amount, limit int64) bool {
	return used+amount <= int64(float64(limit)*m.share) || used <= 0 && amount <= limit
}

// Settle implements Meter.
func (m *LocalMeter) Settle(_ context.Context, r Reservation, actual []int64) error {
	if err := CheckActual(r, actual); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.once("s" + r.ID) {
		m.settleOnce(r, actual)
	}
	return nil
}

// settle is Settle after begin.
func (m *LocalMeter) settle(r Reservation, actual []int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settleOnce(r, actual)
}

// begin reports whether the reservation of this id is settled for the first time.
func (m *LocalMeter) begin(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.once("s" + id)
}

func (m *LocalMeter) settleOnce(r Reservation, actual []int64) {
	now := time.Now()
	for i, c := range r.Claims {
		if c.Window > 0 {
			m.window(c.Key, c.Window, now).add(r.At, actual[i]-c.Amount)
			continue
		}
		p := m.period(c.Key, c.Until, now)
		p.release(r.ID)
		p.spent += actual[i]
	}
}

// Charge implements Meter.
func (m *LocalMeter) Charge(_ context.Context, id string, charges []Charge) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.once("c" + id) {
		return nil
	}
	m.charge(charges)
	return nil
}

// note counts charges that nobody repeats.
func (m *LocalMeter) note(charges []Charge) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.charge(charges)
}

func (m *LocalMeter) charge(charges []Charge) {
	now := time.Now()
	for _, c := range charges {
		if c.Window > 0 {
			m.window(c.Key, c.Window, now).add(c.At, c.Amount)
		} else {
			p := m.period(c.Key, c.Until, now)
			p.spent = max(p.spent+c.Amount, 0)
		}
	}
}

// Raise implements Meter.
func (m *LocalMeter) Raise(_ context.Context, key string, until time.Time, used int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.period(key, until, time.Now())
	p.spent = max(p.spent, used-p.base)
	return nil
}

// Used implements Meter.
func (m *LocalMeter) Used(_ context.Context, claims []Claim) ([]int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, used := time.Now(), make([]int64, len(claims))
	for i, c := range claims {
		if c.Window > 0 {
			used[i] = m.window(c.Key, c.Window, now).used(now)
			continue
		}
		p := m.period(c.Key, c.Until, now)
		p.expire(now)
		used[i] = p.base + p.spent + p.held
	}
	return used, nil
}

// Pause implements Meter.
func (m *LocalMeter) Pause(_ context.Context, key string, until time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sweep(time.Now())
	if until.After(m.pauses[key]) {
		m.pauses[key] = until
	}
	return nil
}

// PausedUntil implements Meter.
func (m *LocalMeter) PausedUntil(_ context.Context, key string) (time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if until := m.pauses[key]; until.After(time.Now()) {
		return until, nil
	}
	return time.Time{}, nil
}
