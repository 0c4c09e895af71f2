package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Expiry is an archive of chains whose beginnings can be taken away. It is safe for concurrent use.
type Expiry interface {
	Reader
	// Expired returns the last of a tenant's first entries that are all from before a time, never the newest entry; a zero Anchor when
	// there is none.
	Expired(ctx context.Context, tenant string, before time.Time) (Anchor, error)
	// PurgeTo deletes a tenant's entries up to an anchor, and keeps that. What is not an anchor of the chain deletes nothing.
	PurgeTo(ctx context.Context, tenant string, to Anchor) error
}

// actionPurged is the action of the entry that says up to where a chain was purged: its target is the anchor.
const actionPurged = "audit.purged"

const (
	purgeActor    = "retention"
	purgePatience = 30 * time.Second
	purgePoll     = 100 * time.Millisecond
)

// Purge deletes a tenant's entries from before a time from the archive. What is left can be verified: the chain itself says first up
// to where it is purged, and Verify looks for that. Unavailable when that is not archived within half a minute; nothing is deleted
// then.
func Purge(ctx context.Context, archive Expiry, recorder Recorder, tenant string, before time.Time) error {
	to, err := archive.Expired(ctx, tenant, before)
	if err != nil || to.N == 0 {
		return err
	}
	if err := recorder.Append(ctx, Entry{Tenant: tenant, Actor: purgeActor, Action: actionPurged, Target: to.String(), Outcome: Done}); err != nil {
		return err
	}
	giveUp := time.After(purgePatience)
	for {
		said, err := archive.List(ctx, Filter{Tenant: tenant, Action: actionPurged, Target: to.String(), Limit: 1})
		if err != nil {
			return err
		}
		if len(said.Entries) > 0 {
			return archive.PurgeTo(ctx, tenant, to)
		}
		select {
		case <-time.After(purgePoll):
		case <-giveUp:
			return fault.New(fault.Unavailable, "the audit of %s is not purged: what says so is not archived yet", tenant)
		case <-ctx.Done():
			return fmt.Errorf("purge the audit of %s: %w", tenant, ctx.Err())
		}
	}
}
