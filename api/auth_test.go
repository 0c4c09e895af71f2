package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/campaign"
	"github.com/toolboxai/orchestrator/internal/schedule"
)

// guarded are routes that need a principal, as requests that would succeed but for the role. The matrix asks all that there are.
func guarded(id, deadLetter, schedule, campaign string) []ask {
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
		{method: "GET", path: "/api/v1/tasks/" + id + "/explain"},
		{method: "POST", path: "/api/v1/tasks/" + id + "/signals/approved"},
		{method: "POST", path: "/api/v1/tasks/cancel", body: `{"dry_run":true}`},
		{method: "GET", path: "/api/v1/schedules"},
		{method: "POST", path: "/api/v1/schedules", body: daily},
		{method: "POST", path: "/api/v1/schedules/preview", body: daily},
		{method: "GET", path: "/api/v1/schedules/" + schedule},
		{method: "PUT", path: "/api/v1/schedules/" + schedule, body: daily},
		{method: "GET", path: "/api/v1/schedules/" + schedule + "/ticks"},
		{method: "POST", path: "/api/v1/schedules/" + schedule + "/pause"},
		{method: "POST", path: "/api/v1/schedules/" + schedule + "/resume"},
		{method: "POST", path: "/api/v1/schedules/" + schedule + "/trigger"},
		{method: "DELETE", path: "/api/v1/schedules/" + schedule},
		{method: "GET", path: "/api/v1/admin/incidents"},
		{method: "GET", path: "/api/v1/admin/campaigns"},
		{method: "POST", path: "/api/v1/admin/campaigns/plan", body: replayAll},
		{method: "GET", path: "/api/v1/admin/campaigns/" + campaign},
		{method: "POST", path: "/api/v1/admin/campaigns/" + campaign + "/stop"},
		{method: "POST", path: "/api/v1/admin/campaigns", body: `{"action":"cancel","filter":{},"reason":"end of term"}`},
		{method: "GET", path: "/api/v1/admin/usage?from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z"},
		{method: "GET", path: "/api/v1/agents/status"},
		{method: "GET", path: "/api/v1/agents/metrics"},
		{method: "GET", path: "/api/v1/agents/quiz/metrics"},
		{method: "POST", path: "/api/v1/admin/agents/quiz/pause"},
		{method: "POST", path: "/api/v1/admin/agents/quiz/resume"},
		{method: "GET", path: "/api/v1/admin/policy"},
		{method: "PUT", path: "/api/v1/admin/policy", body: `{"revision":2,"fairness":{}}`},
		{method: "POST", path: "/api/v1/admin/budgets/top-up", body: `{"scope":"tenant","id":"school","period":"day","usd":1}`},
		{method: "GET", path: "/api/v1/admin/audit"},
		{method: "GET", path: "/api/v1/admin/breakers"},
		{method: "POST", path: "/api/v1/admin/breakers/reset", body: `{"name":"redis"}`},
		{method: "GET", path: "/api/v1/agent-context"},
		{method: "PUT", path: "/api/v1/agent-context", body: `{"entries":[{"key":"note","content":"x"}]}`},
		{method: "PUT", path: "/api/v1/agent-context/note/priority", body: `{"priority":"high"}`},
		{method: "DELETE", path: "/api/v1/agent-context"},
		{method: "DELETE", path: "/api/v1/tasks/" + id},
	}
	return list
}

func newGuarded(t *testing.T) (*kit, []ask) {
	t.Helper()
	k := newKit(t)
	id, dead := k.submit().ID, k.submit().ID
	k.fail(dead, "bug")
	return k, guarded(id, dead, k.schedule().ID, k.campaign().ID)
}

const (
	daily     = `{"name":"daily quiz","kind":"quiz","input":` + quizInput + `,"cron":"0 7 * * 1-5","time_zone":"Europe/Berlin"}`
	replayAll = `{"action":"replay","filter":{},"reason":"the provider is back"}`
)

func (k *kit) schedule() schedule.Schedule {
	k.t.Helper()
	got := k.do(ask{method: "POST", path: "/api/v1/schedules", body: daily})
	k.want(got, http.StatusCreated, "")
	return decode[schedule.Schedule](k.t, got)
}

func (k *kit) campaign() campaign.Campaign {
	k.t.Helper()
	got := k.do(ask{method: "POST", path: "/api/v1/admin/campaigns", body: replayAll, as: token(k.t, auth.Admin, "root")})
	k.want(got, http.StatusAccepted, "")
	return decode[campaign.Campaign](k.t, got)
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
	signals := func(a ask) bool { return strings.Contains(a.path, "/signals/") }
	schedules := func(a ask) bool { return strings.Contains(a.path, "/schedules") }
	ownSchedule := func(a ask) bool {
		return schedules(a) && (a.method == "PUT" || a.method == "DELETE" || strings.HasSuffix(a.path, "/pause") || strings.HasSuffix(a.path, "/resume") || strings.HasSuffix(a.path, "/trigger"))
	}
	admin := func(a ask) bool { return strings.Contains(a.path, "/admin/") }
	fleet := func(a ask) bool { return strings.HasSuffix(a.path, "/status") || strings.HasSuffix(a.path, "/metrics") }
	oneTask := func(a ask) bool { return strings.HasPrefix(a.path, "/api/v1/tasks/") && a.method == "GET" }
	remembers := func(a ask) bool { return strings.Contains(a.path, "/agent-context") }
	reads := func(a ask) bool {
		return a.method == "GET" && !remembers(a) && !admin(a) && !schedules(a) && !oneTask(a) && !fleet(a)
	}
	for role, allowed := range map[auth.Role]func(ask) bool{
		auth.PlatformAdmin: all,
		auth.Admin:         func(a ask) bool { return !operates(a) },
		auth.Teacher: func(a ask) bool {
			return !admin(a) && !signals(a) && !ownSchedule(a) && (a.method != "DELETE" || remembers(a))
		},
		auth.Student: reads,
		auth.Parent:  reads,
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

// operates reports whether a decides for all tenants.
func operates(a ask) bool {
	for _, part := range []string{"/admin/policy", "/admin/agents/", "/admin/budgets/", "/admin/breakers"} {
		if strings.Contains(a.path, part) {
			return true
		}
	}
	return false
}

func TestAuth_AnotherTenantSeesNothing(t *testing.T) {
	t.Parallel()
	k, asks := newGuarded(t)
	foreign := issue(t, auth.Principal{UserID: "ada", Tenant: "college", Role: auth.Admin}, time.Hour)
	for _, a := range asks {
		a.as = foreign
		got := k.do(a)
		switch {
		case operates(a):
			k.want(got, http.StatusForbidden, "forbidden")
		case strings.HasSuffix(a.path, "/admin/campaigns") && a.method == "POST":
			if c := decode[campaign.Campaign](t, got); c.Tenant != "college" {
				t.Errorf("it acts on %s", c.Tenant)
			}
		case strings.Contains(a.path, "/admin/usage"):
			if k.engine.usage.Tenant != "college" {
				t.Errorf("it adds up what %s used", k.engine.usage.Tenant)
			}
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
		"/", "/health", "/health/live", "/health/ready", "/health/mcp", "/api/v1/health", "/api/v1/health/mcp", "/api/v1/health/live", "/api/v1/health/ready", "/api/v1/openapi.json", "/docs",
	}
	for _, path := range public {
		if got := k.raw(ask{method: "GET", path: path, as: "-"}); got.status != http.StatusOK {
			t.Errorf("%s: %d %s", path, got.status, got.raw)
		}
	}
}
