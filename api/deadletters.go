package api

import (
	"context"
	"time"

	"golang.org/x/time/rate"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// Limits and defaults of a replay by filter.
const (
	defaultReplays    = 100
	defaultReplayRate = 10.0             // a second
	replayTime        = 60 * time.Second // what max / rate may come to
	replaySlack       = 15 * time.Second // for the reads and writes themselves
)

// ListDeadLetters implements StrictServerInterface.
func (s *Server) ListDeadLetters(ctx context.Context, r ListDeadLettersRequestObject) (ListDeadLettersResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	q := r.Params
	if err := ownTenant(p, q.Tenant); err != nil {
		return nil, err
	}
	page, err := s.cfg.Tasks.List(ctx, task.Filter{
		Tenant: p.Tenant, DeadLetters: true, Kinds: q.Kind, Causes: q.Cause, Fingerprint: q.Fingerprint,
		CreatedAfter: q.CreatedAfter, CreatedBefore: q.CreatedBefore, Cursor: q.Cursor, Limit: q.Limit,
	})
	if err != nil {
		return nil, err
	}
	for i := range page.Tasks {
		page.Tasks[i] = veiled(p, page.Tasks[i])
	}
	return ListDeadLetters200JSONResponse(success(ctx, taskPage(page), pageMessage(page))), nil
}

func ownTenant(p auth.Principal, tenant string) error {
	if tenant != "" && tenant != p.Tenant {
		return fault.New(fault.Forbidden, "you act in the tenant %s; platform admins name another one in %s", p.Tenant, headerTenant)
	}
	return nil
}

// GetDeadLetter implements StrictServerInterface.
func (s *Server) GetDeadLetter(ctx context.Context, r GetDeadLetterRequestObject) (GetDeadLetterResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	t, err := s.cfg.Tasks.Get(ctx, p.Tenant, r.ID)
	if err != nil {
		return nil, err
	}
	if !t.DeadLetter() {
		return nil, fault.New(fault.NotFound, "task %s is no dead letter", t.ID)
	}
	if err := s.noteAccess(ctx, p, t); err != nil {
		return nil, err
	}
	return GetDeadLetter200JSONResponse(success(ctx, veiled(p, t), "ok")), nil
}

// veiled returns t without what was said in it where it is private and another's: why it failed is an admin's to know, that is not.
func veiled(p auth.Principal, t task.Task) task.Task {
	if t.Private && t.UserID != p.UserID {
		t.Input, t.Result, t.ResultRef, t.Refused, t.Progress = nil, nil, nil, nil, nil
	}
	return t
}

// ReplayDeadLetter implements StrictServerInterface.
func (s *Server) ReplayDeadLetter(ctx context.Context, r ReplayDeadLetterRequestObject) (ReplayDeadLetterResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	req := task.ReplayRequest{By: p.UserID}
	if r.Body != nil {
		req.Reason, req.Input = r.Body.Reason, r.Body.Input
	}
	if p.Scopes != nil {
		dead, err := s.cfg.Tasks.Get(ctx, p.Tenant, r.ID)
		if err == nil {
			err = s.mayDeploy(ctx, dead.Kind)
		}
		if err != nil {
			return nil, err
		}
	}
	t, err := s.cfg.Tasks.Replay(ctx, p.Tenant, r.ID, req)
	s.record(ctx, p, "dead_letter.replayed", r.ID, map[string]bool{"edited": req.Input != nil}, err)
	if err != nil {
		return nil, err
	}
	return ReplayDeadLetter202JSONResponse{
		Body: success(ctx, veiled(p, t), "the task is queued again"), Headers: ReplayDeadLetter202ResponseHeaders{Location: taskURL(t.ID)},
	}, nil
}

// DiscardDeadLetter implements StrictServerInterface.
func (s *Server) DiscardDeadLetter(ctx context.Context, r DiscardDeadLetterRequestObject) (DiscardDeadLetterResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	var reason string
	if r.Body != nil {
		reason = r.Body.Reason
	}
	t, err := s.cfg.Tasks.Discard(ctx, p.Tenant, r.ID, p.UserID, reason)
	s.record(ctx, p, "dead_letter.discarded", r.ID, nil, err)
	if err != nil {
		return nil, err
	}
	return DiscardDeadLetter200JSONResponse(success(ctx, veiled(p, t), "the dead letter is closed")), nil
}

// ReplayDeadLetters implements StrictServerInterface.
func (s *Server) ReplayDeadLetters(ctx context.Context, r ReplayDeadLettersRequestObject) (ReplayDeadLettersResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	q := *r.Body
	if q.Max == 0 {
		q.Max = defaultReplays
	}
	if q.Rate == 0 {
		q.Rate = defaultReplayRate
	}
	if err := ownTenant(p, q.Tenant); err != nil {
		return nil, err
	}
	if took := float64(q.Max) / q.Rate; took > replayTime.Seconds() {
		return nil, fault.InvalidField("rate", "%d replays at %g a second take %.0f s, more than %.0f: raise rate or lower max", q.Max, q.Rate, took, replayTime.Seconds())
	}
	// The client waits longer than the server's limit for reading a request.
	_ = callOf(ctx).control.SetReadDeadline(time.Time{})
	ctx, cancel := context.WithTimeout(ctx, replayTime+replaySlack)
	defer cancel()
	chosen, more, err := s.chooseDeadLetters(ctx, p, q)
	if err != nil {
		return nil, err
	}
	report := ReplayReport{DryRun: q.DryRun, Matched: len(chosen), More: more, Complete: true, Items: []ReplayOutcome{}}
	if q.DryRun {
		for _, t := range chosen {
			report.Items = append(report.Items, ReplayOutcome{TaskID: t.ID, Kind: t.Kind, Outcome: "would_replay"})
		}
		return ReplayDeadLetters200JSONResponse(success(ctx, report, "nothing was changed")), nil
	}
	s.replayAll(ctx, p, q, chosen, &report)
	return ReplayDeadLetters200JSONResponse(success(ctx, report, "see the outcome of each item")), nil
}

// chooseDeadLetters returns those that q matches, at most q.Max, and whether there are more.
func (s *Server) chooseDeadLetters(ctx context.Context, p auth.Principal, q ReplayFilter) (chosen []task.Task, more bool, err error) {
	f := task.Filter{
		Tenant: p.Tenant, DeadLetters: true, Kinds: q.Kinds, Causes: q.Causes, Fingerprint: q.Fingerprint,
		CreatedAfter: q.CreatedAfter, CreatedBefore: q.CreatedBefore,
	}
	for {
		f.Limit = min(q.Max-len(chosen), task.MaxPage)
		page, err := s.cfg.Tasks.List(ctx, f)
		if err != nil {
			return nil, false, err
		}
		chosen = append(chosen, page.Tasks...)
		if page.Next == "" || len(page.Tasks) == 0 || len(chosen) >= q.Max {
			return chosen, page.Next != "", nil
		}
		f.Cursor = page.Next
	}
}

// replayAll replays the chosen ones at the asked rate. It stops when the client is gone, the time is over or the service is
// unavailable, and the report says so.
func (s *Server) replayAll(ctx context.Context, p auth.Principal, q ReplayFilter, chosen []task.Task, report *ReplayReport) {
	limiter := rate.NewLimiter(rate.Limit(q.Rate), 1)
	for _, t := range chosen {
		if limiter.Wait(ctx) != nil {
			report.Complete = false
			return
		}
		err := s.mayDeploy(ctx, t.Kind)
		if err == nil {
			_, err = s.cfg.Tasks.Replay(ctx, p.Tenant, t.ID, task.ReplayRequest{By: p.UserID, Reason: q.Reason})
		}
		out := ReplayOutcome{TaskID: t.ID, Kind: t.Kind, Outcome: "replayed"}
		switch kind := fault.KindOf(err); {
		case err == nil:
			report.Replayed++
		case t.Kind != task.UnknownKind && (kind == fault.Conflict || kind == fault.NotFound):
			report.Skipped++
			out.Outcome, out.Message = "skipped", failureOf(err).message
		default:
			report.Failed++
			out.Outcome, out.Message = "failed", failureOf(err).message
		}
		report.Items = append(report.Items, out)
		if k := fault.KindOf(err); err != nil && (k == fault.Unavailable || k == fault.Timeout || k == fault.Canceled) {
			report.Complete = false
			return
		}
	}
}
