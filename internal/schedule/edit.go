package schedule

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// Update replaces the definition of a schedule. revision is the Schedule.Revision that the editor has seen: Conflict when it was
// edited since; 0 overwrites whatever is there. Ticks before now are not made up for under a changed cron, interval, zone or start.
func (s *Service) Update(ctx context.Context, tenant, id, by string, revision int, d Definition) (Schedule, error) {
	now := s.now()
	if err := d.validate(tenant, s.Checker, now); err != nil {
		return Schedule{}, err
	}
	return s.edit(ctx, tenant, id, by, "schedule.updated", d, func(doc *Schedule) error {
		if revision != 0 && revision != doc.Revision {
			return fault.New(fault.Conflict, "schedule %s was edited by %s meanwhile: it has revision %d", id, doc.UpdatedBy, doc.Revision)
		}
		old := doc.Definition
		doc.Definition = d
		if retimed(old, d) {
			doc.skipTo(now)
			doc.State.Pending = nil
			if d.Every != old.Every {
				doc.State.Anchor = now.Truncate(time.Second)
			}
		}
		if d.Overlap != Queue {
			doc.State.Pending = nil
		}
		return nil
	})
}

// retimed reports whether b ticks at other times than a.
func retimed(a, b Definition) bool {
	start := (a.StartAt == nil) == (b.StartAt == nil) && (a.StartAt == nil || a.StartAt.Equal(*b.StartAt))
	return a.Cron != b.Cron || a.Every != b.Every || a.TimeZone != b.TimeZone || !start
}

// skipTo takes all ticks up to now as decided.
func (s *Schedule) skipTo(now time.Time) {
	if now.After(s.State.Through) {
		s.State.Through = now
	}
}

// Pause stops a schedule until Resume. What runs goes on. One that is paused already keeps who paused it first.
func (s *Service) Pause(ctx context.Context, tenant, id, by, reason string) (Schedule, error) {
	return s.edit(ctx, tenant, id, by, "schedule.paused", reason, func(doc *Schedule) error {
		if doc.Paused == nil {
			doc.Paused = &Pause{By: by, Since: s.now(), Reason: bounded(reason)}
		}
		return nil
	})
}

// Resume lets a paused schedule tick from now on. One that is not paused is returned as it is.
func (s *Service) Resume(ctx context.Context, tenant, id, by string) (Schedule, error) {
	return s.edit(ctx, tenant, id, by, "schedule.resumed", nil, func(doc *Schedule) error {
		if doc.Paused != nil {
			doc.Paused = nil
			doc.skipTo(s.now())
		}
		return nil
	})
}

// edit changes a document, anew when a tick was saved meanwhile.
func (s *Service) edit(ctx context.Context, tenant, id, by, action string, detail any, change func(*Schedule) error) (Schedule, error) {
	for range maxRaces {
		doc, rev, err := s.read(ctx, tenant, id)
		if err != nil {
			return Schedule{}, err
		}
		if err := change(&doc); err != nil {
			return Schedule{}, err
		}
		doc.Revision++
		doc.UpdatedBy, doc.UpdatedAt = by, s.now()
		if err := s.show(&doc); err != nil {
			return Schedule{}, err
		}
		_, err = s.Documents.Put(ctx, doc.documentKey(), doc, rev)
		if fault.Is(err, fault.Conflict) {
			continue
		}
		if err != nil {
			return Schedule{}, fmt.Errorf("write schedule %s: %w", id, err)
		}
		s.audit(ctx, doc, by, action, detail)
		return doc, nil
	}
	return Schedule{}, fault.After(time.Second, "schedule %s changes too fast to edit it; try again", id)
}

// Delete removes a schedule for good. Its runs go on. NotFound when it is not there.
func (s *Service) Delete(ctx context.Context, tenant, id, by string) error {
	doc, _, err := s.read(ctx, tenant, id)
	if err != nil {
		return err
	}
	if err := s.Documents.Delete(ctx, doc.documentKey(), 0); err != nil {
		return fmt.Errorf("delete schedule %s: %w", id, err)
	}
	s.audit(ctx, doc, by, "schedule.deleted", doc.Definition)
	return nil
}

// Trigger submits a run now, whatever the schedule's ticks, pause and overlap say, and returns its task's id. Where key is not empty,
// the same key gives the same run again.
//
// Errors: as task.Service.Submit, NotFound.
func (s *Service) Trigger(ctx context.Context, tenant, id, by, key string) (string, error) {
	doc, _, err := s.read(ctx, tenant, id)
	if err != nil {
		return "", err
	}
	if key == "" {
		key = uuid.NewString()
	}
	if len(key) > maxTriggerKey {
		return "", fault.InvalidField("Idempotency-Key", "has %d bytes, at most %d are allowed here", len(key), maxTriggerKey)
	}
	sub := doc.submission(KeyPrefix + id + ":manual:" + key)
	run, fresh, err := s.Tasks.Submit(ctx, sub)
	if fault.Is(err, fault.Conflict) { // the key's run is there: it had other times, or an earlier definition
		return task.KeyedID(tenant, sub.Key), nil
	}
	if err != nil {
		return "", fmt.Errorf("trigger schedule %s: %w", id, err)
	}
	if fresh {
		s.triggered(ctx, doc, by, run.ID)
	}
	return run.ID, nil
}

const maxTriggerKey = 128

// triggered shows the run in the schedule's history. The run is on record already: where this fails, the dispatcher's board knows
// of it.
func (s *Service) triggered(ctx context.Context, doc Schedule, by, run string) {
	r := Tick{At: s.now(), TaskID: run, Outcome: Submitted, By: by}
	for range maxRaces {
		now, rev, err := s.read(ctx, doc.Tenant, doc.ID)
		if err != nil {
			break
		}
		now.record(r, r.At)
		if _, err = s.Documents.Put(ctx, doc.documentKey(), now, rev); !fault.Is(err, fault.Conflict) {
			break
		}
	}
	s.audit(ctx, doc, by, "schedule.triggered", map[string]string{"task_id": run})
}
