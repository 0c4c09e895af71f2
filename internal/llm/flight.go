package llm

import (
	"context"
	"sync"
)

// flights lets one of those who ask the same in this process ask, and the others wait for what it hears.
type flights struct {
	mu   sync.Mutex
	open map[string]*flight
}

// flight is one question that is being asked.
type flight struct {
	done   chan struct{} // closed when answer and err are final
	answer Answer
	err    error // nil: answer is good
}

func newFlights() *flights { return &flights{open: map[string]*flight{}} }

// join returns the flight of a key, and whether the caller is the one who has to land it.
func (f *flights) join(key string) (*flight, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if there, ok := f.open[key]; ok {
		return there, false
	}
	made := &flight{done: make(chan struct{})}
	f.open[key] = made
	return made, true
}

// land ends a flight with what came of it.
func (f *flights) land(key string, made *flight, a Answer, err error) {
	f.mu.Lock()
	delete(f.open, key)
	f.mu.Unlock()
	made.answer, made.err = a, err
	close(made.done)
}

// wait returns when the flight has landed; false when ctx ended first.
func (made *flight) wait(ctx context.Context) bool {
	select {
	case <-made.done:
		return true
	case <-ctx.Done():
		return false
	}
}
