package tasktest

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// Archive answers lists from a Memory's histories. It is never stale.
type Archive struct{ *Memory }

var _ task.Archive = Archive{}

// Get implements task.Archive.
func (a Archive) Get(ctx context.Context, tenant, id string) (task.Task, error) {
	h, err := a.History(ctx, tenant, id, 0, 0)
	if err != nil {
		return task.Task{}, err
	}
	return task.Fold(h)
}

// List implements task.Archive. Its cursor counts the tasks that came before.
func (a Archive) List(_ context.Context, f task.Filter) (task.Page, error) {
	skip := 0
	if f.Cursor != "" {
		var err error
		if skip, err = strconv.Atoi(f.Cursor); err != nil || skip < 0 {
			return task.Page{}, fault.InvalidField("cursor", "is not one of ours")
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	page := task.Page{AsOf: time.Now(), Tasks: []task.Task{}}
	if err := a.away(); err != nil {
		return page, err
	}
	for _, k := range slices.Backward(a.order) {
		t, err := task.Fold(a.histories[k])
		if err != nil || !matches(t, f) {
			continue
		}
		if skip > 0 {
			skip--
			continue
		}
		if len(page.Tasks) == f.Limit && f.Limit > 0 {
			n, _ := strconv.Atoi(f.Cursor)
			page.Next = strconv.Itoa(n + f.Limit)
			break
		}
		t.Input, t.Result = nil, nil
		if t.Failure != nil {
			t.Failure.Raw = nil
		}
		page.Tasks = append(page.Tasks, t)
	}
	return page, nil
}

func matches(t task.Task, f task.Filter) bool {
	for name, value := range f.Labels {
		if t.Labels[name] != value {
			return false
		}
	}
	var cause events.Cause
	var fingerprint string
	if t.Failure != nil {
		cause, fingerprint = t.Failure.Cause, task.Fingerprint(t.Failure.Cause, t.Failure.Error)
	}
	return t.Tenant == f.Tenant &&
		(f.UserID == "" || t.UserID == f.UserID) &&
		(len(f.Kinds) == 0 || slices.Contains(f.Kinds, t.Kind)) &&
		(len(f.States) == 0 || slices.Contains(f.States, t.State)) &&
		(len(f.Causes) == 0 || slices.Contains(f.Causes, cause)) &&
		(f.Fingerprint == "" || fingerprint == f.Fingerprint) &&
		(f.CreatedAfter == nil || t.CreatedAt.After(*f.CreatedAfter)) &&
		(f.CreatedBefore == nil || t.CreatedAt.Before(*f.CreatedBefore)) &&
		(!f.DeadLetters || t.DeadLetter())
}
