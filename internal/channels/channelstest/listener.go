package channelstest

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"

	"github.com/toolboxai/orchestrator/internal/channels"
)

// probe is the publisher of messages that only find out who listens.
const probe = 1 << 40

// Listener records what one process hears, for Check.
type Listener struct {
	mu       sync.Mutex
	inside   bool
	together bool                // receive or lost was called while one of them ran
	heard    map[uint64][]uint64 // by publisher
	lostAt   map[uint64][]int    // by publisher: how many of its messages had come when lost was called
	losses   int
	gate     chan struct{} // closed: nothing holds receive up
}

// Listen starts a listener and returns once it hears what its own bus publishes.
func Listen(t *testing.T, bus channels.Bus) *Listener {
	t.Helper()
	l := &Listener{heard: map[uint64][]uint64{}, lostAt: map[uint64][]int{}, gate: make(chan struct{})}
	close(l.gate)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := bus.Listen(ctx, l.receive, l.lost); err != nil {
			t.Errorf("listen: %v", err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	i := uint64(0)
	l.until(t, "the listener hears", func() bool {
		i++
		l.mu.Unlock()
		_ = bus.Publish(t.Context(), Message(probe, i))
		l.mu.Lock()
		return len(l.heard[probe]) > 0
	})
	return l
}

// processes joins n buses, each with a listener.
func processes(t *testing.T, s Setup, n int) (buses []channels.Bus, listeners []*Listener) {
	t.Helper()
	for range n {
		bus := s.Join(t)
		buses, listeners = append(buses, bus), append(listeners, Listen(t, bus))
	}
	return buses, listeners
}

func (l *Listener) enter() func() {
	l.mu.Lock()
	l.together = l.together || l.inside
	l.inside = true
	gate := l.gate
	l.mu.Unlock()
	<-gate
	l.mu.Lock()
	return func() { l.inside = false; l.mu.Unlock() }
}

func (l *Listener) receive(data []byte) {
	defer l.enter()()
	publisher := binary.BigEndian.Uint64(data)
	l.heard[publisher] = append(l.heard[publisher], binary.BigEndian.Uint64(data[8:]))
}

func (l *Listener) lost() {
	defer l.enter()()
	l.losses++
	for publisher, heard := range l.heard {
		l.lostAt[publisher] = append(l.lostAt[publisher], len(heard))
	}
}

// block holds the next call up until release is called.
func (l *Listener) block() (release func()) {
	gate := make(chan struct{})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gate = gate
	return func() { close(gate) }
}

// Losses returns how often the listener was told that something may be missing.
func (l *Listener) Losses() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.losses
}

// Heard returns the numbers that came from a publisher.
func (l *Listener) Heard(publisher uint64) []uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]uint64(nil), l.heard[publisher]...)
}

// Check returns an error when a publisher's messages came out of order or twice, when some are missing and lost was not called between
// what came before and after them, and when two calls ran at the same time.
func (l *Listener) Check() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.together {
		return fmt.Errorf("receive and lost were called at the same time")
	}
	for publisher, heard := range l.heard {
		if publisher == probe {
			continue
		}
		told := map[int]bool{}
		for _, at := range l.lostAt[publisher] {
			told[at] = true
		}
		for i := 1; i < len(heard); i++ {
			if heard[i] <= heard[i-1] {
				return fmt.Errorf("publisher %d: %d came after %d", publisher, heard[i], heard[i-1])
			}
			if heard[i] > heard[i-1]+1 && !told[i] {
				return fmt.Errorf("publisher %d: nobody said that something is missing between %d and %d", publisher, heard[i-1], heard[i])
			}
		}
	}
	return nil
}

// expect waits for a publisher's first n messages and checks that nothing is missing.
func (l *Listener) expect(t *testing.T, n int, publisher uint64) {
	t.Helper()
	l.until(t, fmt.Sprintf("%d messages have come", n), func() bool { return len(l.heard[publisher]) >= n })
	heard := l.Heard(publisher)
	for i, got := range heard {
		if got != uint64(i) {
			t.Fatalf("publisher %d: message %d is number %d", publisher, i, got)
		}
	}
	if err := l.Check(); err != nil {
		t.Error(err)
	}
	if l.Losses() > 0 {
		t.Errorf("told of %d losses where nothing was lost", l.Losses())
	}
}

// until polls a condition with the listener locked.
func (l *Listener) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	poll(t, what, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return ok()
	})
}

// count and last are for conditions: the listener is locked.
func (l *Listener) count(publisher uint64) int { return len(l.heard[publisher]) }

func (l *Listener) last(publisher uint64) uint64 {
	heard := l.heard[publisher]
	if len(heard) == 0 {
		return 0
	}
	return heard[len(heard)-1]
}
