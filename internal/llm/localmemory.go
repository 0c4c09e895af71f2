package llm

import (
	"maps"
	"slices"
	"time"
)

// heard says what all processes together have used of a period; what this process counted by itself is in it.
func (m *LocalMeter) heard(key string, until time.Time, used int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.period(key, until, time.Now())
	p.base, p.spent = used, 0
	p.forgetHolds()
}

// handedOver says that what this process counted by itself of each period has become part of what all have used.
func (m *LocalMeter) handedOver() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.periods {
		p.base, p.spent = p.base+p.spent+p.held, 0
		p.forgetHolds()
	}
}

// once reports whether id is new, and remembers it.
func (m *LocalMeter) once(id string) bool {
	if _, ok := m.done[id]; ok {
		return false
	}
	if len(m.order) == maxLocalDone {
		delete(m.done, m.order[0])
		m.order = m.order[1:]
	}
	m.done[id] = struct{}{}
	m.order = append(m.order, id)
	return true
}

func (m *LocalMeter) window(key string, length time.Duration, now time.Time) *localWindow {
	w, ok := m.windows[key]
	if !ok {
		w = &localWindow{width: SlotWidth(length)}
		m.windows[key] = w
	}
	w.touched = now
	return w
}

func (m *LocalMeter) period(key string, until, now time.Time) *localPeriod {
	p, ok := m.periods[key]
	if !ok {
		p = &localPeriod{}
		m.periods[key] = p
	}
	p.until, p.touched = until, now
	return p
}

// sweep drops what is over, once a minute, and what is too much.
func (m *LocalMeter) sweep(now time.Time) {
	full := len(m.windows) > maxLocalKeys || len(m.periods) > maxLocalKeys || len(m.pauses) > maxLocalKeys
	if !full && now.Sub(m.swept) < localSweep {
		return
	}
	m.swept = now
	maps.DeleteFunc(m.pauses, func(_ string, until time.Time) bool { return !until.After(now) })
	maps.DeleteFunc(m.windows, func(_ string, w *localWindow) bool { return w.used(now) == 0 })
	maps.DeleteFunc(m.periods, func(_ string, p *localPeriod) bool { return p.until.Add(time.Hour).Before(now) })
	evict(m.windows, func(w *localWindow) time.Time { return w.touched })
	evict(m.periods, func(p *localPeriod) time.Time { return p.touched })
	evict(m.pauses, func(until time.Time) time.Time { return until })
}

// evict drops the eighth of m that is oldest when there is too much in it.
func evict[V any](m map[string]V, age func(V) time.Time) {
	if len(m) <= maxLocalKeys {
		return
	}
	keys := slices.SortedFunc(maps.Keys(m), func(a, b string) int { return age(m[a]).Compare(age(m[b])) })
	for _, key := range keys[:len(keys)/8] {
		delete(m, key)
	}
}
