package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/internal/channels"
	"github.com/toolboxai/orchestrator/internal/channels/httpapi"
	"github.com/toolboxai/orchestrator/internal/fault"
)

func get(path string, params ...string) call {
	c := call{method: "GET", path: "/apps/3/" + path, params: map[string]string{}}
	for i := 0; i < len(params); i += 2 {
		c.params[params[i]] = params[i+1]
	}
	return c
}

func TestQuery_AnswersAsDocumented(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		call   call
		status int
		want   string
	}{
		{get("channels"), 200, `{"channels":{"cache-price":{},"news":{},"presence-hall":{},"presence-room":{}}}`},
		{get("channels", "filter_by_prefix", "presence-", "info", "user_count"), 200, `{"channels":{"presence-hall":{"user_count":3},"presence-room":{"user_count":2}}}`},
		{get("channels", "filter_by_prefix", "n", "info", "subscription_count"), 200, `{"channels":{"news":{"subscription_count":13}}}`},
		{get("channels", "filter_by_prefix", "#"), 200, `{"channels":{}}`},
		{get("channels", "filter_by_prefix", "a b"), 200, `{"channels":{}}`},
		{get("channels", "info", "user_count"), 400, "user_count may only be requested for presence channels"},
		{get("channels", "info", "cache"), 400, `info "cache" is none of user_count, subscription_count`},
		{get("channels/news"), 200, `{"occupied":true}`},
		{get("channels/nobody"), 200, `{"occupied":false}`},
		{get("channels/presence-room", "info", "user_count,subscription_count"), 200, `{"occupied":true,"subscription_count":5,"user_count":2}`},
		{get("channels/presence-empty", "info", "user_count"), 200, `{"occupied":false,"user_count":0}`},
		{get("channels/cache-price", "info", "cache"), 200, `{"cache":{"data":"{\"eur\":7}","ttl":60},"occupied":true}`},
		{get("channels/private-encrypted-cache-x", "info", "cache"), 200, `{"cache":null,"occupied":false}`},
		{get("channels/news", "info", "cache"), 400, "cache channels only"},
		{get("channels/private-x", "info", "cache"), 400, "cache channels only"},
		{get("channels/news", "info", "user_count"), 400, "presence channels only"},
		{get("channels/news", "info", "mood"), 400, `info "mood" is none of`},
		{get("channels/a:b"), 400, "channel "},
		{get("channels/"), 400, "channel "},
		{get("channels/%23server-to-user-1"), 400, "channel "},
		{get("channels/presence-room/users"), 200, `{"users":[{"id":"u1"},{"id":"u 2"}]}`},
		{get("channels/presence-nobody/users"), 200, `{"users":[]}`},
		{get("channels/news/users"), 400, "channel must be a presence channel"},
		{get("channels/presence-%7B/users"), 400, "channel "},
		{call{method: "POST", path: "/apps/3/users/u%201/terminate_connections", body: "{}"}, 200, `{}`},
		{call{method: "POST", path: "/apps/3/users/u1/terminate_connections"}, 200, `{}`},
		{call{method: "POST", path: "/apps/3/users//terminate_connections"}, 400, "user_id "},
		{call{method: "POST", path: "/apps/3/users/" + strings.Repeat("u", 201) + "/terminate_connections"}, 400, "user_id "},
	} {
		w := c.call.do(t, newHandler(t, busy()))
		if w.Code != c.status || (c.status == 200 && w.Body.String() != c.want) || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %v: %d %s; want %d %s", c.call.path, c.call.params, w.Code, w.Body, c.status, c.want)
		}
	}
}

// every is a request that reaches each of the hub's methods.
var every = []call{
	post("events", event("e", "news", "d")), post("events", `{"name":"e","channel":"news","data":"d","info":"subscription_count"}`),
	post("batch_events", `{"batch":[`+event("e", "news", "d")+`]}`), get("channels"), get("channels/news"), get("channels/presence-room/users"),
	{method: "POST", path: "/apps/3/users/u1/terminate_connections"},
}

func TestHub_FailuresAreAnsweredByTheirKind(t *testing.T) {
	t.Parallel()
	secret := errors.New("dial 10.0.0.1")
	for _, c := range []struct {
		err    error
		status int
		after  string
	}{
		{fault.New(fault.Unavailable, "nobody passes it on: %w", secret), 503, "1"},
		{fmt.Errorf("trigger: %w", fault.After(2500*time.Millisecond, "come back")), 503, "3"},
		{fault.New(fault.Timeout, "too slow"), 503, "1"},
		{context.DeadlineExceeded, 503, "1"},
		{&fault.Error{Kind: fault.RateLimited, Message: "too many", RetryAfter: time.Minute}, 429, "60"},
		{fault.InvalidField("data", "is odd"), 400, ""},
		{fault.New(fault.NotFound, "no such app"), 404, ""},
		{fault.New(fault.Forbidden, "not now"), 403, ""},
		{fault.New(fault.Conflict, "not so"), 409, ""},
		{secret, 500, ""},
	} {
		for _, request := range every {
			h := busy()
			h.fail = c.err
			w := request.do(t, newHandler(t, h))
			if w.Code != c.status || w.Header().Get("Retry-After") != c.after || strings.Contains(w.Body.String(), secret.Error()) || len(h.triggered) != 0 {
				t.Errorf("%v, %s: %d %s, Retry-After %q", c.err, request.path, w.Code, w.Body, w.Header().Get("Retry-After"))
			}
		}
	}
}

func TestHub_HasFiveSeconds(t *testing.T) {
	t.Parallel()
	for _, request := range every {
		synctest.Test(t, func(t *testing.T) {
			h := busy()
			h.silent = true
			began := time.Now()
			w := request.do(t, newHandler(t, h))
			if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || time.Since(began) != httpapi.HubTimeout {
				t.Errorf("%s: %d %s after %v", request.path, w.Code, w.Body, time.Since(began))
			}
		})
	}
}

func TestNew_RefusesWhatIsMissing(t *testing.T) {
	t.Parallel()
	for _, cfg := range []httpapi.Config{
		{App: app}, {Hub: busy()}, {App: channels.App{ID: "1", Key: "k"}, Hub: busy()},
		{App: app, Hub: busy(), EncryptedExtra: -1}, {App: app, Hub: busy(), EncryptedExtra: 1 << 20},
	} {
		if _, err := httpapi.New(cfg); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
