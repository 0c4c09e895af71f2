package postgres_test

import (
	"testing"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
)

// The last platform admin is erased as little as they are disabled, whatever other admins their school has.
func TestRequestErasure_LeavesAPlatformAdmin(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Config{URL: pgtest.New(t)})
	s := founded(t, db, "school", "other")
	enrol(t, s, "school", auth.Admin, "head")
	last := enrol(t, s, "school", auth.PlatformAdmin, "root")
	if _, err := db.RequestErasure(t.Context(), "school", last.ID, last.ID); !fault.Is(err, fault.Conflict) {
		t.Errorf("the last: %v", err)
	}
	enrol(t, s, "other", auth.PlatformAdmin, "root")
	if _, err := db.RequestErasure(t.Context(), "school", last.ID, last.ID); err != nil {
		t.Errorf("one of two: %v", err)
	}
}
