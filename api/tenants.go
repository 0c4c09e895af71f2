package api

import (
	"context"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/school"
)

// Tenants is the part of Directory for the platform's tenants.
type Tenants interface {
	ListTenants(ctx context.Context, by auth.Principal, f school.TenantFilter) (school.TenantPage, error)
	GetTenant(ctx context.Context, by auth.Principal, id string) (school.Tenant, error)
	CreateTenant(ctx context.Context, by auth.Principal, spec school.TenantSpec) (school.Tenant, error)
	UpdateTenant(ctx context.Context, by auth.Principal, id string, change school.TenantChange) (school.Tenant, error)
}

// ListTenants implements StrictServerInterface.
func (s *Server) ListTenants(ctx context.Context, r ListTenantsRequestObject) (ListTenantsResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	page, err := s.cfg.Directory.ListTenants(ctx, p, school.TenantFilter{State: r.Params.State, Cursor: r.Params.Cursor, Limit: r.Params.Limit})
	if err != nil {
		return nil, err
	}
	return ListTenants200JSONResponse(success(ctx, TenantPage{Tenants: orNone(page.Tenants), Next: page.Next}, "ok")), nil
}

// CreateTenant implements StrictServerInterface.
func (s *Server) CreateTenant(ctx context.Context, r CreateTenantRequestObject) (CreateTenantResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	made, err := s.cfg.Directory.CreateTenant(ctx, p, school.TenantSpec{ID: r.Body.ID, Name: r.Body.Name, Settings: r.Body.Settings})
	if err != nil {
		return nil, err
	}
	return CreateTenant201JSONResponse(success(ctx, made, "the tenant is made; invite its first admin")), nil
}

// GetTenant implements StrictServerInterface.
func (s *Server) GetTenant(ctx context.Context, r GetTenantRequestObject) (GetTenantResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	found, err := s.cfg.Directory.GetTenant(ctx, p, r.ID)
	if err != nil {
		return nil, err
	}
	return GetTenant200JSONResponse(success(ctx, found, "ok")), nil
}

// UpdateTenant implements StrictServerInterface.
func (s *Server) UpdateTenant(ctx context.Context, r UpdateTenantRequestObject) (UpdateTenantResponseObject, error) {
	saved, err := s.changeTenant(ctx, r.ID, school.TenantChange{Name: &r.Body.Name, Settings: &r.Body.Settings})
	if err != nil {
		return nil, err
	}
	return UpdateTenant200JSONResponse(success(ctx, saved, "the tenant is changed")), nil
}

// SuspendTenant implements StrictServerInterface.
func (s *Server) SuspendTenant(ctx context.Context, r SuspendTenantRequestObject) (SuspendTenantResponseObject, error) {
	state := school.Suspended
	saved, err := s.changeTenant(ctx, r.ID, school.TenantChange{State: &state})
	if err != nil {
		return nil, err
	}
	return SuspendTenant200JSONResponse(success(ctx, saved, "nobody of the tenant is let in")), nil
}

// ResumeTenant implements StrictServerInterface.
func (s *Server) ResumeTenant(ctx context.Context, r ResumeTenantRequestObject) (ResumeTenantResponseObject, error) {
	state := school.Active
	saved, err := s.changeTenant(ctx, r.ID, school.TenantChange{State: &state})
	if err != nil {
		return nil, err
	}
	return ResumeTenant200JSONResponse(success(ctx, saved, "the tenant's people can sign in again")), nil
}

func (s *Server) changeTenant(ctx context.Context, id string, change school.TenantChange) (school.Tenant, error) {
	p, err := principal(ctx)
	if err != nil {
		return school.Tenant{}, err
	}
	return s.cfg.Directory.UpdateTenant(ctx, p, id, change)
}
