package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/task"
)

func dev() *auth.Principal {
	p := auth.DevPrincipal()
	return &p
}

// jsonFields returns the names that T has in JSON.
func jsonFields[T any]() map[string]bool {
	names := map[string]bool{}
	for f := range reflect.TypeFor[T]().Fields() {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "-" {
			names[name] = true
		}
	}
	return names
}

func TestNew_ChecksItsConfig(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	catalog, err := task.NewCatalog(kinds())
	if err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*api.Config){
		"Config.Tasks is missing":        func(c *api.Config) { c.Tasks = nil },
		"Config.Catalog is missing":      func(c *api.Config) { c.Catalog = nil },
		"Config.Workers, Backlogs":       func(c *api.Config) { c.Audit = nil },
		"Config.Schedules, Campaigns":    func(c *api.Config) { c.Ledger = nil },
		"Config.Accounts, Directory":     func(c *api.Config) { c.Webhooks = nil },
		"Config.Verifier is missing":     func(c *api.Config) { c.DevPrincipal = nil },
		"Config.DevPrincipal: ":          func(c *api.Config) { c.DevPrincipal = &auth.Principal{UserID: "x"} },
		"may not be negative":            func(c *api.Config) { c.MaxStreams = -1 },
		"Config.Checks[0] has no name":   func(c *api.Config) { c.Checks = []api.Check{{Probe: up}} },
		`"https://a/" is no origin`:      func(c *api.Config) { c.AllowedOrigins = []string{"https://a/"} },
		`"example.org" is no origin`:     func(c *api.Config) { c.AllowedOrigins = []string{"example.org"} },
		`"https://*.example" is no`:      func(c *api.Config) { c.AllowedOrigins = []string{"https://*.example"} },
		`"*" is no origin such as https`: func(c *api.Config) { c.AllowedOrigins = []string{"https://a.example", "*"} },
	} {
		cfg := api.Config{
			Tasks: k.service, Catalog: catalog, DevPrincipal: dev(), Workers: k.engine, Backlogs: k.engine, Policies: k.engine, Audit: k.engine, AuditLog: k.engine,
			Schedules: k.schedules, Campaigns: k.campaigns, Ledger: k.engine,
			Sharing: k.school, Students: k.school, Access: k.school, Breakers: &breakers{},
		}
		k.identity.parts(&cfg)
		if _, err := api.New(cfg); err != nil {
			t.Fatal(err)
		}
		change(&cfg)
		if _, err := api.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestRouting_ErrorsHaveTheEnvelope(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for _, path := range []string{"/nothing", "/api/v1", "/api/v1/tasks/", "/api/v2/tasks", "/api/v1/tasks/x/y", "/docsx"} {
		k.want(k.do(ask{method: "GET", path: path, as: "-"}), http.StatusNotFound, "not_found")
	}
	got := k.do(ask{method: "PUT", path: "/api/v1/tasks", as: "-"})
	k.want(got, http.StatusMethodNotAllowed, "method_not_allowed")
	if allow := got.header.Get("Allow"); !strings.Contains(allow, "GET") || !strings.Contains(allow, "POST") {
		t.Errorf("Allow: %q", allow)
	}
}

func TestRequestID_IsTakenWhenPlain(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for given, taken := range map[string]bool{
		"abc-123_X.y": true, strings.Repeat("a", 128): true, strings.Repeat("a", 129): false, "a b": false, "a\"b": false, "ü": false, "": false, "<script>": false,
	} {
		got := k.do(ask{method: "GET", path: "/health/live", header: http.Header{"X-Request-Id": {given}}})
		if id := got.header.Get("X-Request-ID"); (id == given) != taken || id == "" {
			t.Errorf("%q: got %q", given, id)
		}
	}
}

func TestAccessLog_IsOneLineWithoutSecrets(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	id := k.submit().ID
	before := len(k.log.String())
	k.raw(ask{method: "GET", path: "/api/v1/tasks/" + id + "?token=hunter2"})
	var line struct {
		Level, Msg, Method, Route, Code, IP, Tenant string
		RequestID                                   string `json:"request_id"`
		UserID                                      string `json:"user_id"`
		Status, Bytes                               int
		Took                                        int64
	}
	log := k.log.String()[before:]
	if strings.Count(log, "\n") != 1 {
		t.Fatalf("not one line: %s", log)
	}
	if err := json.Unmarshal([]byte(log), &line); err != nil {
		t.Fatal(err)
	}
	if line.Msg != "request" || line.Method != http.MethodGet || line.Route != "/api/v1/tasks/:id" || line.Status != 400 || line.Code != "invalid" || line.RequestID == "" ||
		line.Tenant != "school" || line.UserID != "ada" || line.IP != "192.0.2.1" || line.Took <= 0 || line.Bytes == 0 {
		t.Errorf("got %s", log)
	}
	for _, secret := range []string{"hunter2", id, "Bearer"} {
		if strings.Contains(log, secret) {
			t.Errorf("the line holds %q: %s", secret, log)
		}
	}
	before = len(k.log.String())
	k.raw(ask{method: "GET", path: "/health"})
	if log := k.log.String()[before:]; !strings.Contains(log, `"level":"DEBUG"`) {
		t.Errorf("health probes fill the log: %s", log)
	}
}

func TestClientAddress_IsBelievedFromTrustedProxiesOnly(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		proxies []netip.Prefix
		want    string
	}{
		"direct":  {nil, "192.0.2.1"},
		"trusted": {[]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, "203.0.113.9"},
		"other":   {[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, "192.0.2.1"},
	} {
		k := newKit(t, func(cfg *api.Config) { cfg.TrustedProxies = c.proxies })
		k.raw(ask{method: "GET", path: "/api/v1/tasks", header: http.Header{"X-Forwarded-For": {"1.2.3.4, 203.0.113.9"}, "X-Real-Ip": {"5.6.7.8"}}})
		if !strings.Contains(k.log.String(), `"ip":"`+c.want+`"`) {
			t.Errorf("%s: want %s in %s", name, c.want, k.log)
		}
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	const app = "https://app.example.org"
	k := newKit(t, func(c *api.Config) { c.AllowedOrigins = []string{app} })
	preflight := func(origin string) answer {
		return k.raw(ask{method: "OPTIONS", path: "/api/v1/tasks", as: "-", header: http.Header{
			"Origin": {origin}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"authorization,idempotency-key"},
		}})
	}
	got := preflight(app)
	if got.status != http.StatusNoContent || got.header.Get("Access-Control-Allow-Origin") != app || !strings.Contains(got.header.Get("Access-Control-Allow-Headers"), "Idempotency-Key") {
		t.Errorf("got %d %v", got.status, got.header)
	}
	if other := preflight("https://evil.example"); other.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("another origin got %v", other.header)
	}
	plain := k.raw(ask{method: "GET", path: "/api/v1/tasks", header: http.Header{"Origin": {app}}})
	if plain.status != 200 || plain.header.Get("Access-Control-Allow-Origin") != app || !strings.Contains(plain.header.Get("Access-Control-Expose-Headers"), "Location") {
		t.Errorf("got %d %v", plain.status, plain.header)
	}
	without := newKit(t).raw(ask{method: "GET", path: "/api/v1/tasks", header: http.Header{"Origin": {app}}})
	if without.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("without an allow list: %v", without.header)
	}
}

func TestRun_FinishesWhatItBegan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := &slowGet{began: make(chan struct{}), takes: 5 * time.Second}
		k := newKit(t, func(c *api.Config) { slow.Tasks = c.Tasks; c.Tasks = slow })
		id := k.submit().ID
		client, stop := k.run()
		status := make(chan int, 1)
		go func() { status <- k.get(t, client, "/api/v1/tasks/"+id) }()
		<-slow.began
		if err := stop(); err != nil {
			t.Error(err)
		}
		if got := <-status; got != http.StatusOK {
			t.Errorf("the request under way got %d", got)
		}
		if got := k.get(t, client, "/health/live"); got != 0 {
			t.Errorf("a request after the end got %d", got)
		}
	})
}

func TestRun_CutsOffWhatTakesTooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := &slowGet{began: make(chan struct{}), takes: time.Minute}
		k := newKit(t, func(c *api.Config) { slow.Tasks = c.Tasks; c.Tasks, c.Drain = slow, 10*time.Second })
		id := k.submit().ID
		client, stop := k.run()
		status := make(chan int, 1)
		go func() { status <- k.get(t, client, "/api/v1/tasks/"+id) }()
		<-slow.began
		began := time.Now()
		err := stop()
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != 10*time.Second {
			t.Errorf("got %v after %v", err, took)
		}
		if got := <-status; got != 0 {
			t.Errorf("the request got %d", got)
		}
	})
}

func TestRun_SaysWhyItCannotServe(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := k.server.Run(t.Context(), l); err == nil || !strings.Contains(err.Error(), "serve http") {
		t.Errorf("got %v", err)
	}
}

func TestServer_LetsGoOfClientsThatSendSlowly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		l := newPipes()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- k.server.Run(ctx, l) }()
		for head, limit := range map[string]time.Duration{
			"GET /health/live HTTP/1.1\r\nHost:": 5 * time.Second,
			"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer " + token(t, auth.Teacher, "ada") + "\r\nContent-Length: 100\r\n\r\n{": 30 * time.Second,
		} {
			conn, err := l.dial(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if _, err := conn.Write([]byte(head)); err != nil {
				t.Fatal(err)
			}
			var buf [4096]byte
			for err == nil {
				_, err = conn.Read(buf[:])
			}
			if took := time.Since(began); took < limit || took > limit+time.Second {
				t.Errorf("let go after %v, want %v", took, limit)
			}
			_ = conn.Close()
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestLogger_IsOptional(t *testing.T) {
	t.Parallel()
	k := newKit(t, func(c *api.Config) { c.Logger = nil })
	k.submit()
	k = newKit(t, func(c *api.Config) { c.Logger = slog.New(slog.DiscardHandler) })
	k.submit()
}

// get returns the status of a GET as ada, 0 when there was no answer.
func (k *kit) get(t *testing.T, client *http.Client, path string) int {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, inMemory+path, nil)
	if err != nil {
		t.Error(err)
		return 0
	}
	r.Header.Set("Authorization", "Bearer "+token(t, auth.Teacher, "ada"))
	answer, err := client.Do(r)
	if err != nil {
		return 0
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

// slowGet takes its time, and says when it began.
type slowGet struct {
	api.Tasks
	began chan struct{}
	takes time.Duration
}

func (s *slowGet) Get(ctx context.Context, tenant, id string) (task.Task, error) {
	close(s.began)
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		return task.Task{}, ctx.Err()
	}
	return s.Tasks.Get(ctx, tenant, id)
}
