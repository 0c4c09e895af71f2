package scheduletest_test

import (
	"context"
	"testing"

	"github.com/toolboxai/orchestrator/internal/campaign"
	"github.com/toolboxai/orchestrator/internal/schedule"
	"github.com/toolboxai/orchestrator/internal/schedule/scheduletest"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

// store is nats.Documents as schedules and campaigns see it.
type store[T any] struct{ *nats.Documents[T] }

func (s store[T]) List(ctx context.Context, pattern string, limit int) ([]T, error) {
	found, err := s.Documents.List(ctx, pattern, limit)
	all := make([]T, len(found))
	for i, d := range found {
		all[i] = d.Value
	}
	return all, err
}

func (s store[T]) Watch(ctx context.Context, fn func(key string, doc T, rev uint64, gone bool)) error {
	return s.Documents.Watch(ctx, func(d nats.Document[T]) { fn(d.Key, d.Value, d.Revision, d.Deleted) })
}

var (
	_ schedule.Documents = store[schedule.Schedule]{}
	_ campaign.Documents = store[campaign.Campaign]{}
)

func TestJetStream_KeepsTheContract(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	documents, err := nats.NewDocuments[schedule.Schedule](broker.JS, nats.BucketSchedules, nil)
	if err != nil {
		t.Fatal(err)
	}
	scheduletest.RunDocuments(t, func(*testing.T) scheduletest.Documents[schedule.Schedule] {
		return store[schedule.Schedule]{documents}
	}, sample)
}
