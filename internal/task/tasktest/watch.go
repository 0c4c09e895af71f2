package tasktest

import (
	"cmp"
	"context"
	"slices"

	"github.com/toolboxai/orchestrator/events"
)

// Watch calls fn with the last event of every task, in log order, and then with each new event, until ctx ends; then it returns
// nil.
func (m *Memory) Watch(ctx context.Context, fn func(events.Event)) error {
	m.mu.Lock()
	fresh, seen := m.lasts(), len(m.all)
	changed := m.changed
	m.mu.Unlock()
	for {
		for _, e := range fresh {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // being stopped is how a watch ends
			}
			fn(e)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
		m.mu.Lock()
		fresh, seen = slices.Clone(m.all[seen:]), len(m.all)
		changed = m.changed
		m.mu.Unlock()
	}
}

func (m *Memory) lasts() []events.Event {
	var lasts []events.Event
	for _, h := range m.histories {
		if len(h) > 0 {
			lasts = append(lasts, h[len(h)-1])
		}
	}
	slices.SortFunc(lasts, func(a, b events.Event) int { return cmp.Compare(a.Seq, b.Seq) })
	return lasts
}
