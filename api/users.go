package api

import (
	"context"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/school"
)

// Directory is what the edge needs of package school. *school.Service has it; see there for what each method does and returns, and for
// what it decides beyond the access table.
type Directory interface {
	People
	Tenants
	Classes
	Shares
}

// People is the part of Directory for a tenant's people.
type People interface {
	ListUsers(ctx context.Context, by auth.Principal, f school.UserFilter) (school.UserPage, error)
	GetUser(ctx context.Context, by auth.Principal, id string) (account.User, error)
	CreateUser(ctx context.Context, by auth.Principal, spec school.UserSpec) (school.Created, error)
	UpdateUser(ctx context.Context, by auth.Principal, id string, version int64, change school.UserChange) (account.User, error)
	SetUserState(ctx context.Context, by auth.Principal, id string, version int64, state string) (account.User, error)
	ListGuardians(ctx context.Context, by auth.Principal, parent, child string) ([]school.Guardian, error)
	AddGuardian(ctx context.Context, by auth.Principal, parent, child string) (school.Guardian, error)
	RemoveGuardian(ctx context.Context, by auth.Principal, parent, child string) error
}

var _ Directory = (*school.Service)(nil)

// Invite implements StrictServerInterface.
func (s *Server) Invite(ctx context.Context, r InviteRequestObject) (InviteResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	b := r.Body
	made, err := s.cfg.Accounts.Invite(ctx, p, account.InviteSpec{Email: b.Email, Name: b.Name, Role: b.Role, Class: b.Class})
	if err != nil {
		return nil, err
	}
	return Invite201JSONResponse(success(ctx, made, "the invitation is on its way")), nil
}

// ListUsers implements StrictServerInterface.
func (s *Server) ListUsers(ctx context.Context, r ListUsersRequestObject) (ListUsersResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	q := r.Params
	page, err := s.cfg.Directory.ListUsers(ctx, p, school.UserFilter{
		Role: q.Role, State: q.State, Search: q.Search, Class: q.Class, Cursor: q.Cursor, Limit: q.Limit,
	})
	if err != nil {
		return nil, err
	}
	return ListUsers200JSONResponse(success(ctx, UserPage{Users: orNone(page.Users), Next: page.Next}, "ok")), nil
}

// CreateUser implements StrictServerInterface.
func (s *Server) CreateUser(ctx context.Context, r CreateUserRequestObject) (CreateUserResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	b := r.Body
	made, err := s.cfg.Directory.CreateUser(ctx, p, school.UserSpec{
		Username: b.Username, Email: b.Email, Name: b.Name, Role: b.Role, TemporaryPassword: b.TemporaryPassword,
	})
	if err != nil {
		return nil, err
	}
	message := "the account is made; its temporary password is not shown again"
	switch {
	case made.Mailed:
		message = "the account is made; a link to set a password is on its way"
	case made.TemporaryPassword == "":
		message = "the account is made, but no mail could be sent: ask for a new password in its name"
	}
	return CreateUser201JSONResponse(success(ctx, made, message)), nil
}

// GetUser implements StrictServerInterface.
func (s *Server) GetUser(ctx context.Context, r GetUserRequestObject) (GetUserResponseObject, error) {
	_, u, err := s.lookAt(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return GetUser200JSONResponse(success(ctx, u, "ok")), nil
}

// lookAt returns a user whom the caller may see, and puts on record who looks at a student. What cannot be put on record is not shown.
func (s *Server) lookAt(ctx context.Context, id string) (auth.Principal, account.User, error) {
	p, err := principal(ctx)
	if err != nil {
		return p, account.User{}, err
	}
	u, err := s.cfg.Directory.GetUser(ctx, p, id)
	if err != nil || u.Role != auth.Student || u.ID == p.UserID {
		return p, u, err
	}
	c := callOf(ctx)
	return p, u, s.cfg.Access.RecordAccess(ctx, audit.Access{
		Tenant: u.Tenant, Actor: p.UserID, Student: u.ID, Resource: "user " + u.ID, Route: c.route, IP: addressText(c.ip),
	})
}

// UpdateUser implements StrictServerInterface.
func (s *Server) UpdateUser(ctx context.Context, r UpdateUserRequestObject) (UpdateUserResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	saved, err := s.cfg.Directory.UpdateUser(ctx, p, r.ID, r.Params.Version, school.UserChange{Name: r.Body.Name, Email: r.Body.Email, Role: r.Body.Role})
	if err != nil {
		return nil, err
	}
	return UpdateUser200JSONResponse(success(ctx, saved, "the account is changed")), nil
}

// DisableUser implements StrictServerInterface.
func (s *Server) DisableUser(ctx context.Context, r DisableUserRequestObject) (DisableUserResponseObject, error) {
	u, err := s.setState(ctx, r.ID, account.Disabled)
	if err != nil {
		return nil, err
	}
	return DisableUser200JSONResponse(success(ctx, u, "the account is disabled and its sessions have ended")), nil
}

// EnableUser implements StrictServerInterface.
func (s *Server) EnableUser(ctx context.Context, r EnableUserRequestObject) (EnableUserResponseObject, error) {
	u, err := s.setState(ctx, r.ID, account.Active)
	if err != nil {
		return nil, err
	}
	return EnableUser200JSONResponse(success(ctx, u, "the account can sign in again")), nil
}

func (s *Server) setState(ctx context.Context, id, state string) (account.User, error) {
	p, err := principal(ctx)
	if err != nil {
		return account.User{}, err
	}
	return latest(func() (account.User, error) {
		was, err := s.cfg.Directory.GetUser(ctx, p, id)
		if err != nil {
			return was, err
		}
		return s.cfg.Directory.SetUserState(ctx, p, id, was.Version, state)
	})
}

// latest repeats a change of the version that it reads while others are faster, a few times.
func latest[T any](change func() (T, error)) (out T, err error) {
	const tries = 3
	for range tries {
		if out, err = change(); !fault.Is(err, fault.Conflict) {
			break
		}
	}
	return out, err
}

// UnlockUser implements StrictServerInterface.
func (s *Server) UnlockUser(ctx context.Context, r UnlockUserRequestObject) (UnlockUserResponseObject, error) {
	p, u, err := s.subordinate(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Accounts.Unlock(ctx, p, u.ID); err != nil {
		return nil, err
	}
	u.LockedUntil = nil
	return UnlockUser200JSONResponse(success(ctx, u, "the account is unlocked")), nil
}

// subordinate returns a user over whom the caller has power: admins have none over a platform admin.
func (s *Server) subordinate(ctx context.Context, id string) (auth.Principal, account.User, error) {
	p, u, err := s.lookAt(ctx, id)
	if err == nil && u.Role == auth.PlatformAdmin && p.Role != auth.PlatformAdmin {
		err = fault.New(fault.Forbidden, "only a platform admin may do this to a platform admin")
	}
	return p, u, err
}

// ListUserSessions implements StrictServerInterface.
func (s *Server) ListUserSessions(ctx context.Context, r ListUserSessionsRequestObject) (ListUserSessionsResponseObject, error) {
	p, u, err := s.subordinate(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	all, err := s.cfg.Accounts.Sessions(ctx, u.Tenant, u.ID, p.SessionID)
	if err != nil {
		return nil, err
	}
	return ListUserSessions200JSONResponse(success(ctx, Sessions{Sessions: orNone(all)}, "ok")), nil
}

// RevokeUserSessions implements StrictServerInterface.
func (s *Server) RevokeUserSessions(ctx context.Context, r RevokeUserSessionsRequestObject) (RevokeUserSessionsResponseObject, error) {
	p, u, err := s.subordinate(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	err = s.cfg.Accounts.RevokeUser(ctx, u.Tenant, u.ID, "by an admin")
	s.record(ctx, p, "user.sessions_revoked", u.ID, nil, err)
	if err != nil {
		return nil, err
	}
	return RevokeUserSessions200JSONResponse(done(ctx, "all sessions of the user have ended")), nil
}

// ListGuardians implements StrictServerInterface.
func (s *Server) ListGuardians(ctx context.Context, r ListGuardiansRequestObject) (ListGuardiansResponseObject, error) {
	p, u, err := s.lookAt(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	parent, child := "", u.ID
	if u.Role == auth.Parent {
		parent, child = u.ID, ""
	}
	all, err := s.cfg.Directory.ListGuardians(ctx, p, parent, child)
	if err != nil {
		return nil, err
	}
	return ListGuardians200JSONResponse(success(ctx, Guardians{Guardians: orNone(all)}, "ok")), nil
}

// AddGuardian implements StrictServerInterface.
func (s *Server) AddGuardian(ctx context.Context, r AddGuardianRequestObject) (AddGuardianResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	made, err := s.cfg.Directory.AddGuardian(ctx, p, r.Body.ParentID, r.ID)
	if err != nil {
		return nil, err
	}
	return AddGuardian201JSONResponse(success(ctx, made, "the parent reads what the child may")), nil
}

// RemoveGuardian implements StrictServerInterface.
func (s *Server) RemoveGuardian(ctx context.Context, r RemoveGuardianRequestObject) (RemoveGuardianResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Directory.RemoveGuardian(ctx, p, r.Parent, r.ID); err != nil {
		return nil, err
	}
	return RemoveGuardian200JSONResponse(done(ctx, "the parent reads what is the child's no more")), nil
}
