package api

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/chat"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/limit"
	"github.com/toolboxai/orchestrator/internal/schedule"
	"github.com/toolboxai/orchestrator/internal/task"
)

// SubmitTask implements StrictServerInterface.
func (s *Server) SubmitTask(ctx context.Context, r SubmitTaskRequestObject) (SubmitTaskResponseObject, error) {
	b := r.Body
	sub := task.Submission{
		Kind: b.Kind, Input: b.Input, Priority: lane(b.Priority), Key: r.Params.IdempotencyKey, Labels: b.Labels, Deadline: b.Deadline,
		Timeout: inSeconds(b.TimeoutSeconds), Cost: b.Cost, CallbackURL: b.CallbackURL, NoCache: declines(b.Cache),
	}
	if err := setTimes(&sub, b.RunAt, b.DelaySeconds, b.QueueTTLSeconds); err != nil {
		return nil, err
	}
	return s.submit(ctx, sub)
}

// declines reports whether a caller wants nothing from a cache.
func declines(cache *bool) bool { return cache != nil && !*cache }

func inSeconds(n int) time.Duration { return time.Duration(n) * time.Second }

// setTimes turns what a caller says about when a task may begin into points in time, and notes what they follow from: a request that is
// repeated with the same key is the same request, whenever that is.
func setTimes(sub *task.Submission, runAt *time.Time, delay, queueTTL int) error {
	if runAt != nil && delay > 0 {
		return fault.InvalidField("delay_seconds", "cannot be given together with run_at")
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	sub.RunAt, sub.Delay, sub.QueueTTL = runAt, inSeconds(delay), inSeconds(queueTTL)
	if delay > 0 {
		at := now.Add(inSeconds(delay))
		sub.RunAt = &at
	}
	if queueTTL > 0 {
		from := now
		if sub.RunAt != nil && sub.RunAt.After(now) {
			from = *sub.RunAt
		}
		at := from.Add(inSeconds(queueTTL))
		sub.ExpiresAt = &at
	}
	return nil
}

// submit submits for the principal of ctx and answers with what they need to follow the task.
func (s *Server) submit(ctx context.Context, sub task.Submission) (SubmitTaskResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkKey(sub.Key); err != nil {
		return nil, err
	}
	if err := s.admitKind(ctx, sub.Kind); err != nil {
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

// admitKind refuses what an API key may not submit, and counts the submission: the guard has done that where the route names the kind.
func (s *Server) admitKind(ctx context.Context, name string) error {
	if err := s.mayDeploy(ctx, name); err != nil {
		return err
	}
	if op := callOf(ctx).operation; op == nil || op.kind != "" {
		return nil
	}
	_, err := s.limitClass(ctx, limit.ClassOf(s.resolved(name)), 1)
	return err
}

// resolved returns the kind that name or alias stands for, and name itself where there is none: the service refuses it.
func (s *Server) resolved(name string) string {
	if k, err := s.cfg.Catalog.Resolve(name); err == nil {
		return k.Name
	}
	return name
}

// mayDeploy refuses an API key that lacks what a kind, or the one that an alias stands for, needs beside the scope of the operation: to submit
// it now, later or once more, or to have it go on.
func (s *Server) mayDeploy(ctx context.Context, name string) error {
	p, kind := callOf(ctx).principal, s.resolved(name)
	if needs := kindScope(kind); needs != "" && p != nil && p.Scopes != nil && !slices.Contains(p.Scopes, needs) {
		return fault.New(fault.Forbidden, "to submit %s the API key needs the scope %s", kind, needs)
	}
	return nil
}

// checkKey refuses the keys that schedules and chats use: whoever took one would keep a tick from making its run, or a message from being
// answered.
func checkKey(key string) error {
	for _, own := range []string{schedule.KeyPrefix, chat.KeyPrefix} {
		if strings.HasPrefix(key, own) {
			return fault.InvalidField("Idempotency-Key", "may not begin with %s", own)
		}
	}
	return nil
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
	p, reach, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	q := r.Params
	f := task.Filter{
		Tenant: p.Tenant, UserID: q.User, Kinds: q.Kind, States: q.State, Schedule: q.Schedule, Workflow: q.Workflow,
		CreatedAfter: q.CreatedAfter, CreatedBefore: q.CreatedBefore, Cursor: q.Cursor, Limit: q.Limit,
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
	if reach < auth.Tenant {
		if q.User != "" && q.User != p.UserID {
			return nil, fault.New(fault.Forbidden, "the role %s may list its own tasks and what is shared with it", p.Role)
		}
		if err := s.narrow(ctx, p, reach, &f); err != nil {
			return nil, err
		}
	}
	page, err := s.cfg.Tasks.List(ctx, f)
	if err != nil {
		return nil, err
	}
	page.Tasks = withoutPrivate(p, page.Tasks)
	return ListTasks200JSONResponse(success(ctx, taskPage(page), pageMessage(page))), nil
}

// withoutPrivate leaves out tasks that are for others alone: for p they are not there.
func withoutPrivate(p auth.Principal, tasks []task.Task) []task.Task {
	return slices.DeleteFunc(tasks, func(t task.Task) bool { return t.Private && t.UserID != p.UserID })
}

// narrow leaves of f what p may list who does not reach the whole tenant: with a user their own tasks, without one also what is shared.
func (s *Server) narrow(ctx context.Context, p auth.Principal, reach auth.Reach, f *task.Filter) error {
	if f.UserID != "" || reach < auth.Shared {
		f.UserID = p.UserID
		return nil
	}
	shared, err := s.cfg.Sharing.SharedTasks(ctx, p)
	if err != nil {
		return err
	}
	f.Readable = &task.Readable{UserID: p.UserID, IDs: shared}
	return nil
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
	p, t, err := s.readable(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	if !p.CanReadTenant() {
		t.Refused = nil // it was found unfit for a class, for one thing
	}
	return GetTask200JSONResponse(success(ctx, t, "ok")), nil
}

// ExplainTask implements StrictServerInterface.
func (s *Server) ExplainTask(ctx context.Context, r ExplainTaskRequestObject) (ExplainTaskResponseObject, error) {
	p, t, err := s.readable(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	x, err := s.cfg.Tasks.Explain(ctx, p.Tenant, t.ID)
	if err != nil {
		return nil, err
	}
	return ExplainTask200JSONResponse(success(ctx, x, x.Message)), nil
}

// CancelTask implements StrictServerInterface.
func (s *Server) CancelTask(ctx context.Context, r CancelTaskRequestObject) (CancelTaskResponseObject, error) {
	p, t, err := s.changeable(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	t, err = s.cfg.Tasks.Cancel(ctx, p.Tenant, t.ID, p.UserID, r.Params.Reason)
	if err != nil {
		return nil, err
	}
	return CancelTask200JSONResponse(success(ctx, t, "the task is cancelled")), nil
}

// SignalTask implements StrictServerInterface.
func (s *Server) SignalTask(ctx context.Context, r SignalTaskRequestObject) (SignalTaskResponseObject, error) {
	p, t, err := s.changeable(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	if err := s.mayDeploy(ctx, t.Kind); err != nil {
		return nil, err
	}
	var data []byte
	if r.Body != nil {
		data = r.Body.Data
	}
	if t, err = s.cfg.Tasks.Signal(ctx, p.Tenant, t.ID, r.Name, data, p.UserID); err != nil {
		return nil, err
	}
	return SignalTask202JSONResponse(success(ctx, t, "the signal is on record")), nil
}

// changeable returns a task that the caller reaches to change it.
func (s *Server) changeable(ctx context.Context, id string) (auth.Principal, task.Task, error) {
	p, reach, err := caller(ctx)
	if err != nil {
		return p, task.Task{}, err
	}
	t, err := s.cfg.Tasks.Get(ctx, p.Tenant, id)
	if err != nil {
		return p, task.Task{}, err
	}
	if t.Private && t.UserID != p.UserID {
		return p, task.Task{}, fault.New(fault.NotFound, "there is no task %q", clip(id))
	}
	if reach < auth.Tenant && t.UserID != p.UserID { // whoever may change some may read all: it is no secret that there is this one
		return p, task.Task{}, fault.New(fault.Forbidden, "only an admin and the teacher who submitted the task may do this to it")
	}
	return p, t, nil
}
