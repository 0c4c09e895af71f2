package school

import (
	"context"
	"fmt"
	"time"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Tenant is a school.
type Tenant struct {
	ID        string    `json:"id"` // a token of subjects
	Name      string    `json:"name"`
	State     string    `json:"state"`
	Settings  Settings  `json:"settings"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// States of a tenant. Nobody signs in to a suspended one.
const (
	Active    = "active"
	Suspended = "suspended"
)

// suspendLead is for how long a suspension voids what is still issued: by a refresh that was under way, or on a clock that is ahead. Who
// signs in again that soon after the tenant is resumed is asked to do so once more.
const suspendLead = 10 * time.Second

// TenantFilter says which tenants to list, newest first.
type TenantFilter struct {
	State  string // empty: any
	Cursor string // the Next of the page before
	Limit  int    // 1 to MaxPage; DefaultPage when 0
}

// TenantPage is a page of tenants.
type TenantPage struct {
	Tenants []Tenant `json:"tenants"`
	Next    string   `json:"next,omitempty"` // the next page's Cursor; empty on the last one
}

// TenantSpec says what a new tenant is.
type TenantSpec struct {
	ID, Name string
	Settings *Settings // DefaultSettings when nil
}

// TenantChange says what to change; nil leaves it.
type TenantChange struct {
	Name     *string
	State    *string
	Settings *Settings
}

// ListTenants returns a page of tenants. For platform admins. Invalid: "state", "cursor", "limit".
func (s *Service) ListTenants(ctx context.Context, by auth.Principal, f TenantFilter) (TenantPage, error) {
	err := onlyPlatform(by)
	if err == nil {
		err = checkLimit(&f.Limit)
	}
	if err == nil && f.State != "" {
		err = checkTenantState(f.State)
	}
	if err != nil {
		return TenantPage{}, err
	}
	return s.store.Tenants(ctx, f)
}

// GetTenant returns a tenant: any to platform admins, to admins their own.
func (s *Service) GetTenant(ctx context.Context, by auth.Principal, id string) (Tenant, error) {
	if by.Role != auth.PlatformAdmin && (by.Role != auth.Admin || id != by.Tenant) {
		return Tenant{}, fault.New(fault.Forbidden, "only platform admins may do this")
	}
	if checkTenantID(id) != nil {
		return Tenant{}, exists("tenant", "")
	}
	return s.store.Tenant(ctx, id)
}

// CreateTenant adds an active tenant. For platform admins. Invalid: "id", "name", "settings…"; Conflict: "id".
func (s *Service) CreateTenant(ctx context.Context, by auth.Principal, spec TenantSpec) (Tenant, error) {
	if err := onlyPlatform(by); err != nil {
		return Tenant{}, err
	}
	if err := checkTenantID(spec.ID); err != nil {
		return Tenant{}, err
	}
	name, err := account.CheckName("name", spec.Name)
	if err != nil {
		return Tenant{}, err
	}
	t := Tenant{ID: spec.ID, Name: name, State: Active, Settings: DefaultSettings(), CreatedAt: s.time()}
	if t.UpdatedAt = t.CreatedAt; spec.Settings != nil {
		t.Settings = *spec.Settings
	}
	if err := t.Settings.Check(); err != nil {
		return Tenant{}, err
	}
	if err := s.store.AddTenant(ctx, t); err != nil {
		return Tenant{}, err
	}
	s.record(ctx, t.ID, by, "tenant.created", t.ID, nil)
	return t, nil
}

// UpdateTenant changes a tenant; of two at once the later one wins. For platform admins, who cannot suspend their home. Suspending voids
// what was issued to the tenant's people: when that fails the error is Unavailable, the tenant is suspended nevertheless, and asking
// again voids it. Invalid: "name", "state", "settings…".
func (s *Service) UpdateTenant(ctx context.Context, by auth.Principal, id string, change TenantChange) (Tenant, error) {
	if err := onlyPlatform(by); err != nil {
		return Tenant{}, err
	}
	if checkTenantID(id) != nil {
		return Tenant{}, exists("tenant", "")
	}
	if err := change.check(); err != nil {
		return Tenant{}, err
	}
	suspend := change.State != nil && *change.State == Suspended
	if suspend && (id == by.Home || by.Home == "" && id == by.Tenant) {
		return Tenant{}, fault.New(fault.Forbidden, "nobody suspends the tenant that they are of")
	}
	was, err := s.store.Tenant(ctx, id)
	if err != nil {
		return Tenant{}, err
	}
	t, err := s.store.ChangeTenant(ctx, id, change, s.time())
	if err != nil {
		return Tenant{}, err
	}
	if was.Name != t.Name || was.Settings != t.Settings {
		s.record(ctx, id, by, "tenant.updated", id, map[string]any{"name": t.Name, "settings": t.Settings})
	}
	if was.State != t.State {
		action := map[string]string{Active: "tenant.activated", Suspended: "tenant.suspended"}[t.State]
		s.record(ctx, id, by, action, id, moved{was.State, t.State})
	}
	if suspend {
		if err := s.revoker.Publish(ctx, auth.Revocation{Kind: auth.RevokedTenant, ID: id, Before: s.now().Add(suspendLead)}); err != nil {
			return Tenant{}, fmt.Errorf("tenant %s is suspended, but who is signed in still is: %w", id, err)
		}
	}
	return t, nil
}

// check holds a change against its bounds and tidies it.
func (c *TenantChange) check() error {
	if c.Name != nil {
		name, err := account.CheckName("name", *c.Name)
		if err != nil {
			return err
		}
		c.Name = &name
	}
	if c.State != nil {
		if err := checkTenantState(*c.State); err != nil {
			return err
		}
	}
	if c.Settings != nil {
		return c.Settings.Check()
	}
	return nil
}

func checkTenantState(state string) error {
	if state != Active && state != Suspended {
		return fault.InvalidField("state", "%.64q is none of active, suspended", state)
	}
	return nil
}

// Settings returns the settings of a tenant, and the default ones of one that is not kept here. It is for the platform itself, and
// decides nothing about who asks.
func (s *Service) Settings(ctx context.Context, tenant string) (Settings, error) {
	t, err := s.store.Tenant(ctx, tenant)
	if fault.Is(err, fault.NotFound) {
		return DefaultSettings(), nil
	}
	return t.Settings, err
}
