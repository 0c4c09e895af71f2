package school

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// UserSpec says what a new user is.
type UserSpec struct {
	Username, Name string
	Email          string // may be empty with TemporaryPassword
	Role           auth.Role
	// TemporaryPassword gives them a random password, which they must change at once. Without it they get a mail with a link, by
	// which they set their own.
	TemporaryPassword bool
}

// Created is a new user.
type Created struct {
	User              account.User `json:"user"`
	TemporaryPassword string       `json:"temporary_password,omitempty"` // shown once; nobody can look it up
	Mailed            bool         `json:"mailed"`                       // the link is on its way; else they can ask for another one themselves
}

// CreateUser adds an active user to the tenant. For admins; a platform admin is made by platform admins alone. Invalid: "username",
// "email", "name", "role"; Conflict: "username", "email", which are unique over all tenants.
func (s *Service) CreateUser(ctx context.Context, by auth.Principal, spec UserSpec) (Created, error) {
	if err := mayChange(by, account.User{}, UserChange{Role: &spec.Role}); err != nil {
		return Created{}, err
	}
	u, err := s.newUser(by.Tenant, spec)
	if err != nil {
		return Created{}, err
	}
	created := Created{User: u}
	hash := ""
	if spec.TemporaryPassword {
		created.TemporaryPassword = temporaryPassword()
		if hash, err = s.hasher.Hash(ctx, created.TemporaryPassword); err != nil {
			return Created{}, fmt.Errorf("hash a temporary password: %w", err)
		}
		created.User.HasPassword, created.User.MustChangePassword = true, true
	}
	if err := s.store.AddUser(ctx, u, hash); err != nil {
		return Created{}, err
	}
	s.record(ctx, u.Tenant, by, "user.created", u.ID, map[string]any{"role": u.Role, "temporary_password": spec.TemporaryPassword})
	if !spec.TemporaryPassword {
		if err := s.accounts.RequestReset(ctx, u.Email, account.Client{}); err != nil {
			s.logger.WarnContext(ctx, "a new user gets no mail", "user_id", u.ID, "error", err)
		} else {
			created.Mailed = true
		}
	}
	return created, nil
}

// newUser makes a user of what a spec says, or says what is wrong with it.
func (s *Service) newUser(tenant string, spec UserSpec) (account.User, error) {
	if !spec.Role.Valid() {
		return account.User{}, fault.InvalidField("role", "is none of %v", auth.Roles())
	}
	name, err := account.CheckName("name", spec.Name)
	if err != nil {
		return account.User{}, err
	}
	if _, err := account.UsernameKey(spec.Username); err != nil {
		return account.User{}, err
	}
	email, err := checkEmail(spec.Email)
	if err != nil {
		return account.User{}, err
	}
	if email == "" && !spec.TemporaryPassword {
		return account.User{}, fault.InvalidField("email", "is missing: without a temporary password they get a mail")
	}
	id, err := uuid.NewV7()
	if err != nil {
		return account.User{}, fmt.Errorf("make a user's id: %w", err)
	}
	at := s.time()
	return account.User{
		ID: id.String(), Tenant: tenant, Username: spec.Username, Email: email, Name: name, Role: spec.Role, State: account.Active,
		Version: 1, CreatedAt: at, UpdatedAt: at,
	}, nil
}

// checkEmail returns an e-mail address as it is kept, which may be none.
func checkEmail(email string) (string, error) {
	email = strings.TrimSpace(email)
	if email == "" {
		return "", nil
	}
	_, err := account.EmailKey(email)
	return email, err
}

// temporaryPassword returns 80 random bits, to be typed in once.
func temporaryPassword() string {
	t := strings.ToLower(rand.Text())
	return strings.Join([]string{t[:4], t[4:8], t[8:12], t[12:16]}, "-")
}
