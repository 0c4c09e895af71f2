package main

import (
	"context"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/nats"
)

// sharedLog is the log as all readers of a process follow it: over the one live view that the process has, not over a subscription each.
type sharedLog struct {
	*nats.Log
	news *nats.Newsfeed
}

// Text implements task.ProgressBoard.
func (l sharedLog) Text(ctx context.Context, tenant, id string) (<-chan events.Event, error) {
	return l.news.Text(ctx, l.Log, tenant, id)
}

// Follow implements task.Log. Where events behind after have left the log, be they of this task or not, the task's own history says whether
// one of its own is missing.
func (l sharedLog) Follow(ctx context.Context, tenant, id string, after uint64) (<-chan events.Event, error) {
	live, _, err := l.news.Task(ctx, tenant, id, after)
	if fault.Is(err, fault.NotFound) {
		return l.Log.Follow(ctx, tenant, id, after)
	}
	return live, err
}
