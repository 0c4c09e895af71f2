package llm

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// MeterStatus says in which state a FallbackMeter is.
type MeterStatus struct {
	Shared  bool      // the store answers; false: limits are counted in this process alone
	Since   time.Time // when the store went away, zero while it is there
	Owed    int       // keys and reservations that the store has yet to be told of
	Dropped uint64    // of them lost, ever, for want of room
}

// Status returns the state at present.
func (m *FallbackMeter) Status() MeterStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	status := MeterStatus{Shared: !m.away, Owed: len(m.owed) + len(m.settles), Dropped: m.dropped}
	if m.away {
		status.Since = m.since
	}
	if m.unsure != nil {
		status.Owed += len(m.unsure.charges)
	}
	return status
}

// ask bounds one call to the store. When ctx ended, that is the error.
func (m *FallbackMeter) ask(ctx context.Context, call func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, m.cfg.Timeout)
	defer cancel()
	err := call(bounded)
	if err != nil && ctx.Err() != nil {
		return endedFault(ctx, "the meter")
	}
	return err
}

func (m *FallbackMeter) isAway() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.away
}

// lost reports whether err means that the store does not answer, and begins an outage if so. That the caller gave up says
// nothing about the store.
func (m *FallbackMeter) lost(ctx context.Context, err error) bool {
	if err == nil || ctx.Err() != nil || fault.Is(err, fault.RateLimited) || fault.Is(err, fault.Invalid) {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away || m.ctx.Err() != nil {
		return true
	}
	m.away, m.since = true, time.Now()
	m.outage++
	m.cfg.Logger.Warn("shared limits are away, each process counts its part", "error", err, "processes", m.cfg.Processes)
	m.probes.Go(m.probe)
	return true
}

// probe runs during an outage and ends it.
func (m *FallbackMeter) probe() {
	for {
		wait := time.NewTimer(m.cfg.ProbeEvery + rand.N(m.cfg.ProbeEvery/4+1))
		select {
		case <-wait.C:
		case <-m.ctx.Done():
			wait.Stop()
			return
		}
		if m.comeBack() {
			return
		}
	}
}

// comeBack tells the store what it missed, and ends the outage when it has taken it all.
func (m *FallbackMeter) comeBack() bool {
	err := m.ask(m.ctx, func(ctx context.Context) error {
		_, err := m.cfg.Store.PausedUntil(ctx, "probe")
		return err
	})
	if err != nil || m.pay(m.ctx) != nil {
		return false
	}
	m.paying.Lock()
	defer m.paying.Unlock()
	m.mu.Lock()
	m.away = false
	m.local.handedOver()
	took, dropped := time.Since(m.since), m.dropped
	m.mu.Unlock()
	m.cfg.Logger.Info("shared limits are back", "away_ms", took.Milliseconds(), "dropped_total", dropped)
	_ = m.payOwed(m.ctx) // what was noted since pay; what the store does not take now is paid with the next note
	return true
}
