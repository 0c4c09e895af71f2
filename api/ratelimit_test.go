package api_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/limit"
	"github.com/toolboxai/orchestrator/internal/policy"
)

// limited counts in memory.
func limited(t testing.TB) func(*api.Config) {
	t.Helper()
	l, err := limit.NewLocal(limit.LocalConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return func(c *api.Config) { c.Limiter = l }
}

func TestRateLimit_CountsEachUserAndSaysHowMuchIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, limited(t))
		list := ask{method: "GET", path: "/api/v1/agents"}
		for left := 19; left >= 0; left-- { // a burst of 20
			got := k.raw(list)
			if got.status != http.StatusOK || got.header.Get("X-RateLimit-Limit") != "20" || got.header.Get("X-RateLimit-Remaining") != strconv.Itoa(left) || got.header.Get("X-RateLimit-Reset") == "" {
				t.Fatalf("with %d left: %d %v", left, got.status, got.header)
			}
		}
		got := k.raw(list)
		k.want(got, http.StatusTooManyRequests, "rate_limited")
		if got.header.Get("X-RateLimit-Remaining") != "0" || got.header.Get("Retry-After") != "1" || !strings.Contains(got.header.Get("RateLimit-Policy"), `"user"`) {
			t.Errorf("refused with %v", got.header)
		}
		k.want(k.raw(ask{method: "GET", path: "/api/v1/agents", as: token(t, auth.Teacher, "bob")}), http.StatusOK, "")
		<-time.After(time.Second) // as Retry-After says
		k.want(k.raw(list), http.StatusOK, "")
	})
}

func TestRateLimit_HeadersStandOnEveryAnswer(t *testing.T) {
	t.Parallel()
	k := newKit(t, limited(t))
	for status, a := range map[int]ask{
		http.StatusOK:               {method: "GET", path: "/api/v1/tasks"},
		http.StatusBadRequest:       {method: "GET", path: "/api/v1/tasks?limit=0"},
		http.StatusUnauthorized:     {method: "GET", path: "/api/v1/tasks", as: "x.y.z"},
		http.StatusForbidden:        {method: "GET", path: "/api/v1/admin/policy"},
		http.StatusNotFound:         {method: "GET", path: "/api/v1/nothing", as: "-"},
		http.StatusMethodNotAllowed: {method: "PUT", path: "/api/v1/tasks", as: "-"},
	} {
		got := k.raw(a)
		for _, name := range []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} {
			if n, err := strconv.Atoi(got.header.Get(name)); err != nil || n < 0 || got.status != status {
				t.Errorf("%s %s: %d, %s: %q", a.method, a.path, got.status, name, got.header.Get(name))
			}
		}
	}
	for _, path := range []string{"/health", "/api/v1/health/ready"} {
		for range 500 {
			k.want(k.raw(ask{method: "GET", path: path, as: "-"}), http.StatusOK, "")
		}
	}
	off := newKit(t)
	if got := off.raw(ask{method: "GET", path: "/api/v1/tasks"}); got.header.Get("X-RateLimit-Limit") != "" {
		t.Errorf("without a limiter: %v", got.header)
	}
}

func TestRateLimit_CountsSubmissionsByKindHoweverTheyCome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, limited(t))
		ways := []ask{
			{method: "POST", path: "/api/v1/agents/quiz/generate", body: quizInput},
			{method: "POST", path: "/api/v1/tasks", body: `{"kind":"quiz","input":` + quizInput + `}`},
			{method: "POST", path: "/api/v1/tasks", body: `{"kind":"generate_quiz","input":` + quizInput + `}`},
		}
		for i := range 20 { // quiz: 20 in any minute
			k.want(k.raw(ways[i%len(ways)]), http.StatusAccepted, "")
			<-time.After(time.Second) // within the user's own limit
		}
		for _, a := range ways {
			got := k.raw(a)
			k.want(got, http.StatusTooManyRequests, "rate_limited")
			if !strings.Contains(got.Message, "quiz") {
				t.Errorf("it does not say which limit: %s", got.Message)
			}
		}
		k.want(k.raw(ask{method: "POST", path: "/api/v1/code/review", body: `{"code":"x"}`}), http.StatusAccepted, "")
	})
}

func TestRateLimit_ABatchIsNoWayAround(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, limited(t))
		items := []string{`{"kind":"code_review","input":{"code":"x"}}`, `{"kind":"nonsense"}`}
		for range 30 {
			items = append(items, `{"kind":"quiz","input":`+quizInput+`}`)
		}
		send := func() api.Batch {
			got := k.raw(ask{method: "POST", path: "/api/v1/tasks/batch", body: "[" + strings.Join(items, ",") + "]"})
			k.want(got, http.StatusMultiStatus, "")
			return decode[api.Batch](t, got)
		}
		b := send()
		if b.Accepted != 21 { // a review and 20 quizzes
			t.Errorf("%d were accepted", b.Accepted)
		}
		for i, v := range b.Items {
			want := http.StatusAccepted
			switch {
			case i == 1:
				want = http.StatusBadRequest
			case i > 21:
				want = http.StatusTooManyRequests
			}
			if v.Status != want {
				t.Errorf("item %d: %+v, want %d", i, v, want)
			}
		}
		if again := send(); again.Accepted != 1 {
			t.Errorf("the second one: %d were accepted", again.Accepted)
		}
	})
}

func TestRateLimit_KeysCountForThemselvesAndTogetherByKind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, limited(t))
		for name, perMinute := range map[string]int{"tbai_small": 10, "tbai_large": 5000} {
			k.keys[name] = auth.Principal{UserID: "ada", Tenant: "school", Role: auth.Teacher, KeyID: name, PerMinute: perMinute, Scopes: auth.Scopes()}
		}
		passed := map[string]int{}
		for range 40 {
			for name := range k.keys {
				if k.raw(ask{method: "GET", path: "/api/v1/agents", as: name}).status == http.StatusOK {
					passed[name]++
				}
			}
		}
		if passed["tbai_small"] != 2 || passed["tbai_large"] != 40 { // a fifth at once
			t.Errorf("passed: %v", passed)
		}
		accepted := 0
		for range 12 {
			for _, as := range []string{"tbai_large", token(t, auth.Teacher, "ada")} {
				if k.raw(ask{method: "POST", path: "/api/v1/agents/quiz/generate", body: quizInput, as: as}).status == http.StatusAccepted {
					accepted++
				}
			}
		}
		if accepted != 20 {
			t.Errorf("key and user together submitted %d quizzes", accepted)
		}
	})
}

func TestRateLimit_FollowsThePolicy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		passed := func(k *kit, as string) (n int) {
			for range 10 {
				if k.raw(ask{method: "GET", path: "/api/v1/agents", as: as}).status == http.StatusOK {
					n++
				}
			}
			return n
		}
		under := func(rate policy.Rate) *kit {
			k := newKit(t, limited(t))
			k.raw(ask{method: "GET", path: "/api/v1/agents", as: "x.y.z"}) // the server knows the policy from before
			if _, err := k.engine.Save(t.Context(), policy.Policy{Rates: []policy.Rate{rate}}); err != nil {
				t.Fatal(err)
			}
			return k
		}
		k := under(policy.Rate{Class: "user", Tenant: "school", PerMinute: 60, Burst: 3})
		if n := passed(k, ""); n != 3 {
			t.Errorf("%d requests of the school passed", n)
		}
		if n := passed(k, issue(t, auth.Principal{UserID: "bob", Tenant: "college", Role: auth.Teacher}, time.Hour)); n != 10 {
			t.Errorf("%d requests of another school passed", n)
		}
		if n := passed(under(policy.Rate{Class: "global", PerMinute: 60, Burst: 4}), ""); n != 3 { // and the one from before
			t.Errorf("%d requests passed the limit for all", n)
		}
	})
}

func TestRateLimit_CountsFailedProofsByAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, limited(t))
		from := func(address, as string) answer {
			r := k.request(ask{method: "GET", path: "/api/v1/agents", as: as})
			r.RemoteAddr = address
			return k.serve(r)
		}
		for i := range 30 {
			k.want(from("198.51.100.7:1000", fmt.Sprintf("x.y.%d", i)), http.StatusUnauthorized, "unauthorized")
		}
		got := from("198.51.100.7:1000", "x.y.z")
		k.want(got, http.StatusTooManyRequests, "rate_limited")
		if got.header.Get("Retry-After") == "" {
			t.Errorf("refused with %v", got.header)
		}
		k.want(from("198.51.100.7:1000", ""), http.StatusOK, "") // a neighbour with a good token
		k.want(from("198.51.100.8:1000", "x.y.z"), http.StatusUnauthorized, "unauthorized")
		for i := range 30 { // a network of IPv6 is one
			k.want(from(fmt.Sprintf("[2001:db8:1:2::%x]:1000", i+1), "x.y.z"), http.StatusUnauthorized, "unauthorized")
		}
		k.want(from("[2001:db8:1:2:ffff::1]:1000", "x.y.z"), http.StatusTooManyRequests, "rate_limited")
		k.want(from("[2001:db8:1:3::1]:1000", "x.y.z"), http.StatusUnauthorized, "unauthorized")
	})
}

func TestRateLimit_CountsPublicPagesByAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, limited(t))
		passed := 0
		for range 150 {
			if k.raw(ask{method: "GET", path: "/api/v1/openapi.json", as: "-", header: http.Header{"If-None-Match": {"x"}}}).status == http.StatusOK {
				passed++
			}
		}
		if passed != 100 { // at once
			t.Errorf("%d passed", passed)
		}
		k.want(k.raw(ask{method: "GET", path: "/api/v1/nothing", as: "-"}), http.StatusTooManyRequests, "rate_limited")
		k.want(k.raw(ask{method: "GET", path: "/api/v1/agents"}), http.StatusOK, "") // who is known counts for themselves
	})
}

func TestRateLimit_ALimiterThatCannotCountLetsNobodyThrough(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{fault.After(time.Second, "redis is away"), http.StatusServiceUnavailable, "unavailable"},
		{fault.New(fault.Invalid, "no such limit"), http.StatusInternalServerError, "internal"},
	} {
		k := newKit(t, func(cfg *api.Config) { cfg.Limiter = brokenLimiter{c.err} })
		k.want(k.raw(ask{method: "GET", path: "/api/v1/agents"}), c.status, c.code)
	}
}

type brokenLimiter struct{ err error }

func (b brokenLimiter) Take(context.Context, ...limit.Ask) (limit.Verdict, error) {
	return limit.Verdict{}, b.err
}

func TestLimitAccount_CountsOneAccountFromEverywhereUnderAllItsSpellings(t *testing.T) {
	t.Parallel()
	k := newKit(t, limited(t))
	for i, login := range []string{"Ada", "ada", " ADA ", "ａｄａ", "ada"} { // the fourth in letters as wide as Chinese ones
		if err := k.server.LimitAccount(t.Context(), login); err != nil {
			t.Errorf("try %d: %v", i+1, err)
		}
	}
	if err := k.server.LimitAccount(t.Context(), "aDa"); !fault.Is(err, fault.RateLimited) || fault.RetryAfter(err) <= 0 {
		t.Errorf("the sixth try: %v", err)
	}
	if err := k.server.LimitAccount(t.Context(), "bob"); err != nil {
		t.Errorf("another account: %v", err)
	}
}
