package api_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/internal/fault"
)

func up(context.Context) error { return nil }

func down(context.Context) error {
	return fault.New(fault.Unavailable, "dial nats://user:hunter2@host")
}

func checks(list ...api.Check) func(*api.Config) {
	return func(c *api.Config) { c.Checks = list }
}

func TestHealth_OfTheDependencies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		checks []api.Check
		status int
		health string
	}{
		"none":          {nil, 200, "healthy"},
		"all up":        {[]api.Check{{"nats", true, up}, {"postgres", false, up}}, 200, "healthy"},
		"optional down": {[]api.Check{{"nats", true, up}, {"postgres", false, down}}, 200, "degraded"},
		"required down": {[]api.Check{{"nats", true, down}, {"postgres", false, up}}, 503, "unhealthy"},
		"both down":     {[]api.Check{{"postgres", false, down}, {"nats", true, down}}, 503, "unhealthy"},
		"panics":        {[]api.Check{{"nats", true, func(context.Context) error { panic("x") }}}, 503, "unhealthy"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t, checks(c.checks...))
			for _, path := range []string{"/health", "/health/ready", "/api/v1/health", "/api/v1/health/ready"} {
				got := k.do(ask{method: "GET", path: path, as: "-"})
				h := decode[api.Health](t, got)
				if got.status != c.status || h.Status != c.health || h.Version != "1.2.3" || len(h.Checks) != len(c.checks) {
					t.Errorf("%s: got %d %s", path, got.status, got.raw)
				}
				for i, check := range h.Checks {
					if check.Name != c.checks[i].Name || check.Required != c.checks[i].Required || check.Up != (check.Reason == "") {
						t.Errorf("%s: got %+v", path, check)
					}
				}
				if got.status == 503 {
					k.wantDetail(got, "nats", "is down: ")
				}
				if strings.Contains(string(got.raw), "hunter2") {
					t.Errorf("%s gives away the address: %s", path, got.raw)
				}
			}
			for _, path := range []string{"/health/live", "/api/v1/health/live"} {
				k.want(k.do(ask{method: "GET", path: path, as: "-"}), http.StatusOK, "")
			}
			if strings.Contains(name, "down") && !strings.Contains(k.log.String(), "hunter2") {
				t.Error("the log does not say why")
			}
		})
	}
}

func TestHealth_LooksAtAllAtOnceAndWaitsASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := func(ctx context.Context) error {
			select {
			case <-time.After(800 * time.Millisecond):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		hangs := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		k := newKit(t, checks(api.Check{"slow", true, slow}, api.Check{"hangs", false, hangs}, api.Check{"fast", true, up}, api.Check{"slow too", true, slow}))
		began := time.Now()
		h := decode[api.Health](t, k.do(ask{method: "GET", path: "/health/ready", as: "-"}))
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %v, want 1 s", took)
		}
		if h.Status != "degraded" || h.Checks[0].LatencyMS != 800 || h.Checks[1].Up || h.Checks[1].Reason != "timeout" || h.Checks[2].LatencyMS > 1 || h.Checks[3].LatencyMS != 800 {
			t.Errorf("got %+v", h)
		}
	})
}

func TestHealth_DoesNotAskTooOften(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		k := newKit(t, checks(api.Check{"nats", true, func(context.Context) error { asked.Add(1); return nil }}))
		for range 50 {
			k.raw(ask{method: "GET", path: "/health/ready", as: "-"})
		}
		if n := asked.Load(); n != 1 {
			t.Errorf("50 requests at once asked %d times", n)
		}
		<-time.After(time.Second) // of the bubble's clock
		k.raw(ask{method: "GET", path: "/health/ready", as: "-"})
		if n := asked.Load(); n != 2 {
			t.Errorf("a second later it was asked %d times, want 2", n)
		}
	})
}

func TestHealth_AProbeThatIgnoresItsContextIsDownAndNotStartedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var started atomic.Int32
		release := make(chan error)
		k := newKit(t, checks(api.Check{"stuck", true, func(context.Context) error { started.Add(1); return <-release }}))
		for range 3 {
			got := k.do(ask{method: "GET", path: "/health/ready", as: "-"})
			k.want(got, http.StatusServiceUnavailable, "unavailable")
			<-time.After(2 * time.Second)
		}
		if n := started.Load(); n != 1 {
			t.Errorf("it was started %d times", n)
		}
		release <- errors.New("at last")
		synctest.Wait()
		k.want(k.do(ask{method: "GET", path: "/health/ready", as: "-"}), http.StatusServiceUnavailable, "unavailable")
		<-time.After(2 * time.Second)
		go func() { release <- nil }()
		k.want(k.do(ask{method: "GET", path: "/health/ready", as: "-"}), http.StatusOK, "")
	})
}

func TestHealth_GoldenBodies(t *testing.T) {
	t.Parallel()
	list := func(nats func(context.Context) error) func(*api.Config) {
		return checks(api.Check{"nats", true, nats}, api.Check{"postgres", false, down})
	}
	golden(t, "degraded", newKit(t, list(up)).do(ask{method: "GET", path: "/health/ready", as: "-"}).raw)
	golden(t, "unhealthy", newKit(t, list(down)).do(ask{method: "GET", path: "/health/ready", as: "-"}).raw)
}
