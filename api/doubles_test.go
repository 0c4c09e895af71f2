package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/breaker"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
)

// staleList lists as an archive does that is behind.
type staleList struct{ api.Tasks }

func (staleList) List(context.Context, task.Filter) (task.Page, error) {
	return task.Page{AsOf: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), Stale: true}, nil
}

// broken fails in ways that no client should learn of.
type broken struct{ api.Tasks }

func (broken) Get(_ context.Context, _, id string) (task.Task, error) {
	return task.Task{}, fmt.Errorf("get %s: %w", id, errors.New("dial postgres password=hunter2"))
}

func (broken) List(_ context.Context, f task.Filter) (task.Page, error) {
	switch f.Kinds[0] {
	case "timeout":
		return task.Page{}, fmt.Errorf("list: %w", context.DeadlineExceeded)
	case "canceled":
		return task.Page{}, context.Canceled
	}
	return task.Page{}, &fault.Error{Kind: fault.RateLimited, Message: "slower", RetryAfter: 1100 * time.Millisecond}
}

func (broken) Discard(context.Context, string, string, string, string) (task.Task, error) {
	panic("out of order")
}

// faulty fails with a fault of one kind.
type faulty struct {
	api.Tasks
	kind fault.Kind
}

func (f faulty) Get(context.Context, string, string) (task.Task, error) {
	return task.Task{}, fault.New(f.kind, "it is so")
}

// complete ends a task with a result.
func (k *kit) complete(id string, attempt int) {
	k.t.Helper()
	k.next(id, events.Completed{
		Attempt: attempt, Result: []byte(`{"questions":[]}`), Usage: events.Usage{Calls: 2, InputTokens: 10, OutputTokens: 20, CostKnown: true},
		Provenance: events.Provenance{GeneratedBy: "offline/composer-1", Provider: "offline", Model: "composer-1", Offline: true},
	})
}

// report tells how far attempt 1 of a task has come.
func (k *kit) report(id string, percent float64) {
	k.t.Helper()
	if err := k.memory.Report(k.t.Context(), tasktest.Event(k.t, "school", id, events.Progress{Attempt: 1, Percent: percent, Message: "half-way"})); err != nil {
		k.t.Fatal(err)
	}
}

// shortFollow's streams break off after one event, as when the broker goes away.
type shortFollow struct{ api.Tasks }

func (s shortFollow) Follow(ctx context.Context, tenant, id string, after uint64) (<-chan events.Event, error) {
	history, err := s.History(ctx, tenant, id, after, 1)
	if err != nil {
		return nil, err
	}
	out := make(chan events.Event, 1)
	for _, e := range history {
		out <- e
	}
	close(out)
	return out, nil
}

// noFollow cannot follow.
type noFollow struct{ api.Tasks }

func (noFollow) Follow(context.Context, string, string, uint64) (<-chan events.Event, error) {
	return nil, fault.After(time.Second, "the broker is away")
}

// school knows who is a student and what is shared, and keeps who looked at what. Its fields are set before it is asked.
type school struct {
	students map[string]bool
	shared   map[string][]string // task ids by who may read them
	err      error               // of every question

	mu       sync.Mutex
	accesses []audit.Access
}

// share makes tasks all that a user may read.
func (s *school) share(user string, tasks ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shared = map[string][]string{user: tasks}
}

func (s *school) Readable(_ context.Context, p auth.Principal, _, task string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.shared[p.UserID], task), s.err
}

func (s *school) SharedTasks(_ context.Context, p auth.Principal) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shared[p.UserID], s.err
}

func (s *school) IsStudent(_ context.Context, _, user string) (bool, error) {
	return s.students[user], s.err
}

func (s *school) RecordAccess(_ context.Context, a audit.Access) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accesses = append(s.accesses, a)
	return s.err
}

func (s *school) seen() []audit.Access {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.accesses)
}

// apiKeys are the keys that there are, by their text.
type apiKeys map[string]auth.Principal

// oneKey is an API key whose principal changes.
type oneKey struct{ atomic.Pointer[auth.Principal] }

func (k *oneKey) Authenticate(context.Context, string, netip.Addr, string) (auth.Principal, error) {
	return *k.Load(), nil
}

func (k apiKeys) Authenticate(_ context.Context, text string, _ netip.Addr, _ string) (auth.Principal, error) {
	p, ok := k[text]
	if !ok {
		return p, fault.New(fault.Unauthorized, "the API key is not known")
	}
	return p, nil
}

// breakers are those of some processes, and which of them were closed.
type breakers struct {
	states []breaker.ProcessState

	mu    sync.Mutex
	reset []string // "process name"
}

func someBreakers() *breakers {
	return &breakers{states: []breaker.ProcessState{{Process: "api-1", Breakers: []breaker.State{{Name: "redis", State: breaker.Closed}}}}}
}

func (b *breakers) List(context.Context) ([]breaker.ProcessState, error) { return b.states, nil }

func (b *breakers) Reset(_ context.Context, process, name string) error {
	for _, of := range b.states {
		if (process == "" || of.Process == process) && slices.ContainsFunc(of.Breakers, func(s breaker.State) bool { return s.Name == name }) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.reset = append(b.reset, process+" "+name)
			return nil
		}
	}
	return fault.New(fault.NotFound, "there is no breaker of that name")
}

// scopeless forgets what a key may do: it then may what its user may.
type scopeless struct{ apiKeys }

func (s scopeless) Authenticate(ctx context.Context, text string, ip netip.Addr, origin string) (auth.Principal, error) {
	p, err := s.apiKeys.Authenticate(ctx, text, ip, origin)
	p.Scopes, p.KeyID = nil, ""
	return p, err
}

// recorder keeps from where entries come, or fails.
type recorder struct {
	err error

	mu   sync.Mutex
	from []audit.From
}

func (r *recorder) Append(ctx context.Context, _ audit.Entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.from = append(r.from, audit.FromOf(ctx))
	return r.err
}
