package agentcontext

import (
	"context"
	"sync"
)

// Memory is a Store for one process, for tests and for those who have no database. The zero value is ready. It is safe for concurrent use.
type Memory struct {
	mu   sync.Mutex
	kept map[Owner]map[string]Entry
}

var _ Store = (*Memory)(nil)

// Entries implements Store.
func (m *Memory) Entries(_ context.Context, of Owner, key string) (found []Entry, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.kept[of] {
		if key == "" || e.Key == key {
			found = append(found, e)
		}
	}
	return found, nil
}

// Change implements Store.
func (m *Memory) Change(_ context.Context, of Owner, decide func([]Entry) (Change, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var heads []Entry
	for _, e := range m.kept[of] {
		e.Content = ""
		heads = append(heads, e)
	}
	change, err := decide(heads)
	if err != nil {
		return err
	}
	if m.kept == nil {
		m.kept = map[Owner]map[string]Entry{}
	}
	if m.kept[of] == nil {
		m.kept[of] = map[string]Entry{}
	}
	for _, e := range change.Put {
		m.kept[of][e.Key] = e
	}
	for _, e := range change.Rank {
		was := m.kept[of][e.Key]
		was.Priority = e.Priority
		m.kept[of][e.Key] = was
	}
	for _, key := range change.Drop {
		delete(m.kept[of], key)
	}
	return nil
}
