package api_test

import (
	"net/http"
	"testing"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/apikey"
	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/privacy"
	schools "github.com/toolboxai/orchestrator/internal/school"
)

// wantIdentityFields is wantFields of people, schools and keys.
func (k *kit) wantIdentityFields() {
	k.t.Helper()
	k.wantFields("CreatedUser", jsonFields[schools.Created]())
	k.wantFields("Guardian", jsonFields[schools.Guardian]())
	k.wantFields("Tenant", jsonFields[schools.Tenant]())
	k.wantFields("TenantSettings", jsonFields[schools.Settings]())
	k.wantFields("Class", jsonFields[schools.Class]())
	k.wantFields("Member", jsonFields[schools.Member]())
	k.wantFields("Share", jsonFields[schools.Share]())
	k.wantFields("APIKey", jsonFields[apikey.Key]())
	k.wantFields("Access", jsonFields[audit.Access]())
	k.wantFields("Erasure", jsonFields[privacy.Erasure]())
}

func TestUsers_Routes(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for _, c := range []struct {
		method, path, body string
		status             int
		asked              string
	}{
		{"POST", "/invitations", `{"email":"lin@school.example","role":"teacher","class":"c1"}`, 201, `invite lin@school.example as teacher to school "c1"`},
		{"GET", "/users?role=student&state=active&search=li&class=c1&cursor=c&limit=7", "", 200, "users of school {Role:student State:active Search:li Class:c1 Cursor:c Limit:7}"},
		{"POST", "/users", `{"username":"lin","name":"Lin","role":"student","temporary_password":true}`, 201, "create {Username:lin Name:Lin Email: Role:student TemporaryPassword:true}"},
		{"PATCH", "/users/u1?version=3", `{"role":"teacher"}`, 200, `update u1 3 {"Name":null,"Email":null,"Role":"teacher","State":null}`},
		{"PATCH", "/users/u1?version=3", `{"name":"Lin","email":""}`, 200, `update u1 3 {"Name":"Lin","Email":"","Role":null,"State":null}`},
		{"POST", "/users/u1/disable", "", 200, "u1 is disabled"},
		{"POST", "/users/u1/enable", "", 200, "u1 is active"},
		{"POST", "/users/u1/unlock", "", 200, "unlock u1"},
		{"GET", "/users/u1/sessions", "", 200, "sessions of u1 in school"},
		{"DELETE", "/users/u1/sessions", "", 200, "end all of u1 in school: by an admin"},
		{"GET", "/users/u1/guardians", "", 200, `guardians "" "u1"`},
		{"POST", "/users/u1/guardians", `{"parent_id":"p1"}`, 201, "p1 is a guardian of u1"},
		{"DELETE", "/users/u1/guardians/p1", "", 200, "p1 is no guardian of u1"},
		{"POST", "/users/u1/erasure", "", 202, "erase u1"},
		{"DELETE", "/users/u1", "", 202, "erase u1"},
		{"GET", "/users/u1/erasure", "", 200, "erasure of u1 in school"},
	} {
		k.want(k.asking(auth.Admin, "root", c.method, c.path, c.body), c.status, "")
		k.wantAsked(c.asked)
	}
	if last := k.engine.entries[len(k.engine.entries)-1]; last.Action != "user.sessions_revoked" || last.Target != "u1" || last.Outcome != audit.Done {
		t.Errorf("on record: %+v", last)
	}
}

func TestUsers_RefuseWhatIsNotInTheContract(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for _, c := range []struct{ method, path, body, field string }{
		{"PATCH", "/users/u1?version=3", `{}`, "body"},
		{"PATCH", "/users/u1?version=0", `{"name":"Lin"}`, "version"},
		{"PATCH", "/users/u1?version=3", `{"state":"disabled"}`, "state"},
		{"PATCH", "/users/u1?version=3", `{"role":"god"}`, "role"},
		{"POST", "/users", `{"username":"a@b","name":"Lin","role":"student"}`, "username"},
		{"POST", "/users", `{"username":"lin","email":"no address","name":"Lin","role":"student"}`, "email"},
		{"POST", "/users", `{"username":"lin","name":"Lin","role":"student","tenant_id":"college"}`, "tenant_id"},
		{"GET", "/users?role=god", "", "role"},
		{"GET", "/users/a%20b", "", "id"},
		{"GET", "/users/a'b", "", "id"},
		{"DELETE", "/users/u1/guardians/a%2Fb", "", "parent"},
		{"POST", "/users/u1/guardians", `{"parent_id":"a b"}`, "parent_id"},
	} {
		got := k.asking(auth.Admin, "root", c.method, c.path, c.body)
		k.want(got, http.StatusBadRequest, "invalid")
		k.wantDetail(got, c.field, "")
	}
	k.want(k.asking(auth.Admin, "root", "PATCH", "/users/u1", `{"name":"Lin"}`), http.StatusBadRequest, "invalid")
	if asked := k.identity.last(); asked != "" {
		t.Errorf("asked %q", asked)
	}
}

// TestUsers_AdminsHaveNoPowerOverPlatformAdmins is about what only the edge holds together: sessions, locks and erasures know no roles.
func TestUsers_AdminsHaveNoPowerOverPlatformAdmins(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.identity.users = map[string]account.User{"boss": {Role: auth.PlatformAdmin}, "u1": {Role: auth.Teacher}}
	for _, c := range []struct{ method, path string }{
		{"POST", "/unlock"}, {"GET", "/sessions"}, {"DELETE", "/sessions"}, {"POST", "/erasure"}, {"DELETE", ""}, {"GET", "/export"},
	} {
		k.want(k.asking(auth.Admin, "root", c.method, "/users/boss"+c.path, ""), http.StatusForbidden, "forbidden")
		k.wantAsked("user boss")
		k.want(k.asking(auth.Admin, "root", c.method, "/users/nobody"+c.path, ""), http.StatusNotFound, "not_found")
		for user, role := range map[string]auth.Role{"boss": auth.PlatformAdmin, "u1": auth.Admin} {
			if got := k.raw(ask{method: c.method, path: "/api/v1/users/" + user + c.path, as: fresh(t, role, "root")}); got.status >= 300 {
				t.Errorf("%s %s of %s as %s: %d %s", c.method, c.path, user, role, got.status, got.raw)
			}
		}
	}
}

func TestUsers_WhoLooksAtAStudentIsOnRecord(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.identity.users = map[string]account.User{"eve": {Role: auth.Student}, "ada": {Role: auth.Teacher}}
	k.want(k.asking(auth.Admin, "root", "GET", "/users/ada", ""), http.StatusOK, "")
	k.want(k.asking(auth.Student, "eve", "GET", "/users/eve", ""), http.StatusOK, "")
	if seen := k.school.seen(); len(seen) != 0 {
		t.Errorf("on record: %+v", seen)
	}
	k.want(k.asking(auth.Teacher, "ada", "GET", "/users/eve", ""), http.StatusOK, "")
	seen := k.school.seen()
	if len(seen) != 1 || seen[0].Actor != "ada" || seen[0].Student != "eve" || seen[0].Resource != "user eve" || seen[0].Route != "GET /api/v1/users/:id" || seen[0].IP != "192.0.2.1" {
		t.Errorf("on record: %+v", seen)
	}
	k.school.err = errBroken
	if got := k.asking(auth.Teacher, "ada", "GET", "/users/eve", ""); got.status != http.StatusInternalServerError {
		t.Errorf("what is not on record is shown: %d", got.status)
	}
}

func TestGuardians_OfAParentAreTheChildren(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.identity.users = map[string]account.User{"pat": {Role: auth.Parent}}
	k.want(k.asking(auth.Parent, "pat", "GET", "/users/pat/guardians", ""), http.StatusOK, "")
	k.wantAsked(`guardians "pat" ""`)
}

func TestIdentity_GoldenBodies(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for name, c := range map[string]struct{ method, path, body string }{
		"invitation":   {"POST", "/invitations", `{"email":"lin@school.example","role":"teacher"}`},
		"users":        {"GET", "/users", ""},
		"user_created": {"POST", "/users", `{"username":"lin","name":"Lin","role":"student","temporary_password":true}`},
		"sessions":     {"GET", "/auth/sessions", ""},
		"totp_setup":   {"POST", "/auth/totp", ""},
		"totp":         {"POST", "/auth/totp/confirm", `{"code":"123456"}`},
		"backup_codes": {"POST", "/auth/backup-codes", ""},
		"ceremony":     {"POST", "/auth/passkeys/options", ""},
		"passkeys":     {"GET", "/auth/passkeys", ""},
		"step_up":      {"POST", "/auth/step-up", `{"code":"123456"}`},
		"tenants":      {"GET", "/tenants", ""},
		"classes":      {"GET", "/classes", ""},
		"members":      {"GET", "/classes/c1/members", ""},
		"shares":       {"GET", "/classes/c1/shares", ""},
		"api_keys":     {"GET", "/api-keys", ""},
		"api_key":      {"POST", "/api-keys", `{"name":"roster","scopes":["tasks:read"]}`},
		"access_log":   {"GET", "/admin/access-log", ""},
		"erasure":      {"POST", "/users/u1/erasure", ""},
		"done":         {"POST", "/auth/logout", ""},
	} {
		got := k.asking(auth.PlatformAdmin, "root", c.method, c.path, c.body)
		if got.status >= 300 {
			t.Errorf("%s: %d %s", name, got.status, got.raw)
		}
		golden(t, name, got.raw)
	}
	got := k.do(ask{method: "POST", path: "/api/v1/users", body: `{"username":"lin","name":"Lin","role":"student"}`, as: token(t, auth.Admin, "root")})
	k.want(got, http.StatusForbidden, "step_up_required")
	golden(t, "step_up_required", got.raw)
}
