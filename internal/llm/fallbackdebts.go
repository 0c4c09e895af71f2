package llm

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// ledger sums what the store has yet to be told, for each count.
type ledger map[debt]int64

type debt struct {
	key    string
	window time.Duration
	until  time.Time
	slot   int64 // of the window, so that it leaves the window when it should
}

func (d debt) charge(amount int64) Charge {
	c := Charge{Claim: Claim{Key: d.key, Window: d.window, Until: d.until, Amount: amount}}
	if d.window > 0 {
		c.At = time.UnixMilli(d.slot * SlotWidth(d.window))
	}
	return c
}

// over reports whether the debt has left its window.
func (d debt) over(now time.Time) bool {
	return d.window > 0 && now.UnixMilli()/SlotWidth(d.window) > d.slot+WindowSlots
}

// batch is one Charge to the store. It is sent again under the same id until the store confirms it.
type batch struct {
	id      string
	charges []Charge
}

// settlement is one of a reservation that the store granted.
type settlement struct {
	r      Reservation
	actual []int64
}

func windowsOf(charges []Charge) []Charge {
	return slices.DeleteFunc(slices.Clone(charges), func(c Charge) bool { return c.Window == 0 })
}

// owe notes amounts for r's claims; when the store is there it is told at once.
func (m *FallbackMeter) owe(ctx context.Context, r Reservation, amounts []int64) {
	m.mu.Lock()
	for i, c := range r.Claims {
		if amounts[i] == 0 {
			continue
		}
		d := debt{key: c.Key, window: c.Window, until: c.Until}
		if c.Window > 0 {
			d.slot = r.shadow.UnixMilli() / SlotWidth(c.Window)
		}
		if _, ok := m.owed[d]; !ok && len(m.owed) >= maxDebts {
			m.forgiveOver()
		}
		if _, ok := m.owed[d]; !ok && len(m.owed) >= maxDebts {
			m.dropped++
			continue
		}
		m.owed[d] += amounts[i]
	}
	away := m.away
	m.mu.Unlock()
	if !away {
		m.paying.Lock()
		defer m.paying.Unlock()
		m.lost(ctx, m.payOwed(ctx))
	}
}

func (m *FallbackMeter) forgiveOver() {
	now := time.Now()
	maps.DeleteFunc(m.owed, func(d debt, _ int64) bool { return d.over(now) })
}

// settleLater keeps a settlement for when the store is back; if it is back already, it is told at once.
func (m *FallbackMeter) settleLater(ctx context.Context, s settlement) {
	m.mu.Lock()
	if len(m.settles) >= maxPendingSettles {
		m.settles = slices.Delete(m.settles, 0, 1)
		m.dropped++
	}
	m.settles = append(m.settles, s)
	away := m.away
	m.mu.Unlock()
	if !away {
		m.lost(ctx, m.pay(ctx))
	}
}

// pay tells the store everything that it missed. What it does not take stays owed.
func (m *FallbackMeter) pay(ctx context.Context) error {
	m.paying.Lock()
	defer m.paying.Unlock()
	if err := m.payPauses(ctx); err != nil {
		return err
	}
	for {
		m.mu.Lock()
		if len(m.settles) == 0 {
			m.mu.Unlock()
			return m.payOwed(ctx)
		}
		next := m.settles[0]
		m.settles = m.settles[1:]
		m.mu.Unlock()
		err := m.ask(ctx, func(ctx context.Context) error { return m.cfg.Store.Settle(ctx, next.r, next.actual) })
		if err != nil && !fault.Is(err, fault.Invalid) {
			m.mu.Lock()
			m.settles = slices.Insert(m.settles, 0, next)
			m.mu.Unlock()
			return err
		}
	}
}

func (m *FallbackMeter) payPauses(ctx context.Context) error {
	m.mu.Lock()
	pauses := maps.Clone(m.pauses)
	m.mu.Unlock()
	for key, until := range pauses {
		if err := m.ask(ctx, func(ctx context.Context) error { return m.cfg.Store.Pause(ctx, key, until) }); err != nil {
			return err
		}
		m.mu.Lock()
		if m.pauses[key].Equal(until) {
			delete(m.pauses, key)
		}
		m.mu.Unlock()
	}
	return nil
}

// payOwed charges the store with the sums. The caller holds paying.
func (m *FallbackMeter) payOwed(ctx context.Context) error {
	for {
		m.mu.Lock()
		if m.unsure == nil {
			m.unsure = m.takeBatch()
		}
		next := m.unsure
		m.mu.Unlock()
		if next == nil {
			return nil
		}
		err := m.ask(ctx, func(ctx context.Context) error { return m.cfg.Store.Charge(ctx, next.id, next.charges) })
		if err != nil && !fault.Is(err, fault.Invalid) {
			return err
		}
		m.mu.Lock()
		m.unsure = nil
		m.mu.Unlock()
	}
}

// takeBatch moves some of what is owed into a batch, nil when nothing is.
func (m *FallbackMeter) takeBatch() *batch {
	now := time.Now()
	b := &batch{id: uuid.NewString()}
	for d, amount := range m.owed {
		delete(m.owed, d)
		if amount != 0 && !d.over(now) {
			b.charges = append(b.charges, d.charge(amount))
		}
		if len(b.charges) == chargeBatch {
			break
		}
	}
	if len(b.charges) == 0 {
		return nil
	}
	return b
}
