package api

import (
	"context"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/school"
)

// Shares is the part of Directory for what classes may read.
type Shares interface {
	ListShares(ctx context.Context, by auth.Principal, f school.ShareFilter) (school.SharePage, error)
	Share(ctx context.Context, by auth.Principal, class, task string) (school.Share, error)
	Unshare(ctx context.Context, by auth.Principal, class, task string) error
}

// ListShares implements StrictServerInterface.
func (s *Server) ListShares(ctx context.Context, r ListSharesRequestObject) (ListSharesResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	page, err := s.cfg.Directory.ListShares(ctx, p, school.ShareFilter{Class: r.ID, Cursor: r.Params.Cursor, Limit: r.Params.Limit})
	if err != nil {
		return nil, err
	}
	return ListShares200JSONResponse(success(ctx, SharePage{Shares: orNone(page.Shares), Next: page.Next}, "ok")), nil
}

// ShareTask implements StrictServerInterface. Whose class it is, the directory knows; whose task, the log.
func (s *Server) ShareTask(ctx context.Context, r ShareTaskRequestObject) (ShareTaskResponseObject, error) {
	p, reach, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	t, err := s.cfg.Tasks.Get(ctx, p.Tenant, r.Body.TaskID)
	if err != nil {
		return nil, err
	}
	if reach < auth.Tenant && t.UserID != p.UserID {
		return nil, fault.New(fault.Forbidden, "only an admin and who submitted the task may share it")
	}
	made, err := s.cfg.Directory.Share(ctx, p, r.ID, t.ID)
	if err != nil {
		return nil, err
	}
	return ShareTask201JSONResponse(success(ctx, made, "the class may read the task")), nil
}

// UnshareTask implements StrictServerInterface.
func (s *Server) UnshareTask(ctx context.Context, r UnshareTaskRequestObject) (UnshareTaskResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Directory.Unshare(ctx, p, r.ID, r.Task); err != nil {
		return nil, err
	}
	return UnshareTask200JSONResponse(done(ctx, "the class may not read the task any more")), nil
}
