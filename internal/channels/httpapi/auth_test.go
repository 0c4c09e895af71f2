package httpapi_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/channels/httpapi"
)

func TestAuth_AcceptsTheDocumentedExample(t *testing.T) {
	t.Parallel()
	h := &hub{}
	body := `{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}`
	target := "/apps/3/events?auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0" +
		"&body_md5=ec365a775a4cd0599faeb73354201b6f&auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"
	w := send(t, newHandler(t, h), "POST", target, body)
	if w.Code != http.StatusOK || w.Body.String() != "{}" || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("answer %d %q %q", w.Code, w.Body, w.Header())
	}
	got := h.take()
	if len(got) != 1 || got[0].Channel != "project-3" || got[0].Name != "foo" || got[0].Data != `{"some":"data"}` {
		t.Fatalf("triggered %+v", got)
	}
}

// Names may come in any case; what is signed has them in lower case, sorted, and not escaped.
func TestAuth_SignsNamesInLowerCaseAndValuesNotEscaped(t *testing.T) {
	t.Parallel()
	path := "/apps/3/channels"
	params := map[string]string{"auth_key": app.Key, "auth_timestamp": fmt.Sprint(now.Unix()), "auth_version": "1.0", "name": "Something else"}
	sig := signature("GET", path, params)
	target := path + "?Name=Something+else&auth_signature=" + sig + "&auth_version=1.0&auth_timestamp=" + params["auth_timestamp"] + "&auth_key=" + app.Key
	if w := send(t, newHandler(t, busy()), "GET", target, ""); w.Code != http.StatusOK {
		t.Fatalf("answer %d %s", w.Code, w.Body)
	}
}

func TestAuth_TakesThePathAsItIsOrEscaped(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ signed, sent, user string }{
		{"/apps/3/users/a b/terminate_connections", "/apps/3/users/a%20b/terminate_connections", "a b"},
		{"/apps/3/users/a%20b/terminate_connections", "/apps/3/users/a%20b/terminate_connections", "a b"},
		{"/apps/3/users/é;=@,/terminate_connections", "/apps/3/users/é;=@,/terminate_connections", "é;=@,"},
		{"/apps/3/users/é/terminate_connections", "/apps/3/users/%C3%A9/terminate_connections", "é"},
		{"/apps/3/users/a%2Fb/terminate_connections", "/apps/3/users/a%2Fb/terminate_connections", "a/b"},
	} {
		h := &hub{}
		w := send(t, newHandler(t, h), "POST", c.sent+"?"+call{method: "POST", path: c.signed}.query(), "")
		if w.Code != http.StatusOK || len(h.terminated) != 1 || h.terminated[0] != c.user {
			t.Errorf("signed %s, sent %s: %d %s, terminated %q", c.signed, c.sent, w.Code, w.Body, h.terminated)
		}
	}
}

// A signature must not be good for two requests that mean different things.
func TestAuth_RefusesWhatCouldBeReadInTwoWays(t *testing.T) {
	t.Parallel()
	channelsPath := "/apps/3/channels"
	base := call{method: "GET", path: channelsPath, params: map[string]string{"filter_by_prefix": "presence-", "info": "user_count"}}
	for name, c := range map[string]struct{ method, target string }{
		"two parameters as the value of one": {"GET", channelsPath + "?" + strings.Replace(base.query(), "&info=", "%26info%3D", 1)},
		"a parameter in a name":              {"GET", channelsPath + "?" + strings.Replace(base.query(), "filter_by_prefix=presence-&", "filter_by_prefix%3Dpresence-%26", 1)},
		"an escaped escape in the path": {"POST", "/apps/3/users/a%2541/terminate_connections?" +
			call{method: "POST", path: "/apps/3/users/a%41/terminate_connections"}.query()},
		"a slash of the path within a name": {"POST", "/apps/3/users/a%2Fterminate_connections?" +
			call{method: "POST", path: "/apps/3/users/a/terminate_connections"}.query()},
		"a line break in the path": {"POST", "/apps/3/users/a%0Ab/terminate_connections?" +
			call{method: "POST", path: "/apps/3/users/a\nb/terminate_connections"}.query()},
		"a line break in the query":          {"GET", channelsPath + "?" + call{method: "GET", path: channelsPath, params: map[string]string{"x": "a\nb"}}.query()},
		"a parameter twice":                  {"GET", channelsPath + "?" + base.query() + "&info=user_count"},
		"a parameter twice, in another case": {"GET", channelsPath + "?" + base.query() + "&INFO=user_count"},
		"an array":                           {"GET", channelsPath + "?" + base.query() + "&channels[]=a&channels[]=b"},
		"an array, escaped":                  {"GET", channelsPath + "?" + base.query() + "&channels%5B%5D=a&channels%5B%5D=b"},
		"a name without a value":             {"GET", channelsPath + "?" + base.query() + "&x"},
		"an empty pair":                      {"GET", channelsPath + "?" + base.query() + "&"},
		"an escape that is none":             {"GET", channelsPath + "?" + base.query() + "&x=%zz"},
		"bytes that are no text":             {"GET", channelsPath + "?" + base.query() + "&x=%ff"},
	} {
		h := busy()
		if w := send(t, newHandler(t, h), c.method, c.target, ""); w.Code != http.StatusUnauthorized || h.calls != 0 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

// What is unknown is signed like all else and changes nothing; an array that is signed is no more than that.
func TestAuth_SignsAndIgnoresUnknownParameters(t *testing.T) {
	t.Parallel()
	c := call{method: "GET", path: "/apps/3/channels", params: map[string]string{"colour": "blue", "list[]": "1"}}
	if w := c.do(t, newHandler(t, busy())); w.Code != http.StatusOK {
		t.Errorf("answer %d %s", w.Code, w.Body)
	}
	if w := send(t, newHandler(t, busy()), "GET", c.path+"?"+c.query()+"&shape=round", ""); w.Code != http.StatusUnauthorized {
		t.Errorf("a parameter added later: %d %s", w.Code, w.Body)
	}
}

func TestAuth_RefusesWithTheReason(t *testing.T) {
	t.Parallel()
	body := event("foo", "news", "{}")
	good := call{method: "POST", path: "/apps/3/events", body: body}
	with := func(name, value string) call {
		c := good
		c.params = map[string]string{name: value}
		return c
	}
	at := func(d time.Duration) string { return fmt.Sprint(now.Add(d).Unix()) }
	for name, c := range map[string]struct {
		method, target, body, reason string
	}{
		"no query":                       {"POST", good.path, body, "auth_key is missing"},
		"no timestamp":                   {"POST", good.path + "?" + with("auth_timestamp", "-").query(), body, "auth_timestamp is missing"},
		"no version":                     {"POST", good.path + "?" + with("auth_version", "-").query(), body, "auth_version is missing"},
		"no signature":                   {"POST", good.path + "?" + strings.Replace(good.query(), "auth_signature=", "x=", 1), body, "auth_signature is missing"},
		"no digest":                      {"POST", good.path + "?" + with("body_md5", "-").query(), body, "body_md5 is missing"},
		"another version":                {"POST", good.path + "?" + with("auth_version", "2.0").query(), body, "auth_version must be 1.0"},
		"another key":                    {"POST", good.path + "?" + with("auth_key", "0").query(), body, "auth_key is not known"},
		"a stale timestamp":              {"POST", good.path + "?" + with("auth_timestamp", at(-601*time.Second)).query(), body, "is not within 600 s"},
		"a timestamp to come":            {"POST", good.path + "?" + with("auth_timestamp", at(601*time.Second)).query(), body, "is not within 600 s"},
		"an endless timestamp":           {"POST", good.path + "?" + with("auth_timestamp", "9223372036854775807").query(), body, "is not within 600 s"},
		"a timestamp of letters":         {"POST", good.path + "?" + with("auth_timestamp", "now").query(), body, "auth_timestamp must be"},
		"a changed body":                 {"POST", good.path + "?" + good.query(), strings.Replace(body, "foo", "fou", 1), "body_md5 is not"},
		"a body for a digest of nothing": {"POST", good.path + "?" + with("body_md5", digest("")).query(), body, "body_md5 is not"},
		"no body for a digest":           {"POST", good.path + "?" + good.query(), "", "body_md5 is not"},
		"a body of a GET":                {"GET", "/apps/3/channels?" + call{method: "GET", path: "/apps/3/channels"}.query(), "x", "body_md5 is missing"},
		"a changed query":                {"POST", good.path + "?" + good.query() + "&x=1", body, "auth_signature is not"},
		"a replayed path":                {"POST", "/apps/3/batch_events?" + good.query(), body, "auth_signature is not"},
		"another app":                    {"POST", "/apps/4/events?" + good.query(), body, "auth_signature is not"},
		"another method":                 {"PUT", good.path + "?" + good.query(), body, "auth_signature is not"},
		"a path of nothing":              {"POST", "/?" + good.query(), body, "auth_signature is not"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := busy()
			w := send(t, newHandler(t, h), c.method, c.target, c.body)
			if w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), c.reason) || h.calls != 0 {
				t.Errorf("answer %d %s, %d calls; want 401 and %q", w.Code, w.Body, h.calls, c.reason)
			}
			if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") || w.Header().Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("header %q", w.Header())
			}
		})
	}
	for name, d := range map[string]time.Duration{"the oldest": -600 * time.Second, "the newest": 600 * time.Second} {
		if w := with("auth_timestamp", at(d)).do(t, newHandler(t, busy())); w.Code != http.StatusOK {
			t.Errorf("%s timestamp: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestAuth_NeverTellsTheExpectedSignature(t *testing.T) {
	t.Parallel()
	good := call{method: "POST", path: "/apps/3/events", body: event("foo", "news", "{}")}
	values, err := url.ParseQuery(good.query())
	if err != nil {
		t.Fatal(err)
	}
	expected := values.Get("auth_signature")
	for _, sent := range []string{strings.Repeat("0", 64), "x", strings.ToUpper(expected), expected[:63], expected + "0"} {
		values.Set("auth_signature", sent)
		w := send(t, newHandler(t, busy()), good.method, good.path+"?"+values.Encode(), good.body)
		if w.Code != http.StatusUnauthorized || strings.Contains(w.Body.String(), expected) || strings.Contains(w.Body.String(), app.Secret) {
			t.Errorf("signature %q: %d %s", sent, w.Code, w.Body)
		}
	}
}

// The signature comes first: who has none learns nothing, and has no body read.
func TestAuth_ComesBeforeRoutesAndBodies(t *testing.T) {
	t.Parallel()
	h := newHandler(t, busy())
	for _, target := range []string{"/apps/3/nothing", "/apps/4/events", "/apps/3/events"} {
		if w := send(t, h, "POST", target, strings.Repeat("x", httpapi.MaxBody+1)); w.Code != http.StatusUnauthorized {
			t.Errorf("%s: %d", target, w.Code)
		}
	}
	for target, want := range map[string]int{"/apps/3/nothing": 404, "/apps/4/events": 404, "/apps/3/channels/a/b/c": 404, "/apps/3/channels": 405, "/": 404} {
		w := call{method: "POST", path: target}.do(t, h)
		if w.Code != want || (want == 405) != (w.Header().Get("Allow") == "GET") {
			t.Errorf("%s, signed: %d %q", target, w.Code, w.Header())
		}
	}
}
