package account

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Registration is what somebody says who wants an account.
type Registration struct {
	Username string
	Email    string // an invitation's counts where there is one
	Name     string
	Password string
	Invite   string // the token of an invitation; empty for none
}

// InviteSpec says whom to invite.
type InviteSpec struct {
	Email string
	Name  string // may be empty: they say it themself
	Role  auth.Role
	Class string // may be empty
}

// Invitation is good for one registration. Its token is shown once.
type Invitation struct {
	URL       string    `json:"url,omitempty"` // where the dashboard takes it; empty without a PUBLIC_URL
	Token     string    `json:"token"`
	Email     string    `json:"email"`
	Role      auth.Role `json:"role"`
	ExpiresAt time.Time `json:"expires_at"`
}

const (
	inviteTime  = 7 * 24 * time.Hour
	inviteTries = 20
)

// Register makes an account. With an invitation its tenant, role and e-mail address are those of the invitation; without one, where
// registration is open, they get the configured tenant and role, which is never an admin's.
//
// Errors: Forbidden when it takes an invitation, or nobody registers here; Invalid names the field; Conflict when somebody has the
// username or the e-mail address, and not which of them; Unauthorized when the invitation is not good any more, also because who made it
// could not today. An invitation is used up only where an account comes of it; it is good for twenty tries.
func (s *Service) Register(ctx context.Context, r Registration, from Client) (User, error) {
	ctx, now := fromClient(ctx, from), s.cfg.Now().UTC().Truncate(time.Microsecond)
	u, err := s.invited(ctx, &r, now)
	if err != nil {
		return User{}, err
	}
	if err := fill(&u, r, now); err != nil {
		return User{}, err
	}
	if err := s.checkNewPassword(r.Password, "password", u.User); err != nil {
		return User{}, err
	}
	if u.PasswordHash, err = s.cfg.Hasher.Hash(ctx, normalPassword(r.Password)); err != nil {
		return User{}, fmt.Errorf("hash a password: %w", err)
	}
	err = s.cfg.Store.AddUser(ctx, u)
	switch {
	case fault.Is(err, fault.Conflict): // who asks is a stranger: they are not told which of the two it is
		return User{}, fault.New(fault.Conflict, "somebody has this username or this e-mail address already")
	case fault.Is(err, fault.NotFound) && u.Invitation != nil:
		return User{}, badInvite()
	case err != nil:
		return User{}, fmt.Errorf("add a user: %w", err)
	}
	s.record(ctx, audit.Entry{Tenant: u.Tenant, Actor: u.ID, Action: "user.registered", Target: u.ID}, "role", string(u.Role), "invited_by", u.InvitedBy, "class", u.Class)
	return u.User, nil
}

// invited returns what stands fixed of who registers. The e-mail address of an invitation, to which it was sent, replaces that of r.
func (s *Service) invited(ctx context.Context, r *Registration, now time.Time) (NewUser, error) {
	switch {
	case s.cfg.Enrolment == Closed:
		return NewUser{}, fault.New(fault.Forbidden, "nobody registers here: ask an admin of your school for an account")
	case r.Invite == "" && s.cfg.Enrolment == Open:
		return NewUser{User: User{Role: s.cfg.OpenRole, Tenant: s.cfg.OpenTenant}}, nil
	case r.Invite == "":
		return NewUser{}, fault.New(fault.Forbidden, "it takes an invitation to register: ask an admin of your school for one")
	}
	one, err := s.cfg.Store.TryToken(ctx, hashOf(r.Invite), forInvite, inviteTries, now)
	if fault.Is(err, fault.NotFound) {
		return NewUser{}, badInvite()
	}
	if err != nil {
		return NewUser{}, fmt.Errorf("find an invitation: %w", err)
	}
	var invitee Invitee
	if err := json.Unmarshal(one.Data, &invitee); err != nil {
		return NewUser{}, fmt.Errorf("read an invitation: %w", err)
	}
	if err := s.mayStillInvite(ctx, invitee); err != nil {
		return NewUser{}, err
	}
	r.Email = invitee.Email
	if r.Name == "" {
		r.Name = invitee.Name
	}
	return NewUser{User: User{Role: invitee.Role, Tenant: one.Tenant}, Invitation: one.Hash, Class: invitee.Class, InvitedBy: invitee.By}, nil
}

// mayStillInvite refuses an invitation of somebody who could not make it today: who is disabled or demoted leaves no way in behind. Somebody
// who never had an account held a token from the command line.
func (s *Service) mayStillInvite(ctx context.Context, invitee Invitee) error {
	by, err := s.cfg.Store.ByID(ctx, invitee.Home, invitee.By)
	switch {
	case invitee.Home == "", fault.Is(err, fault.NotFound): // the former is from before homes were kept
		return nil
	case err != nil:
		return fmt.Errorf("find who invited: %w", err)
	case by.State != Active || !mayInvite(by.Role, invitee.Role):
		return badInvite()
	}
	return nil
}

// mayInvite reports whether a role may invite another: admins up to admins, platform admins anybody.
func mayInvite(by, role auth.Role) bool {
	return by == auth.PlatformAdmin || by == auth.Admin && role != auth.PlatformAdmin
}

func badInvite() error {
	return fault.New(fault.Unauthorized, "the invitation has expired or was used: ask for another one")
}

func fill(u *NewUser, r Registration, now time.Time) (err error) {
	if u.Name, err = CheckName("name", r.Name); err != nil {
		return err
	}
	if u.UsernameKey, err = UsernameKey(r.Username); err != nil {
		return err
	}
	if u.EmailKey, err = EmailKey(r.Email); err != nil {
		return err
	}
	if u.ID, err = newID(); err != nil {
		return err
	}
	u.Username, u.Email, u.State, u.Version = r.Username, strings.TrimSpace(r.Email), Active, 1
	u.HasPassword, u.CreatedAt, u.UpdatedAt = true, now, now
	return nil
}

// Invite invites somebody to by's tenant with a role, and mails them where to go. Admins invite up to admins, platform admins anybody; who is
// invited to a class has to be somebody who can be in one.
//
// Errors: Forbidden for who may not, or where nobody registers; Invalid names the field. Whether somebody has the address is not looked
// at: that is another school's affair.
func (s *Service) Invite(ctx context.Context, by auth.Principal, spec InviteSpec) (Invitation, error) {
	spec.Email = strings.TrimSpace(spec.Email)
	if _, err := EmailKey(spec.Email); err != nil {
		return Invitation{}, err
	}
	if spec.Name != "" {
		var err error
		if spec.Name, err = CheckName("name", spec.Name); err != nil {
			return Invitation{}, err
		}
	}
	switch {
	case !spec.Role.Valid():
		return Invitation{}, fault.InvalidField("role", "is none of %v", auth.Roles())
	case !mayInvite(by.Role, spec.Role):
		return Invitation{}, fault.New(fault.Forbidden, "the role %s may not invite a %s", by.Role, spec.Role)
	case s.cfg.Enrolment == Closed:
		return Invitation{}, fault.New(fault.Forbidden, "nobody registers here: make the account for them")
	case spec.Class != "" && spec.Role != auth.Student && spec.Role != auth.Teacher:
		return Invitation{}, fault.InvalidField("class", "has students and teachers, and no %s", spec.Role)
	}
	if spec.Class != "" {
		open, err := s.cfg.Store.OpenClass(ctx, by.Tenant, spec.Class)
		if err != nil {
			return Invitation{}, fmt.Errorf("find a class: %w", err)
		}
		if !open {
			return Invitation{}, fault.InvalidField("class", "is no open class of this school")
		}
	}
	data, err := json.Marshal(Invitee{Email: spec.Email, Name: spec.Name, Role: spec.Role, Class: spec.Class, By: by.UserID, Home: home(by)})
	if err != nil {
		return Invitation{}, fmt.Errorf("encode an invitation: %w", err)
	}
	token, expires, err := s.putOneTime(ctx, OneTime{Purpose: forInvite, Tenant: by.Tenant, Data: data}, inviteTime, false)
	if err != nil {
		return Invitation{}, err
	}
	link := s.link("register", "invite", token)
	s.record(ctx, audit.Entry{Tenant: by.Tenant, Actor: by.UserID, Action: "user.invited", SessionID: by.SessionID, KeyID: by.KeyID},
		"role", string(spec.Role), "class", spec.Class)
	s.send(ctx, spec.Email, "You are invited", "You are invited to make an account with the role "+string(spec.Role)+".\n\n"+cmp.Or(link, "Your invitation: "+token)+"\n\nIt is good for one week.\n")
	return Invitation{URL: link, Token: token, Email: spec.Email, Role: spec.Role, ExpiresAt: expires}, nil
}

// link returns where the dashboard takes a token. It stands behind #: browsers send that to nobody.
func (s *Service) link(page, name, token string) string {
	if s.cfg.PublicURL == "" {
		return ""
	}
	u, err := url.Parse(s.cfg.PublicURL)
	if err != nil {
		return ""
	}
	u = u.JoinPath(page)
	u.Fragment = name + "=" + token
	return u.String()
}
