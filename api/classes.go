package api

import (
	"context"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/school"
)

// Classes is the part of Directory for classes and who is in them.
type Classes interface {
	ListClasses(ctx context.Context, by auth.Principal, f school.ClassFilter) (school.ClassPage, error)
	GetClass(ctx context.Context, by auth.Principal, id string) (school.Class, error)
	CreateClass(ctx context.Context, by auth.Principal, name string) (school.Class, error)
	UpdateClass(ctx context.Context, by auth.Principal, id string, version int64, name string) (school.Class, error)
	ArchiveClass(ctx context.Context, by auth.Principal, id string, version int64, archived bool) (school.Class, error)
	ListMembers(ctx context.Context, by auth.Principal, class string) ([]school.Member, error)
	AddMember(ctx context.Context, by auth.Principal, class, userID string) (school.Member, error)
	RemoveMember(ctx context.Context, by auth.Principal, class, userID string) error
}

// ListClasses implements StrictServerInterface.
func (s *Server) ListClasses(ctx context.Context, r ListClassesRequestObject) (ListClassesResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	q := r.Params
	page, err := s.cfg.Directory.ListClasses(ctx, p, school.ClassFilter{CreatedBy: q.CreatedBy, Archived: q.State == "archived", Cursor: q.Cursor, Limit: q.Limit})
	if err != nil {
		return nil, err
	}
	return ListClasses200JSONResponse(success(ctx, ClassPage{Classes: orNone(page.Classes), Next: page.Next}, "ok")), nil
}

// CreateClass implements StrictServerInterface.
func (s *Server) CreateClass(ctx context.Context, r CreateClassRequestObject) (CreateClassResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	made, err := s.cfg.Directory.CreateClass(ctx, p, r.Body.Name)
	if err != nil {
		return nil, err
	}
	return CreateClass201JSONResponse(success(ctx, made, "the class is made")), nil
}

// GetClass implements StrictServerInterface.
func (s *Server) GetClass(ctx context.Context, r GetClassRequestObject) (GetClassResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	found, err := s.cfg.Directory.GetClass(ctx, p, r.ID)
	if err != nil {
		return nil, err
	}
	return GetClass200JSONResponse(success(ctx, found, "ok")), nil
}

// UpdateClass implements StrictServerInterface.
func (s *Server) UpdateClass(ctx context.Context, r UpdateClassRequestObject) (UpdateClassResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	saved, err := s.cfg.Directory.UpdateClass(ctx, p, r.ID, r.Params.Version, r.Body.Name)
	if err != nil {
		return nil, err
	}
	return UpdateClass200JSONResponse(success(ctx, saved, "the class has a new name")), nil
}

// ArchiveClass implements StrictServerInterface.
func (s *Server) ArchiveClass(ctx context.Context, r ArchiveClassRequestObject) (ArchiveClassResponseObject, error) {
	saved, err := s.archive(ctx, r.ID, true)
	if err != nil {
		return nil, err
	}
	return ArchiveClass200JSONResponse(success(ctx, saved, "the class is archived")), nil
}

// ReopenClass implements StrictServerInterface.
func (s *Server) ReopenClass(ctx context.Context, r ReopenClassRequestObject) (ReopenClassResponseObject, error) {
	saved, err := s.archive(ctx, r.ID, false)
	if err != nil {
		return nil, err
	}
	return ReopenClass200JSONResponse(success(ctx, saved, "the class is open")), nil
}

func (s *Server) archive(ctx context.Context, id string, archived bool) (school.Class, error) {
	p, err := principal(ctx)
	if err != nil {
		return school.Class{}, err
	}
	return latest(func() (school.Class, error) {
		was, err := s.cfg.Directory.GetClass(ctx, p, id)
		if err != nil {
			return was, err
		}
		return s.cfg.Directory.ArchiveClass(ctx, p, id, was.Version, archived)
	})
}

// ListMembers implements StrictServerInterface.
func (s *Server) ListMembers(ctx context.Context, r ListMembersRequestObject) (ListMembersResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	all, err := s.cfg.Directory.ListMembers(ctx, p, r.ID)
	if err != nil {
		return nil, err
	}
	return ListMembers200JSONResponse(success(ctx, Members{Members: orNone(all)}, "ok")), nil
}

// AddMember implements StrictServerInterface.
func (s *Server) AddMember(ctx context.Context, r AddMemberRequestObject) (AddMemberResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	added, err := s.cfg.Directory.AddMember(ctx, p, r.ID, r.Body.UserID)
	if err != nil {
		return nil, err
	}
	return AddMember201JSONResponse(success(ctx, added, "is a member")), nil
}

// RemoveMember implements StrictServerInterface.
func (s *Server) RemoveMember(ctx context.Context, r RemoveMemberRequestObject) (RemoveMemberResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Directory.RemoveMember(ctx, p, r.ID, r.User); err != nil {
		return nil, err
	}
	return RemoveMember200JSONResponse(done(ctx, "is no member any more")), nil
}
