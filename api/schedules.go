package api

import (
	"context"
	"time"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/schedule"
)

// ScheduleBook is what the edge needs of package schedule. *schedule.Service has it; see there for what each method does and returns.
type ScheduleBook interface {
	Create(ctx context.Context, tenant, by, key string, d schedule.Definition) (schedule.Schedule, bool, error)
	Get(ctx context.Context, tenant, id string) (schedule.Schedule, error)
	List(ctx context.Context, tenant string) ([]schedule.Schedule, error)
	Update(ctx context.Context, tenant, id, by string, revision int, d schedule.Definition) (schedule.Schedule, error)
	Pause(ctx context.Context, tenant, id, by, reason string) (schedule.Schedule, error)
	Resume(ctx context.Context, tenant, id, by string) (schedule.Schedule, error)
	Delete(ctx context.Context, tenant, id, by string) error
	Trigger(ctx context.Context, tenant, id, by, key string) (string, error)
	Preview(ctx context.Context, tenant string, d schedule.Definition, n int) ([]time.Time, error)
	Upcoming(ctx context.Context, tenant, id string, n int) ([]time.Time, error)
}

var _ ScheduleBook = (*schedule.Service)(nil)

// defaultTicks is how many ticks are shown where nobody says.
const defaultTicks = 10

// ListSchedules implements StrictServerInterface.
func (s *Server) ListSchedules(ctx context.Context, _ ListSchedulesRequestObject) (ListSchedulesResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	all, err := s.cfg.Schedules.List(ctx, p.Tenant)
	if err != nil {
		return nil, err
	}
	return ListSchedules200JSONResponse(success(ctx, Schedules{Schedules: orNone(all)}, "ok")), nil
}

// CreateSchedule implements StrictServerInterface.
func (s *Server) CreateSchedule(ctx context.Context, r CreateScheduleRequestObject) (CreateScheduleResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.mayDeploy(ctx, r.Body.Kind); err != nil {
		return nil, err
	}
	made, created, err := s.cfg.Schedules.Create(ctx, p.Tenant, p.UserID, r.Params.IdempotencyKey, *r.Body)
	if err != nil {
		return nil, err
	}
	if !created {
		return CreateSchedule200JSONResponse(success(ctx, made, "an earlier request with this Idempotency-Key made the schedule")), nil
	}
	return CreateSchedule201JSONResponse(success(ctx, made, "the schedule ticks from now on")), nil
}

// PreviewSchedule implements StrictServerInterface.
func (s *Server) PreviewSchedule(ctx context.Context, r PreviewScheduleRequestObject) (PreviewScheduleResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	ticks, err := s.cfg.Schedules.Preview(ctx, p.Tenant, *r.Body, orTen(r.Params.Count))
	if err != nil {
		return nil, err
	}
	return PreviewSchedule200JSONResponse(success(ctx, Ticks{Ticks: orNone(ticks)}, "ok")), nil
}

func orTen(count int) int {
	if count == 0 {
		return defaultTicks
	}
	return count
}

// GetSchedule implements StrictServerInterface.
func (s *Server) GetSchedule(ctx context.Context, r GetScheduleRequestObject) (GetScheduleResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	found, err := s.cfg.Schedules.Get(ctx, p.Tenant, r.ID)
	if err != nil {
		return nil, err
	}
	return GetSchedule200JSONResponse(success(ctx, found, "ok")), nil
}

// UpdateSchedule implements StrictServerInterface.
func (s *Server) UpdateSchedule(ctx context.Context, r UpdateScheduleRequestObject) (UpdateScheduleResponseObject, error) {
	p, found, err := s.scheduler(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	for _, kind := range []string{found.Kind, r.Body.Kind} {
		if err := s.mayDeploy(ctx, kind); err != nil {
			return nil, err
		}
	}
	saved, err := s.cfg.Schedules.Update(ctx, p.Tenant, r.ID, p.UserID, r.Params.Revision, *r.Body)
	if err != nil {
		return nil, err
	}
	return UpdateSchedule200JSONResponse(success(ctx, saved, "the new definition holds")), nil
}

// scheduler returns who is asking and the schedule, or Forbidden when they do not reach it: it runs in the name of who created it.
func (s *Server) scheduler(ctx context.Context, id string) (auth.Principal, schedule.Schedule, error) {
	p, reach, err := caller(ctx)
	if err != nil {
		return p, schedule.Schedule{}, err
	}
	found, err := s.cfg.Schedules.Get(ctx, p.Tenant, id)
	if err != nil {
		return p, found, err
	}
	if reach < auth.Tenant && found.CreatedBy != p.UserID {
		return p, found, fault.New(fault.Forbidden, "only an admin and the teacher who created the schedule may change it")
	}
	return p, found, nil
}

// runner is scheduler for who has the schedule make runs.
func (s *Server) runner(ctx context.Context, id string) (auth.Principal, error) {
	p, found, err := s.scheduler(ctx, id)
	if err != nil {
		return p, err
	}
	return p, s.mayDeploy(ctx, found.Kind)
}

// DeleteSchedule implements StrictServerInterface.
func (s *Server) DeleteSchedule(ctx context.Context, r DeleteScheduleRequestObject) (DeleteScheduleResponseObject, error) {
	p, old, err := s.scheduler(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Schedules.Delete(ctx, p.Tenant, r.ID, p.UserID); err != nil {
		return nil, err
	}
	return DeleteSchedule200JSONResponse(success(ctx, old, "the schedule is deleted")), nil
}

// ListTicks implements StrictServerInterface.
func (s *Server) ListTicks(ctx context.Context, r ListTicksRequestObject) (ListTicksResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	ticks, err := s.cfg.Schedules.Upcoming(ctx, p.Tenant, r.ID, orTen(r.Params.Count))
	if err != nil {
		return nil, err
	}
	return ListTicks200JSONResponse(success(ctx, Ticks{Ticks: orNone(ticks)}, "ok")), nil
}

// PauseSchedule implements StrictServerInterface.
func (s *Server) PauseSchedule(ctx context.Context, r PauseScheduleRequestObject) (PauseScheduleResponseObject, error) {
	p, _, err := s.scheduler(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	reason := ""
	if r.Body != nil {
		reason = r.Body.Reason
	}
	saved, err := s.cfg.Schedules.Pause(ctx, p.Tenant, r.ID, p.UserID, reason)
	if err != nil {
		return nil, err
	}
	return PauseSchedule200JSONResponse(success(ctx, saved, "the schedule makes no runs until it is resumed")), nil
}

// ResumeSchedule implements StrictServerInterface.
func (s *Server) ResumeSchedule(ctx context.Context, r ResumeScheduleRequestObject) (ResumeScheduleResponseObject, error) {
	p, err := s.runner(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	saved, err := s.cfg.Schedules.Resume(ctx, p.Tenant, r.ID, p.UserID)
	if err != nil {
		return nil, err
	}
	return ResumeSchedule200JSONResponse(success(ctx, saved, "the schedule ticks again")), nil
}

// TriggerSchedule implements StrictServerInterface.
func (s *Server) TriggerSchedule(ctx context.Context, r TriggerScheduleRequestObject) (TriggerScheduleResponseObject, error) {
	p, err := s.runner(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	id, err := s.cfg.Schedules.Trigger(ctx, p.Tenant, r.ID, p.UserID, r.Params.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	return TriggerSchedule200JSONResponse(success(ctx, Triggered{TaskID: id, URL: taskURL(id)}, "the task is queued")), nil
}
