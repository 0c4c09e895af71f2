package api_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/api"
)

func TestHeaders_ProtectEveryAnswer(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for _, a := range []ask{
		{method: "GET", path: "/"}, {method: "GET", path: "/docs"}, {method: "GET", path: "/api/v1/tasks"}, {method: "GET", path: "/api/v1/tasks", as: "-"},
		{method: "GET", path: "/nothing", as: "-"}, {method: "PUT", path: "/api/v1/tasks", as: "-"}, {method: "GET", path: "/docs/nothing"},
	} {
		h := k.raw(a).header
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
		} {
			if got := h.Values(name); len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s: %q", a.path, name, got)
			}
		}
		if csp := h.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; ") || !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("%s: %q", a.path, csp)
		}
		if !strings.Contains(h.Get("Permissions-Policy"), "camera=()") || h.Get("Cache-Control") == "" || h.Get("Server") != "" {
			t.Errorf("%s: %v", a.path, h)
		}
	}
}

func TestHeaders_DemandTLSWhereItIsThere(t *testing.T) {
	t.Parallel()
	trusted := func(c *api.Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} }
	for name, c := range map[string]struct {
		change  func(*api.Config)
		request func(*http.Request)
		want    bool
	}{
		"plain":             {func(*api.Config) {}, func(*http.Request) {}, false},
		"TLS":               {func(*api.Config) {}, func(r *http.Request) { r.TLS = &tls.ConnectionState{} }, true},
		"production":        {func(c *api.Config) { c.Production = true }, func(*http.Request) {}, true},
		"a trusted proxy":   {trusted, func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "https") }, true},
		"its plain side":    {trusted, func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "http") }, false},
		"somebody's header": {func(*api.Config) {}, func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "https") }, false},
		"another proxy": {trusted, func(r *http.Request) {
			r.Header.Set("X-Forwarded-Proto", "https")
			r.RemoteAddr = "203.0.113.9:1"
		}, false},
	} {
		k := newKit(t, c.change)
		r := k.request(ask{method: "GET", path: "/api/v1/tasks"})
		c.request(r)
		if got := k.serve(r).header.Get("Strict-Transport-Security"); (got != "") != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestDocs_PolicyAllowsThePageItsScriptsAndNoOthers(t *testing.T) {
	t.Parallel()
	got := newKit(t).raw(ask{method: "GET", path: "/docs", as: "-"})
	csp := got.header.Get("Content-Security-Policy")
	scripts := regexp.MustCompile(`(?s)<script>(.*?)</script>`).FindAllSubmatch(got.raw, -1)
	if len(scripts) == 0 || !bytes.Contains(got.raw, []byte("swagger-ui-bundle.js")) {
		t.Fatalf("the page has no scripts: %s", got.raw)
	}
	for _, s := range scripts {
		sum := sha256.Sum256(s[1])
		if !strings.Contains(csp, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
			t.Errorf("the policy does not allow %.60s", s[1])
		}
	}
	directive := regexp.MustCompile(`script-src [^;]*`).FindString(csp)
	if strings.Contains(directive, "unsafe") || strings.Contains(directive, "*") || strings.Contains(directive, "http") {
		t.Errorf("the policy allows more: %s", directive)
	}
}

func TestCORS_AllowsAndShowsWhatClientsNeed(t *testing.T) {
	t.Parallel()
	const app = "https://app.example.org"
	k := newKit(t, func(c *api.Config) { c.AllowedOrigins = []string{app} })
	got := k.raw(ask{method: "OPTIONS", path: "/api/v1/tasks", as: "-", header: http.Header{
		"Origin": {app}, "Access-Control-Request-Method": {"PATCH"}, "Access-Control-Request-Headers": {"x-api-key,x-tenant-id"},
	}})
	for name, wants := range map[string][]string{
		"Access-Control-Allow-Headers": {"X-API-Key", "X-Tenant-ID", "Idempotency-Key"}, "Access-Control-Allow-Methods": {"PATCH", "DELETE"},
	} {
		for _, want := range wants {
			if !strings.Contains(got.header.Get(name), want) {
				t.Errorf("%s: %q has no %s", name, got.header.Get(name), want)
			}
		}
	}
	if got.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Error("browsers may send cookies")
	}
	got = k.raw(ask{method: "GET", path: "/api/v1/tasks", header: http.Header{"Origin": {app}}})
	for _, want := range []string{"X-RateLimit-Remaining", "Retry-After", "WWW-Authenticate"} {
		if !strings.Contains(got.header.Get("Access-Control-Expose-Headers"), want) {
			t.Errorf("%s is not shown", want)
		}
	}
	if vary := strings.Join(got.header.Values("Vary"), ","); !strings.Contains(vary, "Origin") {
		t.Errorf("Vary: %q", vary)
	}
	refused := k.raw(ask{method: "GET", path: "/api/v1/tasks", as: "x.y.z", header: http.Header{"Origin": {app}}})
	if refused.status != http.StatusUnauthorized || refused.header.Get("Access-Control-Allow-Origin") != app {
		t.Errorf("a page cannot read why it was refused: %d %v", refused.status, refused.header)
	}
}

func TestRequests_ThatNoClientOfOursSends(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	got := k.do(ask{method: "GET", path: "/api/v1/tasks?cursor=" + strings.Repeat("x", 9000)})
	k.want(got, http.StatusRequestURITooLong, "too_large")
	for _, coding := range []string{"gzip", "br", "deflate, gzip", "cow"} {
		got := k.do(ask{method: "POST", path: "/api/v1/tasks", body: goodItem, header: http.Header{"Content-Encoding": {coding}}})
		k.want(got, http.StatusUnsupportedMediaType, "unsupported_media_type")
	}
	k.want(k.do(ask{method: "POST", path: "/api/v1/tasks", body: goodItem, header: http.Header{"Content-Encoding": {"identity"}}}), http.StatusAccepted, "")
	for _, value := range []string{"a%0ab", "a%00b", "%1b[2J", "%c2%85", "%ff"} {
		got := k.do(ask{method: "GET", path: "/api/v1/tasks?schedule=" + value})
		k.want(got, http.StatusBadRequest, "invalid")
		k.wantDetail(got, "schedule", "control characters")
		k.want(k.do(ask{method: "GET", path: "/api/v1/agents/" + value}), http.StatusNotFound, "not_found")
	}
}

func TestNew_ChecksLimits(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for _, bad := range []api.Limits{{HeaderTime: -1}, {ReadTime: -1}, {URLBytes: -1}, {HeaderBytes: -1}} {
		cfg := k.config
		cfg.Limits = bad
		if _, err := api.New(cfg); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

// TestSlowClients_AreCutOff opens connections that send a byte now and then: in the head, in the body, and between requests. Each ends when
// its time is over, and others are served meanwhile.
func TestSlowClients_AreCutOff(t *testing.T) {
	t.Parallel()
	limits := api.Limits{HeaderTime: 2 * time.Second, ReadTime: 4 * time.Second, IdleTime: 6 * time.Second}
	head := "POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
	for name, c := range map[string]struct {
		begins string // what comes at once
		drips  byte   // what comes each 100 ms, 0 for nothing
		within time.Duration
	}{
		"nothing at all":   {"", 0, limits.HeaderTime},
		"slow in the head": {"GET / HTTP/1.1\r\nX-Slow: ", 'x', limits.HeaderTime},
		"slow in the body": {head, ' ', limits.ReadTime},
		"no body at all":   {head, 0, limits.ReadTime},
		"idle":             {"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n", 0, limits.IdleTime},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := newKit(t, func(cfg *api.Config) { cfg.Limits = limits })
				client, stop, dial := k.runDialled()
				begins := c.begins
				if strings.Contains(begins, "%s") {
					begins = fmt.Sprintf(begins, token(t, "teacher", "ada"))
				}
				began := time.Now()
				const slow = 20
				ended := make(chan time.Duration, slow)
				var wait sync.WaitGroup
				for range slow {
					conn := dial(t)
					wait.Go(func() { drip(conn, begins, c.drips) })
					wait.Go(func() {
						_, _ = io.Copy(io.Discard, bufio.NewReader(conn)) // to the end, however it comes
						ended <- time.Since(began)
						_ = conn.Close()
					})
				}
				<-time.After(time.Second)
				if got := k.get(t, client, "/health/live"); got != http.StatusOK {
					t.Errorf("somebody else got %d", got)
				}
				for range slow {
					if took := <-ended; took < c.within || took > c.within+time.Second {
						t.Errorf("a slow client was cut off after %v, want %v", took, c.within)
					}
				}
				wait.Wait()
				if err := stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// drip writes begins, and then a byte now and then until the connection ends.
func drip(conn net.Conn, begins string, with byte) {
	if _, err := io.WriteString(conn, begins); err != nil || with == 0 {
		return
	}
	for {
		<-time.After(100 * time.Millisecond)
		if _, err := conn.Write([]byte{with}); err != nil {
			return
		}
	}
}

func TestLargeHeads_AreRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, func(cfg *api.Config) { cfg.Limits = api.Limits{HeaderBytes: 2 << 10} })
		client, stop, _ := k.runDialled()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://server/health/live", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Large", strings.Repeat("x", 16<<10))
		got, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if got.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("got %d", got.StatusCode)
		}
		_ = got.Body.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
