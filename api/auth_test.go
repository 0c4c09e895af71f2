package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/internal/auth"
)

// guarded are all routes that need a principal, as requests that would succeed but for the role.
func guarded(id, deadLetter string) []ask {
	list := []ask{
		{method: "POST", path: "/api/v1/tasks", body: `{"kind":"quiz","input":` + quizInput + `}`},
		{method: "POST", path: "/api/v1/tasks/batch", body: `[{"kind":"quiz","input":` + quizInput + `}]`},
		{method: "POST", path: "/api/v1/agents/quiz/generate", body: quizInput},
		{method: "POST", path: "/api/v1/agents/code/review", body: `{"code":"x"}`},
		{method: "POST", path: "/api/v1/code/review", body: `{"code":"x"}`},
		{method: "GET", path: "/api/v1/tasks"},
		{method: "GET", path: "/api/v1/tasks/" + id},
		{method: "GET", path: "/api/v1/tasks/" + id + "/events"},
		{method: "GET", path: "/api/v1/agents"},
		{method: "GET", path: "/api/v1/agents/quiz"},
		{method: "GET", path: "/api/v1/admin/dead-letters"},
		{method: "GET", path: "/api/v1/admin/dead-letters/" + deadLetter},
		{method: "POST", path: "/api/v1/admin/dead-letters/replay", body: `{"dry_run":true}`},
		{method: "POST", path: "/api/v1/admin/dead-letters/" + deadLetter + "/replay"},
		{method: "POST", path: "/api/v1/admin/dead-letters/" + deadLetter + "/discard"},
		{method: "DELETE", path: "/api/v1/tasks/" + id},
	}
	return list
}

func newGuarded(t *testing.T) (*kit, []ask) {
	t.Helper()
	k := newKit(t)
	id, dead := k.submit().ID, k.submit().ID
	k.fail(dead, "bug")
	return k, guarded(id, dead)
}

func TestAuth_CoversEveryOperationOfTheDocument(t *testing.T) {
	t.Parallel()
	k, asks := newGuarded(t)
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(k.document(), &doc); err != nil {
		t.Fatal(err)
	}
	operations := 0
	for path, item := range doc.Paths {
		for _, method := range []string{"get", "post", "delete"} {
			if _, ok := item[method]; ok && !strings.HasPrefix(path, "/health") {
				operations++
			}
		}
	}
	if operations != len(asks) {
		t.Errorf("the document has %d guarded operations, the tests ask %d", operations, len(asks))
	}
}

func TestAuth_RefusesWhoIsNotKnown(t *testing.T) {
	t.Parallel()
	k, asks := newGuarded(t)
	sign := func(method jwt.SigningMethod, key any, expires time.Duration) string {
		s, err := jwt.NewWithClaims(method, jwt.MapClaims{
			"sub": "ada", "tenant_id": "school", "role": "admin", "exp": time.Now().Add(expires).Unix(),
		}).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	good := sign(jwt.SigningMethodHS256, secret, time.Hour)
	for name, header := range map[string]string{
		"none":          "",
		"basic":         "Basic YWRhOmFkYQ==",
		"no token":      "Bearer ",
		"garbage":       "Bearer x.y.z",
		"bad signature": "Bearer " + sign(jwt.SigningMethodHS256, []byte(strings.Repeat("x", 32)), time.Hour),
		"alg none":      "Bearer " + sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, time.Hour),
		"expired":       "Bearer " + sign(jwt.SigningMethodHS256, secret, -time.Hour),
		"two":           "Bearer " + good + " " + good,
	} {
		for _, a := range asks {
			a.as = "-"
			if header != "" {
				a.header = http.Header{"Authorization": {header}}
			}
			got := k.do(a)
			k.want(got, http.StatusUnauthorized, "unauthorized")
			if got.header.Get("WWW-Authenticate") == "" || strings.Contains(string(got.raw), good) {
				t.Errorf("%s: %s %s: %v %s", name, a.method, a.path, got.header, got.raw)
			}
		}
	}
	if list, err := k.memory.Waiting(t.Context()); err != nil || len(list) != 2 {
		t.Errorf("%d dispatches wait, %v; want the 2 from before", len(list), err)
	}
}

func TestAuth_Roles(t *testing.T) {
	t.Parallel()
	all := func(ask) bool { return true }
	submits := func(a ask) bool { return a.method == "POST" && !strings.Contains(a.path, "/admin/") }
	admin := func(a ask) bool { return strings.Contains(a.path, "/admin/") }
	oneTask := func(a ask) bool { return strings.HasPrefix(a.path, "/api/v1/tasks/") && !submits(a) }
	for role, allowed := range map[auth.Role]func(ask) bool{
		auth.Admin:   all,
		auth.Teacher: func(a ask) bool { return !admin(a) && a.method != "DELETE" },
		auth.Student: func(a ask) bool { return !admin(a) && !submits(a) && !oneTask(a) },
		auth.Parent:  func(a ask) bool { return !admin(a) && !submits(a) && !oneTask(a) },
	} {
		t.Run(string(role), func(t *testing.T) {
			t.Parallel()
			k, asks := newGuarded(t)
			for _, a := range asks {
				a.as = token(t, role, "eve")
				got := k.do(a)
				switch {
				case allowed(a) && strings.HasSuffix(a.path, "/discard"):
					k.want(got, http.StatusConflict, "conflict") // it was replayed before
				case allowed(a):
					if got.status >= 300 {
						t.Errorf("%s %s: got %d %s", a.method, a.path, got.status, got.raw)
					}
				case oneTask(a) && (role == auth.Student || role == auth.Parent):
					k.want(got, http.StatusNotFound, "not_found") // not theirs: it does not exist for them
				default:
					k.want(got, http.StatusForbidden, "forbidden")
				}
			}
		})
	}
}

func TestAuth_AnotherTenantSeesNothing(t *testing.T) {
	t.Parallel()
	k, asks := newGuarded(t)
	foreign := issue(t, auth.Principal{UserID: "ada", Tenant: "college", Role: auth.Admin}, time.Hour)
	for _, a := range asks {
		a.as = foreign
		got := k.do(a)
		switch {
		case strings.Contains(a.path, "-") && strings.Count(a.path, "-") > 2: // names a task
			k.want(got, http.StatusNotFound, "not_found")
		case got.status >= 300:
			t.Errorf("%s %s: got %d %s", a.method, a.path, got.status, got.raw)
		case a.path == "/api/v1/tasks" && a.method == "GET":
			for _, task := range decode[api.TaskPage](t, got).Tasks {
				if task.Tenant != "college" {
					t.Errorf("it lists a task of %s", task.Tenant)
				}
			}
		case a.path == "/api/v1/admin/dead-letters":
			if n := len(decode[api.TaskPage](t, got).Tasks); n != 0 {
				t.Errorf("it lists %d dead letters", n)
			}
		}
	}
	for _, a := range []ask{
		{method: "GET", path: "/api/v1/admin/dead-letters?tenant=school", as: foreign},
		{method: "POST", path: "/api/v1/admin/dead-letters/replay", body: `{"tenant":"school"}`, as: foreign},
	} {
		k.want(k.do(a), http.StatusForbidden, "forbidden")
	}
}

func TestAuth_StudentsReadTheirOwn(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	mine, other := k.submit(), k.submit()
	student := token(t, auth.Student, "ada") // the same user, now with less
	eve := token(t, auth.Student, "eve")
	k.want(k.do(ask{method: "GET", path: "/api/v1/tasks/" + mine.ID, as: student}), http.StatusOK, "")
	k.want(k.do(ask{method: "GET", path: "/api/v1/tasks/" + mine.ID + "/events", as: student}), http.StatusOK, "")
	k.want(k.do(ask{method: "DELETE", path: "/api/v1/tasks/" + mine.ID, as: student}), http.StatusForbidden, "forbidden")
	if n := len(decode[api.TaskPage](t, k.do(ask{method: "GET", path: "/api/v1/tasks", as: student})).Tasks); n != 2 {
		t.Errorf("the student lists %d tasks, want 2", n)
	}
	if n := len(decode[api.TaskPage](t, k.do(ask{method: "GET", path: "/api/v1/tasks", as: eve})).Tasks); n != 0 {
		t.Errorf("another student lists %d tasks, want 0", n)
	}
	k.want(k.do(ask{method: "GET", path: "/api/v1/tasks/" + other.ID, as: eve}), http.StatusNotFound, "not_found")
	k.want(k.do(ask{method: "GET", path: "/api/v1/tasks?user=ada", as: eve}), http.StatusForbidden, "forbidden")
	k.want(k.do(ask{method: "GET", path: "/api/v1/tasks?user=eve", as: eve}), http.StatusOK, "")
}

func TestAuth_TeachersCancelTheirOwn(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	id := k.submit().ID
	k.want(k.do(ask{method: "DELETE", path: "/api/v1/tasks/" + id, as: token(t, auth.Teacher, "bob")}), http.StatusForbidden, "forbidden")
	k.want(k.do(ask{method: "DELETE", path: "/api/v1/tasks/" + id, as: token(t, auth.Teacher, "ada")}), http.StatusOK, "")
}

func TestAuth_DevPrincipal(t *testing.T) {
	t.Parallel()
	dev := auth.DevPrincipal()
	k := newKit(t, func(c *api.Config) { c.DevPrincipal = &dev })
	k.want(k.do(ask{method: "GET", path: "/api/v1/admin/dead-letters", as: "-"}), http.StatusOK, "")
	k.want(k.do(ask{method: "GET", path: "/api/v1/admin/dead-letters", as: token(t, auth.Student, "eve")}), http.StatusForbidden, "forbidden")
	k.want(k.do(ask{method: "GET", path: "/api/v1/tasks", as: "x.y.z"}), http.StatusUnauthorized, "unauthorized")

	k = newKit(t, func(c *api.Config) { c.DevPrincipal, c.Verifier = &dev, nil })
	k.want(k.do(ask{method: "GET", path: "/api/v1/tasks", as: "-"}), http.StatusOK, "")
	k.want(k.do(ask{method: "GET", path: "/api/v1/tasks", as: token(t, auth.Admin, "eve")}), http.StatusUnauthorized, "unauthorized")
}

func TestAuth_SomeRoutesArePublic(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	public := []string{
		"/", "/health", "/health/live", "/health/ready", "/api/v1/health", "/api/v1/health/live", "/api/v1/health/ready", "/api/v1/openapi.json", "/docs",
	}
	for _, path := range public {
		if got := k.raw(ask{method: "GET", path: path, as: "-"}); got.status != http.StatusOK {
			t.Errorf("%s: %d %s", path, got.status, got.raw)
		}
	}
}
