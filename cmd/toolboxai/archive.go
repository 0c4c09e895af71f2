package main

import (
	"context"
	"time"

	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/workers"
)

const (
	gapRetry = 5 * time.Second
	// backfillEvery is how often the recorder looks for what an older release recorded beside it.
	backfillEvery = time.Hour
)

// record copies the log into Postgres, and keeps budgets in step with it, until ctx ends.
func (s *system) record(ctx context.Context) error {
	feed, err := nats.NewFeed(s.broker.js, nats.Recorder, nats.FeedConfig{Batch: recordBatch, Logger: s.logger})
	if err != nil {
		return err
	}
	recorder := &workers.Recorder{Feed: feed, Archive: s.db, Logger: s.logger}
	policies, err := nats.NewPolicyStore(s.broker.js, s.logger)
	if err != nil {
		return err
	}
	counting, err := newMeter(s.cfg, s.logger)
	if err != nil {
		return err
	}
	defer counting.close()
	return runRoles(ctx, s.logger, role{"policy", policies.Run},
		role{"record", func(ctx context.Context) error {
			if err := s.closeGap(ctx, feed); err != nil {
				return nil //nolint:nilerr // being stopped is how it ends
			}
			return recorder.Run(ctx)
		}},
		role{"audit", s.archiveAudit}, role{"janitor", s.janitor},
		role{"backfill", s.backfill},
		role{"budgets", func(ctx context.Context) error { return s.syncBudgets(ctx, counting, policies) }})
}

// closeGap goes back in the log to where the archive is, when it is behind what its recorder has settled: it was restored from a backup. While
// the database is away it waits: without one there is nothing to record into. Its only error is ctx's.
func (s *system) closeGap(ctx context.Context, feed *nats.Feed) error {
	for said := false; ; said = true {
		err := s.tryCloseGap(ctx, feed)
		if err == nil {
			return nil
		}
		if !said && ctx.Err() == nil {
			s.logger.WarnContext(ctx, "the archive's place in the log is not known yet", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(gapRetry):
		}
	}
}

func (s *system) tryCloseGap(ctx context.Context, feed *nats.Feed) error {
	lag, err := feed.Lag(ctx)
	if err != nil {
		return err
	}
	from, behind, err := s.db.Gap(ctx, lag.Settled)
	if err != nil || !behind {
		return err
	}
	s.logger.WarnContext(ctx, "the archive is behind what was settled with the log, as after a restored backup: recording again from there", "from_seq", from, "settled_seq", lag.Settled)
	return feed.Rewind(ctx, from)
}

// auditStream returns where what was done is put on record. Chains go on behind what the archive has of them.
func (s *system) auditStream() *nats.Audit {
	return nats.NewAudit(s.broker.js, nats.AuditConfig{Archive: postgres.NewAuditLog(s.db), Logger: s.logger})
}

// auditTrail returns where what was done can be read.
func (s *system) auditTrail() *audit.Trail {
	return &audit.Trail{Archive: postgres.NewAuditLog(s.db), Stream: s.auditStream()}
}

// archiveAudit copies what was done, and who looked at students' data, into Postgres until ctx ends.
func (s *system) archiveAudit(ctx context.Context) error {
	done := &audit.Copier[audit.Row]{Name: nats.StreamAudit, Source: s.auditStream(), Sink: postgres.NewAuditLog(s.db), Logger: s.logger}
	seen := &audit.Copier[audit.Access]{
		Name: nats.StreamAccess, Source: nats.NewAccessLog(s.broker.js, s.logger), Sink: postgres.NewAccessLog(s.db), Logger: s.logger,
	}
	return runRoles(ctx, s.logger, role{"audit log", done.Run}, role{"access log", seen.Run})
}

// backfill writes what an older release did not, until ctx ends.
func (s *system) backfill(ctx context.Context) error {
	for {
		wait := backfillEvery
		done, err := s.db.Backfill(ctx)
		switch {
		case err != nil:
			wait = time.Minute
			s.logger.DebugContext(ctx, "what an older release recorded could not be completed yet", "error", err)
		case done.Failures > 0 || done.Entries > 0:
			s.logger.InfoContext(ctx, "completed what an older release recorded", "failures", done.Failures, "ledger_entries", done.Entries)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}
