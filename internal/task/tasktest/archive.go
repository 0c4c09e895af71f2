package tasktest

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
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

// List implements task.Archive. Its cursor is a place in the order of submission, so that pages stay where they are while tasks
// come and go.
func (a Archive) List(_ context.Context, f task.Filter) (task.Page, error) {
	before := math.MaxInt
	if f.Cursor != "" {
		var err error
		if before, err = strconv.Atoi(f.Cursor); err != nil || before < 0 {
			return task.Page{}, fault.InvalidField("cursor", "is not one of ours")
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	page := task.Page{AsOf: time.Now(), Tasks: []task.Task{}}
	if err := a.away(); err != nil {
		return page, err
	}
	last := 0
	for i, k := range slices.Backward(a.order) {
		if i >= before || k.tenant != f.Tenant || len(f.IDs) > 0 && !slices.Contains(f.IDs, k.id) {
			continue
		}
		t, err := task.Fold(a.histories[k])
		if err != nil || !matches(t, f) {
			continue
		}
		if len(page.Tasks) == f.Limit && f.Limit > 0 {
			page.Next = strconv.Itoa(last)
			break
		}
		last = i
		t.Input, t.Result, t.Refused = nil, nil, nil
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
	var fingerprint, message string
	if t.Failure != nil {
		message = strings.ToLower(t.Failure.Error)
		cause, fingerprint = t.Failure.Cause, task.Fingerprint(t.Failure.Cause, t.Failure.Error)
	}
	return (f.UserID == "" || t.UserID == f.UserID) &&
		(f.Readable == nil || t.UserID == f.Readable.UserID || slices.Contains(f.Readable.IDs, t.ID)) &&
		(len(f.Kinds) == 0 || slices.Contains(f.Kinds, t.Kind)) &&
		(len(f.States) == 0 || slices.Contains(f.States, t.State)) &&
		(len(f.Causes) == 0 || slices.Contains(f.Causes, cause)) &&
		!slices.ContainsFunc(strings.Fields(strings.ToLower(f.Search)), func(word string) bool { return !strings.Contains(message, word) }) &&
		(f.Fingerprint == "" || fingerprint == f.Fingerprint) &&
		(f.CreatedAfter == nil || t.CreatedAt.After(*f.CreatedAfter)) &&
		(f.CreatedBefore == nil || t.CreatedAt.Before(*f.CreatedBefore)) &&
		(!f.DeadLetters || t.DeadLetter())
}
