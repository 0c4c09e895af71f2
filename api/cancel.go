package api

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// Limits of a cancellation by filter.
const (
	defaultCancels = 200
	cancelWorkers  = 16 // tasks of one request that are cancelled at the same time
)

// CancelTasks implements StrictServerInterface.
func (s *Server) CancelTasks(ctx context.Context, r CancelTasksRequestObject) (CancelTasksResponseObject, error) {
	p, reach, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	q := *r.Body
	if q.Max == 0 {
		q.Max = defaultCancels
	}
	f := task.Filter{
		Tenant: p.Tenant, UserID: q.User, Kinds: q.Kinds, States: q.States, Labels: q.Labels, Schedule: q.Schedule, Workflow: q.Workflow,
		CreatedAfter: q.CreatedAfter, CreatedBefore: q.CreatedBefore,
	}
	if len(f.States) == 0 {
		f.States = []task.State{task.Queued, task.Running, task.Retrying, task.Waiting}
	}
	if reach < auth.Tenant {
		if q.User != "" && q.User != p.UserID {
			return nil, fault.New(fault.Forbidden, "the role %s may cancel its own tasks only", p.Role)
		}
		f.UserID = p.UserID
	}
	chosen, more, err := s.choose(ctx, p, f, q.Max)
	if err != nil {
		return nil, err
	}
	report := CancelReport{DryRun: q.DryRun, Matched: len(chosen), More: more, TaskIDs: []string{}}
	if q.DryRun {
		for _, t := range chosen {
			report.TaskIDs = append(report.TaskIDs, t.ID)
		}
		return CancelTasks200JSONResponse(success(ctx, report, "nothing was changed")), nil
	}
	s.cancelAll(ctx, p.UserID, q.Reason, chosen, &report)
	return CancelTasks200JSONResponse(success(ctx, report, "see what became of the chosen tasks")), nil
}

// cancelAll cancels the chosen tasks and counts what became of them.
func (s *Server) cancelAll(ctx context.Context, by, reason string, chosen []task.Task, report *CancelReport) {
	began := time.Now()
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(cancelWorkers)
	for _, t := range chosen {
		group.Go(func() error {
			done, err := s.cfg.Tasks.Cancel(ctx, t.Tenant, t.ID, by, reason)
			mu.Lock()
			defer mu.Unlock()
			switch kind := fault.KindOf(err); {
			case err == nil && done.Cancel.At.Before(began): // the list was behind
				report.Skipped++
			case err == nil:
				report.Cancelled++
				report.TaskIDs = append(report.TaskIDs, t.ID)
			case kind == fault.Conflict || kind == fault.NotFound:
				report.Skipped++
			default:
				report.Failed++
			}
			return nil
		})
	}
	_ = group.Wait() // the report holds what failed
}

// choose returns the first tasks that match and that p may know of, at most limit of them, and whether there are more.
func (s *Server) choose(ctx context.Context, p auth.Principal, f task.Filter, limit int) (chosen []task.Task, more bool, err error) {
	for len(chosen) < limit {
		f.Limit = min(limit-len(chosen), task.MaxPage)
		page, err := s.cfg.Tasks.List(ctx, f)
		if err != nil {
			return nil, false, err
		}
		chosen = append(chosen, withoutPrivate(p, page.Tasks)...)
		if f.Cursor = page.Next; f.Cursor == "" {
			return chosen, false, nil
		}
	}
	return chosen, true, nil
}
