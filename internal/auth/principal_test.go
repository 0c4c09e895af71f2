package auth_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

func TestPrincipal_Can(t *testing.T) {
	t.Parallel()
	type may struct{ Submit, ReadOwn, ReadOther, CancelOwn, CancelOther, Administer bool }
	for role, want := range map[auth.Role]may{
		auth.PlatformAdmin: {true, true, true, true, true, true},
		auth.Admin:         {true, true, true, true, true, true},
		auth.Teacher:       {true, true, true, true, false, false},
		auth.Student:       {false, true, false, false, false, false},
		auth.Parent:        {false, true, false, false, false, false},
		"":                 {},
		"root":             {},
	} {
		p := auth.Principal{UserID: "me", Tenant: "school", Role: role}
		got := may{p.CanSubmit(), p.CanRead("me"), p.CanRead("other"), p.CanCancel("me"), p.CanCancel("other"), p.CanAdminister()}
		if got != want {
			t.Errorf("%q: got %+v, want %+v", role, got, want)
		}
		if p.CanReadTenant() != want.ReadOther {
			t.Errorf("%q: CanReadTenant is %v", role, p.CanReadTenant())
		}
	}
}

func TestDevPrincipal_IsUsable(t *testing.T) {
	t.Parallel()
	if err := auth.DevPrincipal().Check(); err != nil {
		t.Error(err)
	}
}

func TestPrincipal_Check(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*auth.Principal){
		"the user id must":    func(p *auth.Principal) { p.UserID = "a=b" },
		"user id must":        func(p *auth.Principal) { p.UserID = strings.Repeat("a", 129) },
		"the tenant id must":  func(p *auth.Principal) { p.Tenant = strings.Repeat("a", 65) },
		"the role is none":    func(p *auth.Principal) { p.Role = "" },
		"the name has more":   func(p *auth.Principal) { p.Name = strings.Repeat("a", 257) },
		"the session id must": func(p *auth.Principal) { p.SessionID = strings.Repeat("a", 65) },
	} {
		p := ada()
		change(&p)
		if err := p.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestPrincipal_ActIn(t *testing.T) {
	t.Parallel()
	root := auth.Principal{UserID: "root", Tenant: "home", Role: auth.PlatformAdmin}
	there, err := root.ActIn("school")
	if err != nil || there.Tenant != "school" || there.Home != "home" {
		t.Fatalf("got %+v, %v", there, err)
	}
	further, err := there.ActIn("college")
	if err != nil || further.Tenant != "college" || further.Home != "home" {
		t.Errorf("from one to the next: %+v, %v", further, err)
	}
	back, err := further.ActIn("home")
	if diff := cmp.Diff(root, back); diff != "" || err != nil {
		t.Errorf("back at home: %v %s", err, diff)
	}
	if _, err := root.ActIn("a.>"); !fault.Is(err, fault.Invalid) {
		t.Errorf("what is no tenant: %v", err)
	}
	for _, role := range []auth.Role{auth.Admin, auth.Teacher, auth.Student, auth.Parent, ""} {
		p := auth.Principal{UserID: "u", Tenant: "home", Role: role}
		if _, err := p.ActIn("school"); !fault.Is(err, fault.Forbidden) {
			t.Errorf("%s acts elsewhere: %v", role, err)
		}
		if same, err := p.ActIn("home"); err != nil || same.Home != "" {
			t.Errorf("%s does not act at home: %+v, %v", role, same, err)
		}
	}
}

func TestRole_Above(t *testing.T) {
	t.Parallel()
	want := map[auth.Role]string{auth.PlatformAdmin: "admin teacher student parent", auth.Admin: "teacher student parent", auth.Teacher: "student parent", auth.Student: "", auth.Parent: "", "root": ""}
	for role, names := range want {
		var got []string
		for _, other := range append(auth.Roles(), "root") {
			if role.Above(other) {
				got = append(got, string(other))
			}
		}
		if strings.Join(got, " ") != names {
			t.Errorf("%s is above %q, want %q", role, got, names)
		}
	}
}
