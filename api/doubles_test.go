package api_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/events"
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
