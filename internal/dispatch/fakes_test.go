package dispatch_test

import (
	"context"
	"sync"
	"time"

	"github.com/toolboxai/orchestrator/internal/dispatch"
	"github.com/toolboxai/orchestrator/internal/policy"
	"github.com/toolboxai/orchestrator/internal/task"
)

type fleet struct {
	mu    sync.Mutex
	alive []task.Worker
	err   error
}

func (f *fleet) add(w task.Worker) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.alive = append(f.alive, w)
}

func (f *fleet) remove(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, w := range f.alive {
		if w.Name == name {
			f.alive = append(f.alive[:i:i], f.alive[i+1:]...)
			return
		}
	}
}

func (f *fleet) Workers(context.Context) ([]task.Worker, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]task.Worker(nil), f.alive...), f.err
}

type policies struct {
	mu      sync.Mutex
	current policy.Policy
	changed chan struct{}
}

func (p *policies) set(next policy.Policy) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current = next
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *policies) Current() policy.Policy {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.current
}

func (p *policies) Changed() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changed
}

// throne is a lease that processes have by turns.
type throne struct {
	mu     sync.Mutex
	holder string
	barred string // who may not have it
}

func (t *throne) set(holder, barred string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.holder, t.barred = holder, barred
}

func (t *throne) who() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.holder
}

type seat struct {
	*throne
	name string
}

func (s *seat) Held() bool { return s.who() == s.name }

func (s *seat) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		s.mu.Lock()
		if s.holder == "" && s.barred != s.name {
			s.holder = s.name
		}
		s.mu.Unlock()
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holder == s.name {
		s.holder = ""
	}
	return nil
}

// gates takes the gates that are published, and keeps to the newest.
type gates struct {
	mu     sync.Mutex
	all    []dispatch.Gate
	used   map[string]int // direct tasks by tenant since the last gate: at most four
	strict bool           // nothing is direct
}

func (g *gates) PublishGate(_ context.Context, gate dispatch.Gate) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all = append(g.all, gate)
	g.used = map[string]int{}
	return nil
}

func (g *gates) last() dispatch.Gate {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.all) == 0 {
		return dispatch.Gate{}
	}
	return g.all[len(g.all)-1]
}

func (g *gates) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.all)
}

func (g *gates) Direct(tenant, kind string, labels map[string]string) bool {
	if g.strict || !g.last().Direct(tenant, kind, labels) {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.used == nil {
		g.used = map[string]int{}
	}
	g.used[tenant]++
	return g.used[tenant] <= 4
}
