package api

import (
	"context"
	"strings"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// SubmitTask implements StrictServerInterface.
func (s *Server) SubmitTask(ctx context.Context, r SubmitTaskRequestObject) (SubmitTaskResponseObject, error) {
	b := r.Body
	return s.submit(ctx, task.Submission{
		Kind: b.Kind, Input: b.Input, Priority: lane(b.Priority), Key: r.Params.IdempotencyKey, Labels: b.Labels, Deadline: b.Deadline,
	})
}

// submit submits for the principal of ctx and answers with what they need to follow the task.
func (s *Server) submit(ctx context.Context, sub task.Submission) (SubmitTaskResponseObject, error) {
	p, err := submitter(ctx)
	if err != nil {
		return nil, err
	}
	sub.Tenant, sub.UserID, sub.TraceParent = p.Tenant, p.UserID, callOf(ctx).trace
	t, created, err := s.cfg.Tasks.Submit(ctx, sub)
	if err != nil {
		return nil, err
	}
	t.Input = nil // up to 256 KiB that the client has just sent
	url := taskURL(t.ID)
	message := "the task is queued"
	if !created {
		message = "an earlier request with this Idempotency-Key made the task"
	}
	answer := success(ctx, Submitted{Task: t, URL: url, EventsURL: url + "/events", Channels: channels(p, t)}, message)
	if !created {
		return SubmitTask200JSONResponse{Body: answer, Headers: SubmitTask200ResponseHeaders{Location: url, IdempotentReplayed: "true"}}, nil
	}
	return SubmitTask202JSONResponse{Body: answer, Headers: SubmitTask202ResponseHeaders{Location: url}}, nil
}

func taskURL(id string) string { return prefix + "/tasks/" + id }

// lane reads a priority that the contract allows.
func lane(priority string) events.Lane {
	switch priority {
	case "urgent", "critical":
		return events.High
	}
	return events.Lane(priority)
}

// channels returns those that carry t's events and that p may join.
func channels(p auth.Principal, t task.Task) []string {
	list := []string{"private-task-" + t.ID}
	if p.UserID == t.UserID {
		list = append(list, "private-user-"+p.UserID)
	}
	if p.CanReadTenant() {
		list = append(list, "private-org-"+p.Tenant)
	}
	return list
}

// ListTasks implements StrictServerInterface.
func (s *Server) ListTasks(ctx context.Context, r ListTasksRequestObject) (ListTasksResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	q := r.Params
	f := task.Filter{
		Tenant: p.Tenant, UserID: q.User, Kinds: q.Kind, States: q.State, CreatedAfter: q.CreatedAfter, CreatedBefore: q.CreatedBefore,
		Cursor: q.Cursor, Limit: q.Limit,
	}
	for _, label := range q.Label {
		if f.Labels == nil {
			f.Labels = map[string]string{}
		}
		name, value, _ := strings.Cut(label, ":")
		if other, twice := f.Labels[name]; twice && other != value {
			return nil, fault.InvalidField("label", "asks for two values of %s; no task has both", clip(name))
		}
		f.Labels[name] = value
	}
	if !p.CanReadTenant() {
		if q.User != "" && q.User != p.UserID {
			return nil, fault.New(fault.Forbidden, "the role %s may list its own tasks only", p.Role)
		}
		f.UserID = p.UserID
	}
	page, err := s.cfg.Tasks.List(ctx, f)
	if err != nil {
		return nil, err
	}
	return ListTasks200JSONResponse(success(ctx, taskPage(page), pageMessage(page))), nil
}

func taskPage(p task.Page) TaskPage {
	if p.Tasks == nil {
		p.Tasks = []task.Task{}
	}
	return TaskPage{Tasks: p.Tasks, Next: p.Next, AsOf: p.AsOf.UTC(), Stale: p.Stale}
}

func pageMessage(p task.Page) string {
	if p.Stale {
		return "the list is behind the log; see as_of"
	}
	return "ok"
}

// GetTask implements StrictServerInterface.
func (s *Server) GetTask(ctx context.Context, r GetTaskRequestObject) (GetTaskResponseObject, error) {
	_, t, err := s.readable(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return GetTask200JSONResponse(success(ctx, t, "ok")), nil
}

// readable returns a task that the principal of ctx may read. One that they may not read does not exist for them.
func (s *Server) readable(ctx context.Context, id string) (auth.Principal, task.Task, error) {
	p, err := principal(ctx)
	if err != nil {
		return p, task.Task{}, err
	}
	t, err := s.cfg.Tasks.Get(ctx, p.Tenant, id)
	if err == nil && !p.CanRead(t.UserID) {
		err = fault.New(fault.NotFound, "there is no task %q", clip(id))
	}
	if err != nil {
		return p, task.Task{}, err
	}
	return p, t, nil
}

// CancelTask implements StrictServerInterface.
func (s *Server) CancelTask(ctx context.Context, r CancelTaskRequestObject) (CancelTaskResponseObject, error) {
	p, t, err := s.readable(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	if !p.CanCancel(t.UserID) {
		return nil, fault.New(fault.Forbidden, "only an admin and the teacher who submitted the task may cancel it")
	}
	t, err = s.cfg.Tasks.Cancel(ctx, p.Tenant, t.ID, p.UserID, r.Params.Reason)
	if err != nil {
		return nil, err
	}
	return CancelTask200JSONResponse(success(ctx, t, "the task is cancelled")), nil
}
