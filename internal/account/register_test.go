package account_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

var (
	admin    = auth.Principal{UserID: "root", Tenant: "school", Role: auth.Admin}
	platform = auth.Principal{UserID: "zeus", Tenant: "school", Home: "other", Role: auth.PlatformAdmin}
)

// staff adds admin and platform to the users.
func (o *office) staff() {
	o.tb.Helper()
	o.sql(`INSERT INTO users (id, tenant, username, username_key, name, role, created_at, updated_at)
		VALUES ('root', 'school', 'root', 'root', 'Root', 'admin', now(), now()), ('zeus', 'other', 'zeus', 'zeus', 'Zeus', 'platform_admin', now(), now())
		ON CONFLICT DO NOTHING`)
}

// newcomer is a registration that nothing is wrong with.
func newcomer(name, invite string) account.Registration {
	return account.Registration{Username: name, Email: name + "@school.example", Name: "Name of " + name, Password: goodPassword, Invite: invite}
}

func (o *office) invite(spec account.InviteSpec) account.Invitation {
	o.tb.Helper()
	o.staff()
	invitation, err := o.Invite(o.tb.Context(), admin, spec)
	o.must(err)
	return invitation
}

func open(c *account.Config) { c.Enrolment, c.OpenTenant = account.Open, "school" }

func TestRegister_OpenMakesWhatIsConfiguredAndNoMore(t *testing.T) {
	t.Parallel()
	o := newOffice(t, open, func(c *account.Config) { c.OpenRole = auth.Teacher })
	u, err := o.Register(t.Context(), newcomer("Ada", ""), laptop)
	o.must(err)
	if u.Tenant != "school" || u.Role != auth.Teacher || u.State != account.Active || u.Username != "Ada" || u.Email != "Ada@school.example" || !u.HasPassword {
		t.Errorf("made is %+v", u)
	}
	me, err := o.Me(t.Context(), member(o, o.signIn("ada", laptop)))
	o.must(err)
	me.LastLoginAt = nil
	if me.ID != u.ID || me.Role != u.Role || me.Version != u.Version || !me.CreatedAt.Equal(u.CreatedAt) {
		t.Errorf("kept is %+v, answered was %+v", me, u)
	}
	if o.count("user.registered done "+u.ID+" "+u.ID+" 198.51.100.1") != 1 {
		t.Errorf("on record is %q", o.trail())
	}
	o.noSecrets()
}

func TestRegister_ByEnrolment(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		enrolment account.Enrolment
		invited   bool
		want      fault.Kind // Internal: they may
	}{
		{account.Open, false, fault.Internal}, {account.Open, true, fault.Internal},
		{account.Invite, false, fault.Forbidden}, {account.Invite, true, fault.Internal},
		{account.Closed, false, fault.Forbidden}, {account.Closed, true, fault.Forbidden},
	} {
		t.Run(fmt.Sprint(c.enrolment, " invited ", c.invited), func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			r := newcomer("ada", "")
			if c.invited {
				r.Invite = o.invite(account.InviteSpec{Email: "ada@school.example", Role: auth.Parent}).Token
			}
			cfg := o.cfg
			open(&cfg)
			cfg.Enrolment = c.enrolment
			s, err := account.New(cfg)
			o.must(err)
			u, err := s.Register(t.Context(), r, laptop)
			switch {
			case c.want == fault.Internal && err != nil, c.want != fault.Internal && !fault.Is(err, c.want):
				t.Errorf("got %v", err)
			case err == nil && c.invited != (u.Role == auth.Parent):
				t.Errorf("they are a %s", u.Role)
			}
			_, err = s.Invite(t.Context(), admin, account.InviteSpec{Email: "bob@school.example", Role: auth.Student})
			if closed := c.enrolment == account.Closed; closed != fault.Is(err, fault.Forbidden) || !closed && err != nil {
				t.Errorf("inviting: %v", err)
			}
		})
	}
}

func TestRegister_NamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	o := newOffice(t, open)
	for field, wrong := range map[string][]func(*account.Registration){
		"username": {func(r *account.Registration) { r.Username = "a@b" }, func(r *account.Registration) { r.Username = "" }},
		"email":    {func(r *account.Registration) { r.Email = "" }, func(r *account.Registration) { r.Email = "ada@x.example\r\nBcc: all@x.example" }},
		"name":     {func(r *account.Registration) { r.Name = "" }, func(r *account.Registration) { r.Name = "a\u202eb" }},
		"password": {func(r *account.Registration) { r.Password = "password1234" }, func(r *account.Registration) { r.Password = "adalovelace1" }},
	} {
		for i, change := range wrong {
			r := newcomer("adalovelace", "")
			change(&r)
			if _, err := o.Register(t.Context(), r, laptop); !invalid(err, field) {
				t.Errorf("%s %d: %v, want Invalid", field, i, err)
			}
		}
	}
	if users := o.ask("SELECT id FROM users"); len(users) != 0 {
		t.Errorf("%d users were made", len(users))
	}
}

// A stranger learns that one of the names is taken, and not whose.
func TestRegister_NamesAreUniqueOverAllTenants(t *testing.T) {
	t.Parallel()
	o := newOffice(t, open)
	o.user("ada", auth.Teacher)
	o.sql("UPDATE users SET tenant = 'other'")
	said := map[string]bool{}
	for _, r := range []account.Registration{
		{Username: "ADA", Email: "new@school.example"}, {Username: "newcomer", Email: "Ada@School.example"}, {Username: "\uff21da", Email: "ada@school.example"},
	} {
		r.Name, r.Password = "Somebody", goodPassword
		_, err := o.Register(t.Context(), r, laptop)
		o.want(fault.Conflict, err)
		said[err.Error()] = true
	}
	if len(said) != 1 {
		t.Errorf("the answers differ: %v", said)
	}
}

func TestRegister_AnInvitationSaysWhoTheyBecome(t *testing.T) {
	t.Parallel()
	o := newOffice(t, open)
	o.sql("INSERT INTO classes (id, tenant, name, created_by, created_at, updated_at) VALUES ('c1', 'school', 'Class', 'root', now(), now())")
	invitation := o.invite(account.InviteSpec{Email: " Ada@School.example ", Name: "Ada Lovelace", Role: auth.Student, Class: "c1"})
	if token(t, o.letters("Ada@School.example")[0].Text) != invitation.Token || !strings.HasSuffix(invitation.URL, invitation.Token) {
		t.Error("the mail holds another token")
	}
	r := newcomer("ada", invitation.Token)
	r.Email, r.Name = "somebody.else@x.example", ""
	u, err := o.Register(t.Context(), r, laptop)
	o.must(err)
	if u.Tenant != "school" || u.Role != auth.Student || u.Email != "Ada@School.example" || u.Name != "Ada Lovelace" {
		t.Errorf("made is %+v", u)
	}
	if in := o.ask("SELECT class FROM class_members WHERE user_id = $1 AND added_by = 'root'", u.ID); len(in) != 1 {
		t.Error("they are in no class")
	}
	o.signIn("ada@school.example", laptop)
	o.noSecrets(invitation.Token)
}

func TestRegister_AnInvitationIsGoodOnceHoweverManyComeAtOnce(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	invitation := o.invite(account.InviteSpec{Email: "ada@school.example", Role: auth.Teacher})
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { _, errs[i] = o.Register(t.Context(), newcomer(fmt.Sprint("ada", i), invitation.Token), laptop) })
	}
	wg.Wait()
	made := 0
	for _, err := range errs {
		switch {
		case err == nil:
			made++
		case !fault.Is(err, fault.Unauthorized) && !fault.Is(err, fault.Conflict):
			t.Error(err)
		}
	}
	o.sql("UPDATE users SET email = NULL, email_key = NULL") // it is not the address alone that keeps others out
	_, err := o.Register(t.Context(), newcomer("eve", invitation.Token), laptop)
	o.want(fault.Unauthorized, err)
	if users := o.ask("SELECT id FROM users WHERE role = 'teacher'"); made != 1 || len(users) != 1 {
		t.Errorf("%d were told that they are in, %d are", made, len(users))
	}
}

// What is wrong with the rest can be mended: the invitation is used up where an account comes of it.
func TestRegister_AnInvitationSurvivesMistakes(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("taken", auth.Teacher)
	invitation := o.invite(account.InviteSpec{Email: "ada@school.example", Role: auth.Teacher})
	bad := newcomer("ada", invitation.Token)
	bad.Password = "password1234"
	_, err := o.Register(t.Context(), bad, laptop)
	o.want(fault.Invalid, err)
	_, err = o.Register(t.Context(), newcomer("taken", invitation.Token), laptop)
	o.want(fault.Conflict, err)
	_, err = o.Register(t.Context(), newcomer("ada", invitation.Token), laptop)
	o.must(err)
}

func TestRegister_InvitationsEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		then func(o *office)
		want fault.Kind // Internal: they may
	}{
		"after six days":            {func(o *office) { o.advance(6 * 24 * time.Hour) }, fault.Internal},
		"after a week":              {func(o *office) { o.advance(7 * 24 * time.Hour) }, fault.Unauthorized},
		"with the school":           {func(o *office) { o.sql("UPDATE tenants SET state = 'suspended'") }, fault.Unauthorized},
		"made for something else":   {func(o *office) { o.sql("UPDATE one_time_tokens SET purpose = 'reset'") }, fault.Unauthorized},
		"after twenty tries":        {func(o *office) { o.sql("UPDATE one_time_tokens SET tries = 20") }, fault.Unauthorized},
		"not with a class archived": {func(o *office) { o.sql("UPDATE classes SET archived_at = now()") }, fault.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			o.sql("INSERT INTO classes (id, tenant, name, created_by, created_at, updated_at) VALUES ('c1', 'school', 'Class', 'root', now(), now())")
			invitation := o.invite(account.InviteSpec{Email: "ada@school.example", Role: auth.Student, Class: "c1"})
			c.then(o)
			_, err := o.Register(t.Context(), newcomer("ada", invitation.Token), laptop)
			if c.want == fault.Internal && err != nil || c.want != fault.Internal && !fault.Is(err, c.want) {
				t.Errorf("got %v", err)
			}
			_, err = o.Register(t.Context(), newcomer("eve", "A"+invitation.Token), laptop)
			o.want(fault.Unauthorized, err)
		})
	}
}

func TestInvite_WhoMayInviteWhom(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.staff()
	for _, by := range auth.Roles() {
		for _, whom := range auth.Roles() {
			p := auth.Principal{UserID: "somebody", Tenant: "school", Role: by}
			_, err := o.Invite(t.Context(), p, account.InviteSpec{Email: "ada@school.example", Role: whom})
			may := by == auth.PlatformAdmin || by == auth.Admin && whom != auth.PlatformAdmin
			if may && err != nil || !may && !fault.Is(err, fault.Forbidden) {
				t.Errorf("a %s invites a %s: %v", by, whom, err)
			}
		}
	}
	invitation, err := o.Invite(t.Context(), platform, account.InviteSpec{Email: "bob@school.example", Role: auth.PlatformAdmin})
	o.must(err)
	u, err := o.Register(t.Context(), newcomer("bob", invitation.Token), laptop)
	o.must(err)
	if u.Tenant != "school" || u.Role != auth.PlatformAdmin {
		t.Errorf("made is %+v", u)
	}
	if o.count("user.invited done zeus") != 1 {
		t.Errorf("on record is %q", o.trail())
	}
}

func TestInvite_NamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.sql(`INSERT INTO classes (id, tenant, name, created_by, created_at, updated_at, archived_at)
		VALUES ('c1', 'school', 'Class', 'root', now(), now(), now()), ('c2', 'other', 'Class', 'root', now(), now(), NULL), ('c3', 'school', 'Class', 'root', now(), now(), NULL)`)
	for want, spec := range map[string]account.InviteSpec{
		"email": {Email: "nobody", Role: auth.Student},
		"role":  {Email: "ada@school.example", Role: "king"},
		"name":  {Email: "ada@school.example", Role: auth.Student, Name: "\u202e"},
	} {
		if _, err := o.Invite(t.Context(), admin, spec); !invalid(err, want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
	for why, spec := range map[string]account.InviteSpec{
		"archived": {Class: "c1"}, "another school's": {Class: "c2"}, "unknown": {Class: "c4"}, "no parents": {Class: "c3", Role: auth.Parent},
	} {
		spec.Email = "ada@school.example"
		if spec.Role == "" {
			spec.Role = auth.Student
		}
		if _, err := o.Invite(t.Context(), admin, spec); !invalid(err, "class") {
			t.Errorf("a class that is %s: got %v", why, err)
		}
	}
	if len(o.letters("ada@school.example")) != 0 {
		t.Error("a mail went out")
	}
}
