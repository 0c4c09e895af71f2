package ticket

import (
	"context"
	"sync"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// maxKept is how many tickets a Memory holds. They are gone after one use, and nobody who may not has any issued.
const maxKept = 10_000

// Memory is a store for one process. The zero value is ready.
type Memory struct {
	mu   sync.Mutex
	kept map[string][]byte
}

var _ Store = (*Memory)(nil)

// Put implements Store.
func (m *Memory) Put(_ context.Context, id string, sealed []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept == nil || len(m.kept) >= maxKept {
		m.kept = map[string][]byte{}
	}
	m.kept[id] = sealed
	return nil
}

// Take implements Store.
func (m *Memory) Take(_ context.Context, id string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sealed, ok := m.kept[id]
	if !ok {
		return nil, fault.New(fault.NotFound, "there is no such ticket")
	}
	delete(m.kept, id)
	return sealed, nil
}
