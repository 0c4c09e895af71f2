package main

import (
	"context"
	"time"

	"github.com/toolboxai/orchestrator/internal/auth"
)

// enlist makes the development admin a user of a tenant, so that keys, classes and shares can be theirs. While the database is away it tries
// again; then it waits for ctx to end.
func (s *system) enlist(ctx context.Context) error {
	for {
		err := s.db.Enlist(ctx, auth.DevPrincipal())
		if err == nil {
			<-ctx.Done()
			return nil
		}
		s.logger.DebugContext(ctx, "the development admin is no user yet, trying again", "error", err)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil
		}
	}
}
