package school

import (
	"context"
	"fmt"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// UserChange says what to change; nil leaves it.
type UserChange struct {
	Name  *string
	Email *string // empty: none
	Role  *auth.Role
	State *string // account.Active or account.Disabled
}

// UpdateUser changes a user whose version is still the given one. For admins; see the package's doc for whom and what they may not.
//
// Another role or state ends the user's sessions. When that fails the error is Unavailable, the change is done nevertheless, and asking
// for the same role or state again ends them.
//
// Invalid: "name", "email", "role", "state"; Conflict: "version", "email", the last admin, an erased user.
func (s *Service) UpdateUser(ctx context.Context, by auth.Principal, id string, version int64, change UserChange) (account.User, error) {
	if err := onlyAdmins(by); err != nil {
		return account.User{}, err
	}
	if err := exists("user", id); err != nil {
		return account.User{}, err
	}
	if err := change.check(); err != nil {
		return account.User{}, err
	}
	was, err := s.store.User(ctx, by.Tenant, id)
	if err != nil {
		return account.User{}, err
	}
	if err := mayChange(by, was, change); err != nil {
		return account.User{}, err
	}
	if was.Version != version { // what was decided above is about this version
		return account.User{}, fault.New(fault.Conflict, "the user has changed meanwhile: it is version %d, not %d", was.Version, version)
	}
	now, err := s.store.ChangeUser(ctx, by.Tenant, id, version, change, s.time())
	if err != nil {
		return account.User{}, err
	}
	s.recordChange(ctx, by, was, now)
	if change.Role != nil || change.State != nil {
		if err := s.accounts.RevokeUser(context.WithoutCancel(ctx), by.Tenant, id, "role or state changed"); err != nil {
			return account.User{}, fmt.Errorf("user %s is changed, but still signed in as before: %w", id, err)
		}
	}
	return now, nil
}

// SetUserState is UpdateUser of the state alone.
func (s *Service) SetUserState(ctx context.Context, by auth.Principal, id string, version int64, state string) (account.User, error) {
	return s.UpdateUser(ctx, by, id, version, UserChange{State: &state})
}

// check holds a change against its bounds and tidies it.
func (c *UserChange) check() error {
	if c.Name != nil {
		name, err := account.CheckName("name", *c.Name)
		if err != nil {
			return err
		}
		c.Name = &name
	}
	if c.Email != nil {
		email, err := checkEmail(*c.Email)
		if err != nil {
			return err
		}
		c.Email = &email
	}
	if c.Role != nil && !c.Role.Valid() {
		return fault.InvalidField("role", "is none of %v", auth.Roles())
	}
	if c.State != nil && *c.State != account.Active && *c.State != account.Disabled {
		return fault.InvalidField("state", "%.64q is none of active, disabled", *c.State)
	}
	return nil
}

// recordChange puts on record what is different. Names and addresses are none of the log's business, that they changed is.
func (s *Service) recordChange(ctx context.Context, by auth.Principal, was, now account.User) {
	var fields []string
	if was.Name != now.Name {
		fields = append(fields, "name")
	}
	if was.Email != now.Email {
		fields = append(fields, "email")
	}
	if len(fields) > 0 {
		s.record(ctx, by.Tenant, by, "user.updated", now.ID, map[string]any{"fields": fields})
	}
	if was.Role != now.Role {
		s.record(ctx, by.Tenant, by, "user.role_changed", now.ID, moved{string(was.Role), string(now.Role)})
	}
	if was.State != now.State {
		action := "user.enabled"
		if now.State == account.Disabled {
			action = "user.disabled"
		}
		s.record(ctx, by.Tenant, by, action, now.ID, moved{was.State, now.State})
	}
}
