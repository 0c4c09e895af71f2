package school

import (
	"context"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// UserFilter says which users to list, newest first. Empty fields take all.
type UserFilter struct {
	Role   auth.Role
	State  string // of account's
	Search string // what a word of the name, the username or the e-mail address begins with; at most MaxSearch bytes
	Class  string // of which they are members
	Cursor string // the Next of the page before
	Limit  int    // 1 to MaxPage; DefaultPage when 0
}

// MaxSearch is the length of the longest search, in bytes.
const MaxSearch = 256

// UserPage is a page of users.
type UserPage struct {
	Users []account.User `json:"users"`
	Next  string         `json:"next,omitempty"` // the next page's Cursor; empty on the last one
}

// ListUsers returns a page of the tenant's users. Teachers get students. Invalid: "role", "state", "search", "cursor", "limit".
func (s *Service) ListUsers(ctx context.Context, by auth.Principal, f UserFilter) (UserPage, error) {
	if err := onlyTeachers(by); err != nil {
		return UserPage{}, err
	}
	if err := f.check(); err != nil {
		return UserPage{}, err
	}
	if !administers(by) {
		if f.Role != "" && f.Role != auth.Student {
			return UserPage{}, fault.New(fault.Forbidden, "teachers may list students only")
		}
		f.Role = auth.Student
	}
	return s.store.Users(ctx, by.Tenant, f)
}

func (f *UserFilter) check() error {
	if f.Role != "" && !f.Role.Valid() {
		return fault.InvalidField("role", "is none of %v", auth.Roles())
	}
	if f.State != "" {
		switch f.State {
		case account.Active, account.Disabled, account.Erased:
		default:
			return fault.InvalidField("state", "%.64q is none of active, disabled, erased", f.State)
		}
	}
	if err := exists("class", f.Class); f.Class != "" && err != nil {
		return err
	}
	if len(f.Search) > MaxSearch {
		return fault.InvalidField("search", "has %d bytes, at most %d are allowed", len(f.Search), MaxSearch)
	}
	return checkLimit(&f.Limit)
}

// GetUser returns a user of the tenant: any to admins, students to teachers, and everybody to themselves.
func (s *Service) GetUser(ctx context.Context, by auth.Principal, id string) (account.User, error) {
	if err := exists("user", id); err != nil {
		return account.User{}, err
	}
	u, err := s.store.User(ctx, by.Tenant, id)
	if err != nil {
		return account.User{}, err
	}
	if administers(by) || id == by.UserID || by.Role == auth.Teacher && u.Role == auth.Student {
		return u, nil
	}
	return account.User{}, fault.New(fault.NotFound, "there is no user %.64q", id)
}

// Names returns the names of the tenant's people, so that models can be told of them under other ones. It is for the platform itself,
// and decides nothing about who asks. TooLarge above MaxNames.
func (s *Service) Names(ctx context.Context, tenant string) ([]string, error) {
	return s.store.Names(ctx, tenant)
}
