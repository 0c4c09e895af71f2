package workers

import (
	"slices"
	"sync"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task"
)

const (
	recentAttempts = 512              // kept of each kind
	recentWindow   = 10 * time.Minute // percentiles are of attempts that ended within it
)

// stats counts what a runner does. The zero value is ready to use.
type stats struct {
	mu       sync.Mutex
	busy     int
	draining bool
	kinds    map[string]*kindStats
}

type kindStats struct {
	running                    int
	completed, failed, retried uint64
	failing                    bool
	lastError                  string
	lastAt                     time.Time
	recent                     []attempt // a ring once it has recentAttempts
	oldest                     int
}

type attempt struct {
	ended time.Time
	took  time.Duration
}

// Stats returns the worker as it stands.
func (r *Runner) Stats() task.Worker {
	s := &r.stats
	s.mu.Lock()
	defer s.mu.Unlock()
	w := task.Worker{
		Name: r.Worker, Build: r.Build, StartedAt: r.startedAt, Slots: r.Slots, Busy: s.busy, Draining: s.draining,
		Kinds: make([]task.WorkerKind, 0, len(r.agents)),
	}
	since := time.Now().Add(-recentWindow)
	for _, k := range r.catalog.All() {
		of := task.WorkerKind{Kind: k.Name, Versions: slices.Clone(r.versions(k.Name))}
		if own := s.kinds[k.Name]; own != nil {
			of.Running, of.Completed, of.Failed, of.Retried = own.running, own.completed, own.failed, own.retried
			of.LastError, of.Failing, of.LastAt = own.lastError, own.failing, own.lastAt
			of.P50MS, of.P95MS = own.percentiles(since)
		}
		w.Kinds = append(w.Kinds, of)
	}
	return w
}

// Drain marks the worker as one that takes nothing new. What is delivered to it from then on goes back to the queue; what runs goes on.
func (r *Runner) Drain() {
	r.stats.mu.Lock()
	defer r.stats.mu.Unlock()
	r.stats.draining = true
}

// enter takes a slot, unless the runner drains.
func (s *stats) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return false
	}
	s.busy++
	return true
}

func (s *stats) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
}

func (s *stats) of(kind string) *kindStats {
	if s.kinds == nil {
		s.kinds = map[string]*kindStats{}
	}
	if s.kinds[kind] == nil {
		s.kinds[kind] = &kindStats{}
	}
	return s.kinds[kind]
}

// began counts an attempt that runs. The function that it returns ends it.
func (s *stats) began(kind string) (ended func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of, at := s.of(kind), time.Now()
	of.running++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		of.running--
		of.lastAt = time.Now().UTC()
		of.keep(attempt{of.lastAt, time.Since(at)})
	}
}

// settled counts what was put on record.
func (s *stats) settled(kind string, p events.Payload) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.of(kind)
	switch p := p.(type) {
	case events.Completed:
		of.completed++
		of.failing = false
	case events.Failed:
		of.failed++
		of.failing, of.lastError = true, p.Error
	case events.Retrying:
		of.retried++
		if p.Cause != events.CauseDrain {
			of.failing, of.lastError = true, p.Error
		}
	}
}

func (k *kindStats) keep(a attempt) {
	if len(k.recent) < recentAttempts {
		k.recent = append(k.recent, a)
		return
	}
	k.recent[k.oldest] = a
	k.oldest = (k.oldest + 1) % recentAttempts
}

// percentiles returns the median and the 95th percentile of the attempts that ended since then, in milliseconds.
func (k *kindStats) percentiles(since time.Time) (p50, p95 float64) {
	var took []time.Duration
	for _, a := range k.recent {
		if a.ended.After(since) {
			took = append(took, a.took)
		}
	}
	if len(took) == 0 {
		return 0, 0
	}
	slices.Sort(took)
	rank := func(p int) float64 { // nearest rank
		return float64(took[(len(took)*p+99)/100-1]) / float64(time.Millisecond)
	}
	return rank(50), rank(95)
}
