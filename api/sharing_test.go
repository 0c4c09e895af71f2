package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

func TestSharing_StudentsAndParentsReadWhatIsSharedAndNothingElse(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	shared, private := k.submit().ID, k.submit().ID
	k.school.shared = map[string][]string{"eve": {shared}, "pat": {shared}}
	for role, user := range map[auth.Role]string{auth.Student: "eve", auth.Parent: "pat"} {
		as := token(t, role, user)
		for _, rest := range []string{"", "/events", "/explain"} {
			k.want(k.do(ask{method: "GET", path: "/api/v1/tasks/" + shared + rest, as: as}), http.StatusOK, "")
			k.want(k.do(ask{method: "GET", path: "/api/v1/tasks/" + private + rest, as: as}), http.StatusNotFound, "not_found")
		}
		k.want(k.do(ask{method: "DELETE", path: "/api/v1/tasks/" + shared, as: as}), http.StatusForbidden, "forbidden")
		list := decode[api.TaskPage](t, k.do(ask{method: "GET", path: "/api/v1/tasks", as: as})).Tasks
		if len(list) != 1 || list[0].ID != shared {
			t.Errorf("%s lists %+v", role, list)
		}
		k.want(k.do(ask{method: "GET", path: "/api/v1/tasks?user=ada", as: as}), http.StatusForbidden, "forbidden")
	}
	nothing := decode[api.TaskPage](t, k.do(ask{method: "GET", path: "/api/v1/tasks", as: token(t, auth.Student, "sue")}))
	if len(nothing.Tasks) != 0 {
		t.Errorf("a student with whom nothing is shared lists %+v", nothing.Tasks)
	}
}

func TestSharing_NobodyReadsWhileItIsNotKnown(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	id := k.submit().ID
	k.school.shared = map[string][]string{"eve": {id}}
	k.school.err = fault.After(time.Second, "the directory is away")
	as := token(t, auth.Student, "eve")
	k.want(k.do(ask{method: "GET", path: "/api/v1/tasks/" + id, as: as}), http.StatusServiceUnavailable, "unavailable")
	k.want(k.do(ask{method: "GET", path: "/api/v1/tasks", as: as}), http.StatusServiceUnavailable, "unavailable")
}

func TestAccess_OfStudentsTasksIsOnRecord(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	id, dead := k.submit().ID, k.submit().ID
	k.fail(dead, "bug")
	k.school.students = map[string]bool{"ada": true} // who has submitted them
	read := func(path string, as string) { k.want(k.do(ask{method: "GET", path: path, as: as}), http.StatusOK, "") }
	own := token(t, auth.Student, "ada")
	read("/api/v1/tasks/"+id, own)
	if seen := k.school.seen(); len(seen) != 0 {
		t.Errorf("looking at one's own left %+v", seen)
	}
	read("/api/v1/tasks/"+id, token(t, auth.Teacher, "bob"))
	read("/api/v1/tasks/"+id+"/events", token(t, auth.Admin, "root"))
	read("/api/v1/admin/dead-letters/"+dead, token(t, auth.Admin, "root"))
	seen := k.school.seen()
	want := []audit.Access{
		{Tenant: "school", Actor: "bob", Student: "ada", Resource: "task " + id, Route: "GET /api/v1/tasks/:id", IP: "192.0.2.1"},
		{Tenant: "school", Actor: "root", Student: "ada", Resource: "task " + id, Route: "GET /api/v1/tasks/:id/events", IP: "192.0.2.1"},
		{Tenant: "school", Actor: "root", Student: "ada", Resource: "task " + dead, Route: "GET /api/v1/admin/dead-letters/:id", IP: "192.0.2.1"},
	}
	if len(seen) != len(want) {
		t.Fatalf("on record: %+v", seen)
	}
	for i := range want {
		if seen[i] != want[i] {
			t.Errorf("on record: %+v, want %+v", seen[i], want[i])
		}
	}
	k.want(k.do(ask{method: "GET", path: "/api/v1/tasks/01890000-0000-7000-8000-000000000000", as: token(t, auth.Teacher, "bob")}), http.StatusNotFound, "not_found")
	if len(k.school.seen()) != len(want) {
		t.Error("what was not found is on record")
	}
}

func TestAccess_OfTeachersTasksIsNot(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	id := k.submit().ID
	k.want(k.do(ask{method: "GET", path: "/api/v1/tasks/" + id, as: token(t, auth.Teacher, "bob")}), http.StatusOK, "")
	if seen := k.school.seen(); len(seen) != 0 {
		t.Errorf("on record: %+v", seen)
	}
}

func TestAccess_WhatCannotBePutOnRecordIsNotShown(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	id := k.submit().ID
	k.school.err = fault.After(time.Second, "the broker is away") // nor is it known who is a student
	got := k.do(ask{method: "GET", path: "/api/v1/tasks/" + id, as: token(t, auth.Teacher, "bob")})
	k.want(got, http.StatusServiceUnavailable, "unavailable")
	if strings.Contains(string(got.raw), "History") {
		t.Errorf("it is shown: %s", got.raw)
	}
	k.want(k.do(ask{method: "GET", path: "/api/v1/tasks/" + id}), http.StatusOK, "") // ada's own
}
