package main

import (
	"context"
	"log/slog"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/internal/campaign"
	"github.com/toolboxai/orchestrator/internal/schedule"
	"github.com/toolboxai/orchestrator/nats"
)

// documents gives schedules and campaigns their bucket: the same documents, without what only the broker's adapter needs to tell.
type documents[T any] struct{ *nats.Documents[T] }

var (
	_ schedule.Documents = documents[schedule.Schedule]{}
	_ campaign.Documents = documents[campaign.Campaign]{}
)

func newDocuments[T any](js jetstream.JetStream, bucket string, logger *slog.Logger) (documents[T], error) {
	d, err := nats.NewDocuments[T](js, bucket, logger)
	return documents[T]{d}, err
}

// List returns the documents whose keys match pattern, at most limit of them.
func (d documents[T]) List(ctx context.Context, pattern string, limit int) ([]T, error) {
	found, err := d.Documents.List(ctx, pattern, limit)
	if err != nil {
		return nil, err
	}
	out := make([]T, len(found))
	for i := range found {
		out[i] = found[i].Value
	}
	return out, nil
}

// Watch calls fn with every document, and then with each change.
func (d documents[T]) Watch(ctx context.Context, fn func(key string, doc T, rev uint64, gone bool)) error {
	return d.Documents.Watch(ctx, func(c nats.Document[T]) { fn(c.Key, c.Value, c.Revision, c.Deleted) })
}
