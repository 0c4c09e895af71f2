package auth_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

func TestRule_Decide(t *testing.T) {
	t.Parallel()
	now := time.Now()
	as := func(role auth.Role, change ...func(*auth.Principal)) auth.Principal {
		p := auth.Principal{UserID: "u", Tenant: "school", Role: role, AuthAt: now.Add(-time.Minute)}
		for _, c := range change {
			c(&p)
		}
		return p
	}
	key := func(scopes ...auth.Scope) func(*auth.Principal) {
		return func(p *auth.Principal) { p.KeyID, p.Scopes, p.AuthAt = "k", scopes, time.Time{} }
	}
	stale := func(p *auth.Principal) { p.AuthAt = now.Add(-auth.StepUpWindow - time.Second) }
	never := func(p *auth.Principal) { p.AuthAt = time.Time{} }
	ahead := func(p *auth.Principal) { p.AuthAt = now.Add(time.Hour) }
	enrolling := func(p *auth.Principal) { p.Enroll = true }
	renewing := func(p *auth.Principal) { p.Renew = true }
	dev := func(p *auth.Principal) { p.Dev, p.AuthAt = true, time.Time{} }

	tasks := auth.Rule{Admin: auth.Tenant, Teacher: auth.Own, Student: auth.Shared, Scope: auth.TasksRead}
	plain := auth.Rule{Admin: auth.Tenant, Teacher: auth.Own}
	careful := auth.Rule{Admin: auth.Tenant, StepUp: true, Scope: auth.ScopeAdmin}
	platform := auth.Rule{Platform: true}
	setup := auth.Rule{Admin: auth.Own, Teacher: auth.Own, Enroll: true}

	for name, c := range map[string]struct {
		rule auth.Rule
		p    auth.Principal
		want auth.Reach
		why  string // of a refusal
		is   error
	}{
		"public":                            {rule: auth.Rule{Public: true}},
		"the zero rule":                     {p: as(auth.PlatformAdmin), why: "this is for nobody"},
		"nobody":                            {rule: tasks, why: "this is for the roles admin, teacher, student only"},
		"admin":                             {rule: tasks, p: as(auth.Admin), want: auth.Tenant},
		"platform admin as an admin":        {rule: tasks, p: as(auth.PlatformAdmin), want: auth.Tenant},
		"teacher":                           {rule: tasks, p: as(auth.Teacher), want: auth.Own},
		"student":                           {rule: tasks, p: as(auth.Student), want: auth.Shared},
		"parent":                            {rule: tasks, p: as(auth.Parent), why: "this is for the roles admin, teacher, student only"},
		"unknown role":                      {rule: tasks, p: as("root"), why: "this is for the roles admin, teacher, student only"},
		"somebody else's password":          {rule: tasks, p: as(auth.Teacher, renewing), why: "your password was chosen by somebody else", is: auth.ErrRenew},
		"somebody else's password, mending": {rule: setup, p: as(auth.Teacher, renewing), want: auth.Own},
		"platform":                          {rule: platform, p: as(auth.PlatformAdmin), want: auth.Tenant},
		"platform as an admin":              {rule: platform, p: as(auth.Admin), why: "this is for platform admins only"},
		"platform as an admin, with reach":  {rule: auth.Rule{Platform: true, Admin: auth.Tenant}, p: as(auth.Admin), why: "this is for platform admins only"},
		"key":                               {rule: tasks, p: as(auth.Teacher, key(auth.TasksWrite, auth.TasksRead)), want: auth.Own},
		"key of a role that may not":        {rule: tasks, p: as(auth.Parent, key(auth.TasksRead)), why: "this is for the roles"},
		"key without the scope":             {rule: tasks, p: as(auth.Admin, key(auth.TasksWrite)), why: "the API key lacks the scope tasks:read"},
		"key without any scope":             {rule: tasks, p: as(auth.Admin, key()), why: "the API key lacks the scope tasks:read"},
		"key where keys may not":            {rule: plain, p: as(auth.Admin, key(auth.Scopes()...)), why: "API keys may not do this: sign in"},
		"scopes without a key":              {rule: plain, p: as(auth.Admin, func(p *auth.Principal) { p.Scopes = []auth.Scope{} }), why: "API keys may not do this: sign in"},
		"key that needs a step":             {rule: careful, p: as(auth.Admin, key(auth.ScopeAdmin)), why: "API keys may not do this: sign in"},
		"admin scope does not hold another": {rule: tasks, p: as(auth.Admin, key(auth.ScopeAdmin)), why: "the API key lacks the scope tasks:read"},
		"fresh":                             {rule: careful, p: as(auth.Admin), want: auth.Tenant},
		"stale":                             {rule: careful, p: as(auth.Admin, stale), why: "from the last 10 minutes", is: auth.ErrStepUp},
		"never proved":                      {rule: careful, p: as(auth.Admin, never), why: "from the last 10 minutes", is: auth.ErrStepUp},
		"proved in future":                  {rule: careful, p: as(auth.Admin, ahead), why: "from the last 10 minutes", is: auth.ErrStepUp},
		"stale where it does not matter":    {rule: plain, p: as(auth.Admin, stale), want: auth.Tenant},
		"stale and without the right":       {rule: careful, p: as(auth.Teacher, stale), why: "this is for the roles admin only"},
		"developer":                         {rule: careful, p: as(auth.Admin, dev), want: auth.Tenant},
		"enrolling":                         {rule: tasks, p: as(auth.Teacher, enrolling), why: "set one up first", is: auth.ErrEnroll},
		"enrolling where that may be done":  {rule: setup, p: as(auth.Teacher, enrolling), want: auth.Own},
		"enrolling comes before a step":     {rule: careful, p: as(auth.Admin, enrolling, stale), why: "set one up first", is: auth.ErrEnroll},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := c.rule.Decide(c.p, now)
			if got != c.want {
				t.Errorf("reaches %v, want %v", got, c.want)
			}
			if c.why == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if !fault.Is(err, fault.Forbidden) || !strings.Contains(err.Error(), c.why) {
				t.Errorf("got %v, want Forbidden with %q", err, c.why)
			}
			for _, step := range []error{auth.ErrStepUp, auth.ErrEnroll} {
				if errors.Is(err, step) != errors.Is(c.is, step) {
					t.Errorf("is %v: %v", step, errors.Is(err, step))
				}
			}
		})
	}
}

// Whatever the rule and whoever asks: a limit more never widens a reach, and what is refused reaches nothing.
func TestRule_NoLimitWidensAReach(t *testing.T) {
	t.Parallel()
	now := time.Now()
	reach := rapid.SampledFrom([]auth.Reach{auth.Nothing, auth.Own, auth.Shared, auth.Tenant})
	scope := rapid.SampledFrom(append(auth.Scopes(), ""))
	rapid.Check(t, func(t *rapid.T) {
		r := auth.Rule{
			Platform: rapid.Bool().Draw(t, "platform"), Admin: reach.Draw(t, "admin"), Teacher: reach.Draw(t, "teacher"),
			Student: reach.Draw(t, "student"), Parent: reach.Draw(t, "parent"), Scope: scope.Draw(t, "scope"),
		}
		p := auth.Principal{UserID: "u", Tenant: "school", Role: rapid.SampledFrom(append(auth.Roles(), "", "root")).Draw(t, "role"), AuthAt: now}
		free, err := r.Decide(p, now)
		if (err == nil) != (free > auth.Nothing) {
			t.Fatalf("reaches %v with %v", free, err)
		}
		limited := []auth.Principal{p, p, p}
		limited[0].KeyID, limited[0].Scopes = "k", rapid.SliceOf(rapid.SampledFrom(auth.Scopes())).Draw(t, "scopes")
		limited[1].Enroll = true
		limited[2].AuthAt = time.Time{}
		r.StepUp = rapid.Bool().Draw(t, "step up")
		for _, q := range limited {
			got, err := r.Decide(q, now)
			if got > free || (err == nil) != (got > auth.Nothing) {
				t.Fatalf("%+v reaches %v with %v, without the limit %v", q, got, err, free)
			}
		}
	})
}

func TestRole_ScopesAreWhatItsKeysMayHave(t *testing.T) {
	t.Parallel()
	for role, want := range map[auth.Role]string{
		auth.PlatformAdmin: "tasks:read tasks:write content:read analytics:read roblox:deploy admin",
		auth.Admin:         "tasks:read tasks:write content:read analytics:read roblox:deploy admin",
		auth.Teacher:       "tasks:read tasks:write content:read analytics:read roblox:deploy",
		auth.Student:       "tasks:read content:read",
		auth.Parent:        "tasks:read content:read",
		"root":             "",
	} {
		var got []string
		for _, s := range role.Scopes() {
			got = append(got, string(s))
			if !s.Valid() {
				t.Errorf("%s is no scope", s)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %q, want %q", role, got, want)
		}
	}
	if auth.Scope("tasks:delete").Valid() {
		t.Error("tasks:delete is a scope")
	}
}
