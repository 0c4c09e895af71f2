package webhook

import "time"

// HoldFor sets how long removals wait.
func (s *Sender) HoldFor(d time.Duration) { s.queue.hold = d }

// Waiting returns the bytes that wait to be in a webhook, and those that wait for each URL.
func (s *Sender) Waiting() (before int, each []int) {
	s.mu.Lock()
	before = s.queue.size
	s.mu.Unlock()
	for _, t := range s.targets {
		t.mu.Lock()
		each = append(each, t.size)
		t.mu.Unlock()
	}
	return before, each
}
