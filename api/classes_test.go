package api_test

import (
	"net/http"
	"testing"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/task"
)

func TestClasses_Routes(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for _, c := range []struct {
		method, path, body string
		status             int
		asked              string
	}{
		{"GET", "/classes", "", 200, `classes by "" archived false "" 0`},
		{"GET", "/classes?state=archived&created_by=ada&cursor=c&limit=3", "", 200, `classes by "ada" archived true "c" 3`},
		{"POST", "/classes", `{"name":"5b"}`, 201, "create class 5b"},
		{"GET", "/classes/c1", "", 200, "class c1"},
		{"PUT", "/classes/c1?version=4", `{"name":"6b"}`, 200, "rename class c1 4 6b"},
		{"DELETE", "/classes/c1", "", 200, "archive c1 1 true"},
		{"POST", "/classes/c1/reopen", "", 200, "archive c1 1 false"},
		{"GET", "/classes/c1/members", "", 200, "members of c1"},
		{"POST", "/classes/c1/members", `{"user_id":"eve"}`, 201, "eve joins c1"},
		{"DELETE", "/classes/c1/members/eve", "", 200, "eve leaves c1"},
		{"GET", "/classes/c1/shares?limit=2", "", 200, "shares {Class:c1 Cursor: Limit:2}"},
		{"DELETE", "/classes/c1/shares/t1", "", 200, "c1 reads t1 no more"},
	} {
		k.want(k.asking(auth.Teacher, "ada", c.method, c.path, c.body), c.status, "")
		k.wantAsked(c.asked)
	}
}

func TestClasses_ArchiveTheNewestVersion(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.identity.races = 2
	k.want(k.asking(auth.Teacher, "ada", "DELETE", "/classes/c1", ""), http.StatusOK, "")
	k.wantAsked("archive c1 1 true")
	k.identity.races = 3
	k.want(k.asking(auth.Teacher, "ada", "DELETE", "/classes/c1", ""), http.StatusConflict, "conflict")
}

func TestShares_TeachersShareTheirOwnTasks(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	mine := k.submit().ID
	theirs, _, err := k.service.Submit(t.Context(), task.Submission{Tenant: "school", UserID: "bob", Kind: "quiz", Input: []byte(quizInput)})
	if err != nil {
		t.Fatal(err)
	}
	share := func(role auth.Role, user, id string) answer {
		return k.asking(role, user, "POST", "/classes/c1/shares", `{"task_id":"`+id+`"}`)
	}
	k.want(share(auth.Teacher, "ada", theirs.ID), http.StatusForbidden, "forbidden")
	k.want(share(auth.Teacher, "ada", "0199aaaa-0000-7000-8000-00000000dead"), http.StatusNotFound, "not_found")
	if k.identity.wasAsked("ada shares") {
		t.Error("ada shares what is not hers")
	}
	k.want(share(auth.Teacher, "ada", mine), http.StatusCreated, "")
	k.wantAsked("ada shares " + mine + " with c1")
	k.want(share(auth.Admin, "root", theirs.ID), http.StatusCreated, "")
	k.wantAsked("root shares " + theirs.ID + " with c1")
}

func TestTenants_Routes(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for _, c := range []struct {
		method, path, body string
		status             int
		asked              string
	}{
		{"GET", "/tenants?state=suspended&limit=2", "", 200, "tenants {State:suspended Cursor: Limit:2}"},
		{"POST", "/tenants", `{"id":"north","name":"North"}`, 201, "create tenant north North <nil>"},
		{"POST", "/tenants", `{"id":"north","name":"North","settings":{"retention_days":{"tasks":30}}}`, 201, "create tenant north North &{RetentionDays:{Tasks:30 Audit:0 Access:0} Pseudonyms:true}"},
		{"GET", "/tenants/north", "", 200, "tenant north"},
		{
			"PUT", "/tenants/north", `{"name":"South","settings":{"pseudonyms":false}}`, 200,
			`change tenant north {"Name":"South","State":null,"Settings":{"retention_days":{"tasks":0,"audit":0,"access":0},"pseudonyms":false}}`,
		},
		{"POST", "/tenants/north/suspend", "", 200, `change tenant north {"Name":null,"State":"suspended","Settings":null}`},
		{"POST", "/tenants/north/resume", "", 200, `change tenant north {"Name":null,"State":"active","Settings":null}`},
	} {
		k.want(k.asking(auth.PlatformAdmin, "root", c.method, c.path, c.body), c.status, "")
		k.wantAsked(c.asked)
		if c.method != "GET" {
			k.want(k.asking(auth.Admin, "root", c.method, c.path, c.body), http.StatusForbidden, "forbidden")
		}
	}
	for _, body := range []string{`{"id":"No","name":"x"}`, `{"id":"a.b","name":"x"}`, `{"id":"a","name":"x","settings":{"retention_days":{"tasks":-1}}}`} {
		k.want(k.asking(auth.PlatformAdmin, "root", "POST", "/tenants", body), http.StatusBadRequest, "invalid")
	}
}
