package task

import (
	"context"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Get returns a task as the log tells it now, or from the archive when the log has aged out. A large result is fetched from where
// it is kept; where that cannot be done, the task comes with ResultRef in place of Result. NotFound when the tenant has no such task.
func (s *Service) Get(ctx context.Context, tenant, id string) (Task, error) {
	if !validID(tenant, id) {
		return Task{}, notFound(id)
	}
	t, _, err := s.read(ctx, tenant, id)
	if err != nil {
		return Task{}, wrap(id, err)
	}
	s.addProgress(ctx, &t)
	s.addResult(ctx, &t)
	return t, nil
}

// addResult puts a large result in the place of its reference.
func (s *Service) addResult(ctx context.Context, t *Task) {
	if t.ResultRef == nil || s.Blobs == nil {
		return
	}
	data, err := s.Blobs.Get(ctx, *t.ResultRef)
	if err != nil {
		s.Logger.WarnContext(ctx, "large result not at hand", "task_id", t.ID, "tenant", t.Tenant, "key", t.ResultRef.Key, "error", err)
		return
	}
	t.Result, t.ResultRef = data, nil
}

// read folds a task's history from the log. What the log has dropped, the archive tells. after is what the next event is to
// follow: the task's last sequence, or 0 when nothing of it is on the log any more.
func (s *Service) read(ctx context.Context, tenant, id string) (t Task, after uint64, err error) {
	history, err := s.Log.History(ctx, tenant, id, 0, 0)
	switch {
	case fault.Is(err, fault.NotFound):
	case err != nil:
		return Task{}, 0, err
	case begins(history):
		t, err = Fold(history)
		return t, t.Seq, err
	default:
		after = history[len(history)-1].Seq
	}
	if t, err = s.Archive.Get(ctx, tenant, id); err != nil {
		return Task{}, 0, err
	}
	for _, e := range history {
		if e.Seq <= t.Seq {
			continue
		}
		if err := t.Apply(e); err != nil {
			return Task{}, 0, err
		}
	}
	return t, after, nil
}

// begins reports whether a history has its beginning.
func begins(history []events.Event) bool {
	switch history[0].Type {
	case events.TypeQueued:
		q, err := events.DataAs[events.Queued](history[0])
		return err != nil || q.Dispatch == 1
	case events.TypeFailed:
		f, err := events.DataAs[events.Failed](history[0])
		return err != nil || f.Cause == events.CauseUndecodable
	}
	return false
}

// addProgress shows the last report of the running attempt. Without one the task is shown as it is.
func (s *Service) addProgress(ctx context.Context, t *Task) {
	switch t.State {
	case Completed:
		t.Progress = &Progress{Percent: 100}
	case Running:
		e, err := s.Progress.Latest(ctx, t.Tenant, t.ID)
		if err != nil {
			return
		}
		old := t.StartedAt != nil && e.Time.Before(*t.StartedAt) // an earlier dispatch's, which had an attempt of this number too
		if p, err := events.DataAs[events.Progress](e); err == nil && p.Attempt == t.Attempt && !old {
			t.Progress = &Progress{Percent: p.Percent, Step: p.Step, Message: p.Message}
		}
	}
}

// History returns a task's events after the given sequence, oldest first, at most limit (0: all). What the log has dropped comes
// from the archive, with its delay.
func (s *Service) History(ctx context.Context, tenant, id string, after uint64, limit int) ([]events.Event, error) {
	if !validID(tenant, id) {
		return nil, notFound(id)
	}
	history, err := s.Log.History(ctx, tenant, id, after, limit)
	if fault.Is(err, fault.NotFound) || err == nil && after == 0 && len(history) > 0 && !begins(history) {
		history, err = s.Archive.History(ctx, tenant, id, after, limit)
	}
	return history, wrap(id, err)
}

// Follow delivers a task's events as Log.Follow does, and its text as ProgressBoard.Text does. A step comes behind the text that it has
// on record, as far as there is any. NotFound when the task is not on the log.
func (s *Service) Follow(ctx context.Context, tenant, id string, after uint64) (<-chan events.Event, error) {
	if !validID(tenant, id) {
		return nil, notFound(id)
	}
	if _, err := s.Log.Last(ctx, tenant, id); err != nil {
		return nil, wrap(id, err)
	}
	return s.follow(ctx, tenant, id, after)
}

// List returns a page of the tenant's tasks, newest first. Kinds may be aliases.
func (s *Service) List(ctx context.Context, f Filter) (Page, error) {
	if f.Limit == 0 {
		f.Limit = DefaultPage
	}
	if f.Limit < 1 || f.Limit > MaxPage {
		return Page{}, fault.InvalidField("limit", "is %d, must be 1 to %d", f.Limit, MaxPage)
	}
	kinds, err := s.Catalog.ResolveAll(f.Kinds)
	if err != nil {
		return Page{}, err
	}
	f.Kinds = kinds
	return s.Archive.List(ctx, f)
}

func validID(tenant, id string) bool {
	return events.CheckToken("tenant", tenant) == nil && events.CheckToken("task", id) == nil
}

func notFound(id string) error { return fault.New(fault.NotFound, "there is no task %q", clip(id)) }

func wrap(id string, err error) error {
	if fault.Is(err, fault.NotFound) {
		return notFound(id)
	}
	return err
}
