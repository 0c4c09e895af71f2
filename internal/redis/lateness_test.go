package redis_test

import (
	"sync"
	"testing"
	"time"
)

// lateness times short waits until late is called, which returns how late a guarantee of time may be seen on this machine now: several
// times what the latest of them was late, which is next to nothing on one that has nothing else to do.
func lateness(t testing.TB) (late func() time.Duration) {
	t.Helper()
	done, worst := make(chan struct{}), make(chan time.Duration, 1)
	go func() {
		latest := time.Duration(0)
		for {
			began := time.Now()
			select {
			case <-done:
				worst <- latest
				return
			case <-time.After(time.Millisecond):
				latest = max(latest, time.Since(began)-time.Millisecond)
			}
		}
	}()
	late = sync.OnceValue(func() time.Duration {
		close(done)
		return 10 * <-worst
	})
	t.Cleanup(func() { late() })
	return late
}
