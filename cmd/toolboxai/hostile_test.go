package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/porttest"
	"github.com/toolboxai/orchestrator/internal/schedule"
	"github.com/toolboxai/orchestrator/internal/school"
)

// An admin of another school who knows every id comes to nothing with them, on any route.
func TestSchool_ForeignIdsOpenNothing(t *testing.T) {
	t.Parallel()
	a := newAcademy(t)
	a.role("dispatcher")
	a.role("worker")
	a.role("recorder")
	d := a.door()
	head := d.head("north", "grace")
	head.do("POST", "/tenants", map[string]string{"id": "south", "name": "South"}, nil)
	eve := head.member(auth.Admin, "eve", "Eve Weit", "", "X-Tenant-ID", "south")
	lin := head.member(auth.Teacher, "lin", "Lin Falter", "")
	sam := head.member(auth.Student, "sam", "Sam Tupfer", "")
	pam := head.member(auth.Parent, "pam", "Pam Tupfer", "")
	var class school.Class
	lin.do("POST", "/classes", map[string]string{"name": "SECRETCLASS"}, &class)
	lin.do("POST", "/classes/"+class.ID+"/members", map[string]string{"user_id": sam.ID}, nil)
	head.do("POST", "/users/"+sam.ID+"/guardians", map[string]string{"parent_id": pam.ID}, nil)
	quiz := lin.quiz()
	lin.do("POST", "/classes/"+class.ID+"/shares", map[string]string{"task_id": quiz.ID}, nil)
	key, text := lin.key(auth.TasksRead)
	var sched schedule.Schedule
	lin.do("POST", "/schedules", json.RawMessage(`{"name":"SECRETSCHEDULE","cron":"0 3 * * *","kind":"quiz","input":{"subject":"History","objectives":["Name three causes"],"num_questions":3}}`), &sched)
	ids := map[string]string{"task": quiz.ID, "class": class.ID, "user": lin.ID, "student": sam.ID, "key": key.ID, "schedule": sched.ID, "root": head.ID, "parent": pam.ID, "session": lin.session}
	var own school.Class
	eve.do("POST", "/classes", map[string]string{"name": "own"}, &own)

	leak := func(r reply) {
		t.Helper()
		if r.status < 300 || r.status >= 500 {
			t.Errorf("let through: %s", r)
		}
		for _, word := range []string{"north", "SECRET", "Lin", "Sam", "Falter"} {
			if strings.Contains(string(r.body), word) {
				t.Errorf("tells %s: %s", word, r)
			}
		}
	}
	bodies := map[string]any{"POST": map[string]any{}, "PUT": map[string]any{}, "PATCH": map[string]any{"name": "Owned"}}
	for what, id := range ids {
		for _, req := range []string{
			"GET /tasks/%s", "GET /tasks/%s/events", "GET /tasks/%s/explain", "GET /tasks/%s/html", "DELETE /tasks/%s", "GET /admin/dead-letters/%s",
			"GET /schedules/%s", "GET /schedules/%s/ticks", "DELETE /schedules/%s", "GET /admin/campaigns/%s",
			"GET /users/%s", "DELETE /users/%s", "GET /users/%s/sessions", "DELETE /users/%s/sessions", "GET /users/%s/guardians", "GET /users/%s/export",
			"GET /users/%s/erasure", "GET /classes/%s", "DELETE /classes/%s?version=1", "GET /classes/%s/members", "GET /classes/%s/shares", "GET /api-keys/%s", "DELETE /api-keys/%s",
			"DELETE /auth/sessions/%s", "DELETE /classes/" + own.ID + "/members/%s", "DELETE /classes/" + own.ID + "/shares/%s", "DELETE /auth/passkeys/%s",
			"DELETE /users/" + eve.ID + "/guardians/%s",
		} {
			method, path, _ := strings.Cut(fmt.Sprintf(req, id), " ")
			r := eve.send(method, path, eve.access, nil)
			if r.status < 300 || r.status >= 500 {
				t.Errorf("%s as %s: %s", what, req, r)
			}
			leak(r)
		}
		for _, req := range []string{
			"POST /tasks/%s/signals/go", "POST /schedules/%s/pause", "POST /schedules/%s/resume", "POST /schedules/%s/trigger", "POST /admin/dead-letters/%s/replay",
			"POST /admin/dead-letters/%s/discard", "POST /admin/campaigns/%s/stop", "POST /users/%s/disable", "POST /users/%s/enable", "POST /users/%s/unlock",
			"POST /users/%s/erasure", "POST /classes/%s/reopen?version=1", "POST /api-keys/%s/rotate", "PATCH /users/%s?version=1",
		} {
			method, path, _ := strings.Cut(fmt.Sprintf(req, id), " ")
			leak(eve.send(method, path, eve.access, bodies[method]))
		}
		leak(eve.send("PUT", "/classes/"+id+"?version=1", eve.access, map[string]any{"name": "Owned"}))
		leak(eve.send("POST", "/users/"+id+"/guardians", eve.access, map[string]string{"parent_id": pam.ID}))
		leak(eve.send("POST", "/classes/"+own.ID+"/members", eve.access, map[string]string{"user_id": id}))
		leak(eve.send("POST", "/classes/"+id+"/members", eve.access, map[string]string{"user_id": eve.ID}))
		leak(eve.send("POST", "/classes/"+own.ID+"/shares", eve.access, map[string]string{"task_id": id}))
		leak(eve.send("POST", "/api-keys", eve.access, map[string]any{"name": "x", "scopes": []string{"tasks:read"}, "user_id": id}))
		leak(eve.send("POST", "/invitations", eve.access, map[string]string{"email": "x@people.example", "role": "student", "class": id}))
		for _, query := range []string{"/admin/audit?actor=", "/admin/audit?target=", "/admin/access-log?student=", "/tasks?user=", "/api-keys?user=", "/users?class=", "/admin/usage?from=2020-01-01T00:00:00Z&to=2030-01-01T00:00:00Z&user="} {
			r := eve.send("GET", query+id, eve.access, nil)
			for _, word := range []string{"SECRET", "Falter", quiz.ID, key.ID} {
				if strings.Contains(string(r.body), word) && word != id {
					t.Errorf("%s tells %s: %s", query, word, r)
				}
			}
		}
	}
	for _, tenant := range []string{"north", "*", ">", "north.>", "SOUTH"} {
		leak(eve.send("GET", "/users", eve.access, nil, "X-Tenant-ID", tenant))
		leak(eve.send("GET", "/tasks", text, nil, "X-Tenant-ID", tenant+"x"))
	}
	for _, path := range []string{"/tenants/north", "/tenants"} {
		leak(eve.send("GET", path, eve.access, nil))
	}
	leak(eve.send("POST", "/invitations", eve.access, map[string]string{"email": "x@people.example", "role": "platform_admin"}))
	leak(eve.send("POST", "/users", eve.access, map[string]any{"username": "evil", "name": "Evil", "role": "platform_admin", "temporary_password": true}))
	leak(eve.send("PATCH", "/users/"+eve.ID+"?version="+fmt.Sprint(eve.Version), eve.access, map[string]string{"role": "platform_admin"}))
	// One Idempotency-Key in two schools makes two tasks.
	one := lin.send("POST", "/tasks", lin.access, quizBody, "Idempotency-Key", "shared-key")
	two := eve.send("POST", "/tasks", eve.access, quizBody, "Idempotency-Key", "shared-key")
	var x, y submitted
	one.into(t, &x)
	two.into(t, &y)
	if x.Task.ID == y.Task.ID || two.status != http.StatusAccepted {
		t.Errorf("%s and %s", one, two)
	}
	lin.gets(http.StatusOK, "GET", "/tasks/"+quiz.ID, nil)
	lin.gets(http.StatusOK, "GET", "/schedules/"+sched.ID, nil)
}

// An API that starts while the broker is away does not know what was revoked: it lets nobody in on a token.
func TestRevocation_IsNotForgottenByAnAPIThatStartsAlone(t *testing.T) {
	t.Parallel()
	a := newAcademy(t)
	d := a.door()
	head := d.head("north", "grace")
	head.do("POST", "/auth/logout", nil, nil)
	head.gets(http.StatusUnauthorized, "GET", "/auth/me", nil)
	d.kill()
	a.broker.kill()
	port := porttest.Free(t)
	alone := &door{of: a, base: fmt.Sprintf("http://127.0.0.1:%d", port)}
	alone.process = a.role("api", fmt.Sprint("PORT=", port))
	eventually(t, "the API listens", func() error {
		_, err := alone.try("GET", "/health/live", "", nil)
		return err
	})
	for _, path := range []string{"/auth/me", "/users"} {
		alone.expect(http.StatusServiceUnavailable, "GET", path, head.access, nil)
		alone.expect(http.StatusUnauthorized, "GET", path, head.access+"x", nil)
	}
	a.startBroker()
	eventually(t, "the API knows what was revoked", func() error {
		if r := alone.send("GET", "/auth/me", head.access, nil); r.status != http.StatusUnauthorized {
			return fmt.Errorf("%s", r)
		}
		return nil
	})
}
