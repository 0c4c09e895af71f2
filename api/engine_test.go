package api_test

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/policy"
	"github.com/toolboxai/orchestrator/internal/task"
)

// engine stands in for what the API asks of the dispatcher, the workers and the stores of policy and audit.
type engine struct {
	mu       sync.Mutex
	workers  []task.Worker
	backlog  []task.Backlog
	away     bool // no dispatcher answers
	explains map[string]task.Explanation
	policy   policy.Policy
	races    int // how many times somebody else is faster
	entries  []audit.Entry

	incidents task.IncidentFilter // the last one that was asked for
	usage     task.UsageFilter
}

func (e *engine) Incidents(_ context.Context, f task.IncidentFilter) (task.IncidentPage, error) {
	e.incidents = f
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return task.IncidentPage{Next: "c2", Incidents: []task.Incident{{
		Fingerprint: "f1", Cause: "provider", Kinds: []string{"quiz"}, Pattern: "status <n>", Sample: "status 503", Count: 412, FirstSeen: at, LastSeen: at.Add(time.Hour), Tasks: []string{"t1"},
	}}}, nil
}

func (e *engine) UsageReport(_ context.Context, f task.UsageFilter) ([]task.UsageRow, error) {
	e.usage = f
	return []task.UsageRow{{Kind: "quiz", Calls: 6, MicroUSD: 1_250_000, CostKnown: true}}, nil
}

func (e *engine) Workers(context.Context) ([]task.Worker, error) { return e.workers, nil }

func (e *engine) Backlog(context.Context) ([]task.Backlog, error) {
	if e.away {
		return nil, fault.New(fault.Unavailable, "no dispatcher answers")
	}
	return e.backlog, nil
}

func (e *engine) Explain(_ context.Context, _, id string) (task.Explanation, error) {
	if e.away {
		return task.Explanation{}, fault.New(fault.Unavailable, "no dispatcher answers")
	}
	x, ok := e.explains[id]
	if !ok {
		return x, fault.New(fault.NotFound, "there is no open task %q", id)
	}
	return x, nil
}

func (e *engine) Current() policy.Policy {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.policy
}

func (e *engine) Save(_ context.Context, p policy.Policy) (policy.Policy, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.races > 0 {
		e.races--
		e.policy.Revision++
	}
	if p.Revision != e.policy.Revision {
		return policy.Policy{}, fault.New(fault.Conflict, "the policy is at revision %d", e.policy.Revision)
	}
	p.Revision++
	e.policy = p
	return p, nil
}

func (e *engine) Append(_ context.Context, entry audit.Entry) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	entry.N = uint64(len(e.entries) + 1)
	e.entries = append(e.entries, entry)
	return nil
}

func (e *engine) List(_ context.Context, f audit.Filter) (audit.Page, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var page audit.Page
	for _, entry := range slices.Backward(e.entries) {
		if !f.Matches(entry) {
			continue
		}
		if len(page.Entries) == cmp.Or(f.Limit, audit.DefaultPage) {
			page.Next = page.Entries[len(page.Entries)-1].N
			break
		}
		page.Entries = append(page.Entries, entry)
	}
	return page, nil
}
