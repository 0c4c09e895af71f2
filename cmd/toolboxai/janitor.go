package main

import (
	"context"
	"time"

	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/privacy"
	"github.com/toolboxai/orchestrator/internal/schedule"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/nats"
)

// sparing is whose names are kept from models: those of tenants that want it so.
type sparing struct{ *postgres.School }

// Names returns the names of a tenant's people, none where the tenant lets models know them.
func (t sparing) Names(ctx context.Context, tenant string) ([]string, error) {
	found, err := t.Tenant(ctx, tenant)
	if fault.Is(err, fault.NotFound) || err == nil && !found.Settings.Pseudonyms {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return t.School.Names(ctx, tenant)
}

// janitor deletes what users asked to be deleted and what is too old, until ctx ends.
func (s *system) janitor(ctx context.Context) error {
	all, err := kinds()
	if err != nil {
		return err
	}
	catalog, err := task.NewCatalog(all)
	if err != nil {
		return err
	}
	service, err := s.service("/janitor", catalog, s.broker.queue, nil, nil)
	if err != nil {
		return err
	}
	schedules, err := newDocuments[schedule.Schedule](s.broker.js, nats.BucketSchedules, s.logger)
	if err != nil {
		return err
	}
	generations, err := nats.NewGenerations(s.broker.js)
	if err != nil {
		return err
	}
	answers := forgetting{s.cfg, generations, time.Now}
	archive, record := postgres.NewAuditLog(s.db), s.auditStream()
	j, err := privacy.NewJanitor(privacy.JanitorConfig{
		Backlog: s.db, Logger: s.logger, Forget: nats.NewEraser(s.broker.js).Forget,
		Cancel: func(ctx context.Context, tenant, id string) error {
			_, err := service.Cancel(ctx, tenant, id, "janitor", "its user is erased")
			return err
		},
		PurgeAudit: func(ctx context.Context, tenant string, before time.Time) error {
			return audit.Purge(ctx, archive, record, tenant, before)
		},
		EraseElsewhere: func(ctx context.Context, tenant, userID string) error {
			if err := answers.tenant(ctx, tenant); err != nil {
				return err
			}
			return eraseSchedules(ctx, schedules, tenant, userID)
		},
		AgeElsewhere: answers.older,
	})
	if err != nil {
		return err
	}
	return j.Run(ctx)
}

// eraseSchedules deletes the schedules that a user made.
func eraseSchedules(ctx context.Context, schedules documents[schedule.Schedule], tenant, userID string) error {
	list, err := schedules.List(ctx, tenant+".>", schedule.MaxPerTenant)
	if err != nil {
		return err
	}
	for _, one := range list {
		if one.CreatedBy != userID {
			continue
		}
		if err := schedules.Delete(ctx, tenant+"."+one.ID, 0); err != nil {
			return err
		}
	}
	return nil
}
