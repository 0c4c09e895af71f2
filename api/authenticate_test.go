package api_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/schedule"
	"github.com/toolboxai/orchestrator/internal/task"
)

const aKey = "tbai_0123456789ab_secret"

func TestAPIKey_IsTakenInEitherHeaderButNotInBoth(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.keys[aKey] = auth.Principal{UserID: "ada", Tenant: "school", Role: auth.Teacher, KeyID: "0123456789ab", Scopes: []auth.Scope{auth.TasksRead}}
	bearer := "Bearer " + token(t, auth.Teacher, "ada")
	for name, c := range map[string]struct {
		header http.Header
		status int
		code   string
	}{
		"as a bearer token":    {http.Header{"Authorization": {"Bearer " + aKey}}, http.StatusOK, ""},
		"in its own header":    {http.Header{"X-Api-Key": {aKey}}, http.StatusOK, ""},
		"with a token":         {http.Header{"X-Api-Key": {aKey}, "Authorization": {bearer}}, http.StatusBadRequest, "invalid"},
		"with itself":          {http.Header{"X-Api-Key": {aKey}, "Authorization": {"Bearer " + aKey}}, http.StatusBadRequest, "invalid"},
		"twice":                {http.Header{"X-Api-Key": {aKey, aKey}}, http.StatusBadRequest, "invalid"},
		"a token twice":        {http.Header{"Authorization": {bearer, bearer}}, http.StatusBadRequest, "invalid"},
		"unknown":              {http.Header{"X-Api-Key": {aKey + "x"}}, http.StatusUnauthorized, "unauthorized"},
		"a token as a key":     {http.Header{"X-Api-Key": {strings.TrimPrefix(bearer, "Bearer ")}}, http.StatusUnauthorized, "unauthorized"},
		"an empty key":         {http.Header{"X-Api-Key": {""}}, http.StatusUnauthorized, "unauthorized"},
		"basic authentication": {http.Header{"Authorization": {"Basic " + aKey}}, http.StatusUnauthorized, "unauthorized"},
	} {
		got := k.do(ask{method: "GET", path: "/api/v1/tasks", as: "-", header: c.header})
		if got.status != c.status || c.code != "" && (got.Error == nil || got.Error.Code != c.code) {
			t.Errorf("%s: got %d %s", name, got.status, got.raw)
		}
		if strings.Contains(string(got.raw), "secret") {
			t.Errorf("%s: the answer holds the key: %s", name, got.raw)
		}
	}
	got := k.do(ask{method: "POST", path: "/api/v1/tasks", as: aKey, body: goodItem})
	k.want(got, http.StatusForbidden, "forbidden")
	if !strings.Contains(got.Message, "tasks:write") {
		t.Errorf("it does not say which scope is missing: %s", got.Message)
	}
	if strings.Contains(k.log.String(), "secret") {
		t.Error("the log holds the key")
	}

	k = newKit(t, func(c *api.Config) { c.Authenticator = nil })
	k.want(k.do(ask{method: "GET", path: "/api/v1/tasks", as: aKey}), http.StatusUnauthorized, "unauthorized")
}

func TestAPIKey_DeploysToRobloxOnlyWithTheScope(t *testing.T) {
	t.Parallel()
	kind := lessonKind()
	kind.Name, kind.Aliases, kind.Routes = "roblox_asset", []string{"manage_asset"}, []string{"/agents/roblox/asset"}
	k := newKitOf(t, []task.Kind{kind})
	key := auth.Principal{UserID: "ada", Tenant: "school", Role: auth.Teacher, KeyID: "k", Scopes: []auth.Scope{auth.TasksWrite}}
	k.keys["tbai_write"] = key
	key.Scopes = []auth.Scope{auth.TasksWrite, auth.RobloxDeploy}
	k.keys["tbai_deploy"] = key
	for _, a := range []ask{
		{method: "POST", path: "/api/v1/agents/roblox/asset", body: `{}`},
		{method: "POST", path: "/api/v1/tasks", body: `{"kind":"roblox_asset","input":{}}`},
		{method: "POST", path: "/api/v1/tasks", body: `{"kind":"manage_asset","input":{}}`},
	} {
		a.as = "tbai_write"
		k.want(k.do(a), http.StatusForbidden, "forbidden")
		a.as = "tbai_deploy"
		k.want(k.do(a), http.StatusAccepted, "")
		a.as = ""
		k.want(k.do(a), http.StatusAccepted, "")
	}
	got := k.do(ask{method: "POST", path: "/api/v1/tasks/batch", body: `[{"kind":"manage_asset","input":{}}]`, as: "tbai_write"})
	if v := decode[api.Batch](t, got); v.Items[0].Status != http.StatusForbidden {
		t.Errorf("in a batch: %s", got.raw)
	}
}

// What is submitted later, or once more, is submitted as well.
func TestAPIKey_DeploysToRobloxByNoDetour(t *testing.T) {
	t.Parallel()
	kind := lessonKind()
	kind.Name, kind.Aliases, kind.Routes = "roblox_asset", []string{"manage_asset"}, []string{"/agents/roblox/asset"}
	k := newKitOf(t, []task.Kind{kind})
	key := auth.Principal{UserID: "root", Tenant: "school", Role: auth.Admin, KeyID: "k", Scopes: []auth.Scope{auth.TasksRead, auth.TasksWrite, auth.ScopeAdmin}}
	k.keys["tbai_write"] = key
	key.Scopes = append([]auth.Scope{auth.RobloxDeploy}, key.Scopes...)
	k.keys["tbai_deploy"] = key
	definition := `{"name":"d","kind":"manage_asset","input":{},"every":"1h"}`
	made := decode[schedule.Schedule](t, k.do(ask{method: "POST", path: "/api/v1/schedules", body: definition}))
	at := "/api/v1/schedules/" + made.ID
	dead := make([]string, 3)
	for i := range dead {
		failed, _, err := k.service.Submit(t.Context(), task.Submission{Tenant: "school", UserID: "ada", Kind: "roblox_asset", Input: []byte(`{}`)})
		if err != nil {
			t.Fatal(err)
		}
		dead[i] = failed.ID
		k.fail(failed.ID, events.CauseBug)
	}
	for _, a := range []ask{
		{method: "POST", path: "/api/v1/schedules", body: definition},
		{method: "PUT", path: at + "?revision=1", body: strings.Replace(definition, "1h", "2h", 1)},
		{method: "POST", path: at + "/resume"},
		{method: "POST", path: at + "/trigger"},
		{method: "POST", path: deadLetters + "/" + dead[0] + "/replay", body: `{"input":{}}`},
		{method: "POST", path: "/api/v1/tasks/" + dead[0] + "/signals/approve", body: `{}`},
		{method: "POST", path: "/api/v1/admin/campaigns", body: `{"action":"replay","filter":{},"reason":"again"}`},
		{method: "POST", path: "/api/v1/admin/campaigns", body: `{"action":"replay","filter":{"kinds":["manage_asset"]},"reason":"again"}`},
	} {
		a.as = "tbai_write"
		k.want(k.do(a), http.StatusForbidden, "forbidden")
		a.as = "tbai_deploy"
		if got := k.do(a); got.status >= 300 {
			t.Errorf("with the scope: %s %s: %s", a.method, a.path, got.raw)
		}
	}
	k.want(k.do(ask{method: "POST", path: "/api/v1/admin/campaigns", body: `{"action":"discard","filter":{},"reason":"enough"}`, as: "tbai_write"}), http.StatusAccepted, "")
	filter := ask{method: "POST", path: deadLetters + "/replay", body: `{"reason":"again"}`, as: "tbai_write"}
	if r := decode[api.ReplayReport](t, k.do(filter)); r.Matched != 2 || r.Replayed != 0 || r.Failed != 2 {
		t.Errorf("by filter without the scope: %+v", r)
	}
	filter.as = "tbai_deploy"
	if r := decode[api.ReplayReport](t, k.do(filter)); r.Replayed != 2 {
		t.Errorf("by filter with the scope: %+v", r)
	}
}

func TestTenantHeader_LetsPlatformAdminsActElsewhereOnRecord(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	elsewhere, _, err := k.service.Submit(t.Context(), task.Submission{Tenant: "college", UserID: "bob", Kind: "quiz", Input: []byte(quizInput)})
	if err != nil {
		t.Fatal(err)
	}
	get := func(role auth.Role, tenants ...string) answer {
		return k.do(ask{method: "GET", path: "/api/v1/tasks/" + elsewhere.ID, as: token(t, role, "root"), header: http.Header{"X-Tenant-Id": tenants}})
	}
	k.want(get(auth.PlatformAdmin), http.StatusNotFound, "not_found")
	k.want(get(auth.PlatformAdmin, "school"), http.StatusNotFound, "not_found")
	if n := len(k.engine.entries); n != 0 {
		t.Errorf("acting at home left %d entries", n)
	}
	got := get(auth.PlatformAdmin, "college")
	k.want(got, http.StatusOK, "")
	if e := k.engine.entries[0]; len(k.engine.entries) != 1 || e.Tenant != "college" || e.Actor != "root" || e.Action != "platform.acted" || e.Target != "GET /api/v1/tasks/:id" {
		t.Errorf("on record: %+v", k.engine.entries)
	}
	k.want(get(auth.Admin, "college"), http.StatusForbidden, "forbidden")
	k.want(get(auth.Admin, "school"), http.StatusNotFound, "not_found") // in their own
	for _, bad := range [][]string{{"College"}, {"a.>"}, {""}, {strings.Repeat("x", 65)}, {"college", "college"}} {
		got := get(auth.PlatformAdmin, bad...)
		k.want(got, http.StatusBadRequest, "invalid")
		k.wantDetail(got, "X-Tenant-ID", "")
	}
}

func TestTenantHeader_WhatCannotBePutOnRecordIsNotDone(t *testing.T) {
	t.Parallel()
	k := newKit(t, func(c *api.Config) { c.Audit = &recorder{err: fault.After(time.Second, "the broker is away")} })
	got := k.do(ask{method: "POST", path: "/api/v1/tasks", body: goodItem, as: token(t, auth.PlatformAdmin, "root"), header: http.Header{"X-Tenant-Id": {"college"}}})
	k.want(got, http.StatusServiceUnavailable, "unavailable")
	if list, err := k.memory.Waiting(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("%d dispatches wait, %v", len(list), err)
	}
}

func TestAudit_SaysFromWhere(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	k := newKit(t, func(c *api.Config) { c.Audit = r })
	p := auth.Principal{UserID: "root", Tenant: "school", Role: auth.PlatformAdmin, SessionID: "s1"}
	k.want(k.do(ask{method: "PUT", path: "/api/v1/admin/policy", body: `{"revision":0,"fairness":{}}`, as: issue(t, p, time.Minute), header: http.Header{"X-Request-Id": {"r1"}}}), http.StatusOK, "")
	want := audit.From{Actor: "root", IP: "192.0.2.1", RequestID: "r1", SessionID: "s1"}
	if len(r.from) != 1 || r.from[0] != want {
		t.Errorf("got %+v, want %+v", r.from, want)
	}
}

func TestSteps_AreToldApart(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	server, err := api.NewWithAccess(k.config, func(rules map[string]auth.Rule) {
		rule := rules["ListSchedules"]
		rule.StepUp = true
		rules["ListSchedules"] = rule
		rule = rules["ListTasks"]
		rule.Enroll = true
		rules["ListTasks"] = rule
	})
	if err != nil {
		t.Fatal(err)
	}
	k.handler = server.Handler()
	p := auth.Principal{UserID: "ada", Tenant: "school", Role: auth.Teacher, AuthAt: time.Now().Add(-time.Hour)}
	k.want(k.do(ask{method: "GET", path: "/api/v1/schedules", as: issue(t, p, time.Minute)}), http.StatusForbidden, "step_up_required")
	p.AuthAt = time.Now()
	k.want(k.do(ask{method: "GET", path: "/api/v1/schedules", as: issue(t, p, time.Minute)}), http.StatusOK, "")
	p.Enroll = true
	k.want(k.do(ask{method: "GET", path: "/api/v1/schedules", as: issue(t, p, time.Minute)}), http.StatusForbidden, "second_factor_required")
	k.want(k.do(ask{method: "GET", path: "/api/v1/tasks", as: issue(t, p, time.Minute)}), http.StatusOK, "")
}

func TestStream_EndsWhenTheTokenIsRevoked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		id := k.submit().ID
		client, stop := k.run()
		s := k.openStream(t, client, "http://server", id, "")
		defer s.close()
		k.next(id, events.Started{Attempt: 1, Dispatch: 1, Worker: "w1"})
		for f, err := s.next(); f.event != "task.started"; f, err = s.next() {
			if err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		k.revoked.Add(auth.Revocation{Kind: auth.RevokedUser, ID: "ada", Before: time.Now().Add(time.Millisecond)})
		rest := s.rest(t)
		if took := time.Since(began); took > time.Second {
			t.Errorf("it went on for %v", took)
		}
		if last := rest[len(rest)-1]; !strings.Contains(last.comment, "does so no longer") {
			t.Errorf("it ended with %+v", last)
		}
		if err := stop(); err != nil && !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}
