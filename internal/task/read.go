package task

import (
	"context"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Get returns a task as the log tells it now, or from the archive when the log has aged out. NotFound when the tenant has
// no such task.
func (s *Service) Get(ctx context.Context, tenant, id string) (Task, error) {
	if !validID(tenant, id) {
		return Task{}, notFound(id)
	}
	t, _, err := s.read(ctx, tenant, id)
	if err != nil {
		return Task{}, wrap(id, err)
	}
	s.addProgress(ctx, &t)
	return t, nil
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
		if p, err := events.DataAs[events.Progress](e); err == nil && p.Attempt == t.Attempt {
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

// Follow delivers a task's events as Log.Follow does. NotFound when the task is not on the log.
func (s *Service) Follow(ctx context.Context, tenant, id string, after uint64) (<-chan events.Event, error) {
	if !validID(tenant, id) {
		return nil, notFound(id)
	}
	if _, err := s.Log.Last(ctx, tenant, id); err != nil {
		return nil, wrap(id, err)
	}
	return s.Log.Follow(ctx, tenant, id, after)
}

// List returns a page of the tenant's tasks, newest first. Kinds may be aliases.
func (s *Service) List(ctx context.Context, f Filter) (Page, error) {
	if f.Limit == 0 {
		f.Limit = DefaultPage
	}
	if f.Limit < 1 || f.Limit > MaxPage {
		return Page{}, fault.InvalidField("limit", "is %d, must be 1 to %d", f.Limit, MaxPage)
	}
	for i, name := range f.Kinds {
		if name == UnknownKind {
			continue
		}
		kind, err := s.Catalog.Resolve(name)
		if err != nil {
			return Page{}, err
		}
		f.Kinds[i] = kind.Name
	}
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
