package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/privacy"
)

// Privacy is what the edge needs of package privacy. *privacy.Service has it; see there for what each method does and returns.
type Privacy interface {
	Export(ctx context.Context, by auth.Principal, userID string, w io.Writer) error
	Erase(ctx context.Context, by auth.Principal, userID string) (privacy.Erasure, error)
	Erasure(ctx context.Context, tenant, userID string) (privacy.Erasure, error)
}

var _ Privacy = (*privacy.Service)(nil)

// ExportUser implements StrictServerInterface. An export that fails before its first byte is an ordinary error; behind that the
// connection breaks off, so that nobody takes a part for the whole.
func (s *Server) ExportUser(ctx context.Context, r ExportUserRequestObject) (ExportUserResponseObject, error) {
	p, reach, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	if reach < auth.Tenant && r.ID != p.UserID {
		return nil, fault.New(fault.NotFound, "there is no user %q", clip(r.ID))
	}
	if r.ID != p.UserID {
		if _, _, err := s.subordinate(ctx, r.ID); err != nil {
			return nil, err
		}
	}
	return exportAnswer(func(w http.ResponseWriter) error {
		out := &download{out: w, control: callOf(ctx).control, name: "export-" + r.ID + ".json"}
		err := s.cfg.Privacy.Export(ctx, p, r.ID, out)
		if err == nil || !out.begun {
			return err
		}
		if !errors.Is(err, context.Canceled) {
			s.logger.ErrorContext(ctx, "an export broke off", "request_id", callOf(ctx).id, "user_id", r.ID, "error", err)
		}
		panic(http.ErrAbortHandler)
	}), nil
}

// exportAnswer writes an export.
type exportAnswer func(w http.ResponseWriter) error

// VisitExportUserResponse implements ExportUserResponseObject.
func (a exportAnswer) VisitExportUserResponse(w http.ResponseWriter) error { return a(w) }

// download writes a file, which may take longer than other answers. Its head follows with the first byte.
type download struct {
	out     http.ResponseWriter
	control *http.ResponseController
	name    string // plain ASCII without quotes
	begun   bool
}

// Write implements io.Writer. Each write has a deadline, so that a client that stopped reading is let go.
func (d *download) Write(p []byte) (int, error) {
	if !d.begun {
		d.begun = true
		d.out.Header().Set("Content-Type", "application/json")
		d.out.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", d.name))
		d.out.WriteHeader(http.StatusOK)
	}
	if err := d.control.SetWriteDeadline(time.Now().Add(frameTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return d.out.Write(p)
}

// DeleteUser implements StrictServerInterface.
func (s *Server) DeleteUser(ctx context.Context, r DeleteUserRequestObject) (DeleteUserResponseObject, error) {
	e, err := s.erase(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return DeleteUser202JSONResponse(success(ctx, e, "the account is closed; the rest is being erased")), nil
}

// EraseUser implements StrictServerInterface.
func (s *Server) EraseUser(ctx context.Context, r EraseUserRequestObject) (EraseUserResponseObject, error) {
	e, err := s.erase(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return EraseUser202JSONResponse(success(ctx, e, "the account is closed; the rest is being erased")), nil
}

func (s *Server) erase(ctx context.Context, id string) (privacy.Erasure, error) {
	p, _, err := s.subordinate(ctx, id)
	if err != nil {
		return privacy.Erasure{}, err
	}
	return s.cfg.Privacy.Erase(ctx, p, id)
}

// GetErasure implements StrictServerInterface.
func (s *Server) GetErasure(ctx context.Context, r GetErasureRequestObject) (GetErasureResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	e, err := s.cfg.Privacy.Erasure(ctx, p.Tenant, r.ID)
	if err != nil {
		return nil, err
	}
	return GetErasure200JSONResponse(success(ctx, e, "ok")), nil
}
