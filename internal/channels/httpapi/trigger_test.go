package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/channels"
	"github.com/toolboxai/orchestrator/internal/channels/httpapi"
)

func post(path, body string) call { return call{method: "POST", path: "/apps/3/" + path, body: body} }

func TestTrigger_SendsOneEventToEachChannelOnce(t *testing.T) {
	t.Parallel()
	h := &hub{}
	w := post("events", `{"name":"e","channels":["a","b","a","#server-to-user-é 1"],"data":"d","socket_id":"1.2","tags":{"x":1}}`).do(t, newHandler(t, h))
	if w.Code != http.StatusOK || w.Body.String() != "{}" {
		t.Fatalf("answer %d %s", w.Code, w.Body)
	}
	want := []channels.Event{
		{Channel: "a", Name: "e", Data: "d", Except: "1.2"}, {Channel: "b", Name: "e", Data: "d", Except: "1.2"},
		{Channel: "#server-to-user-é 1", Name: "e", Data: "d", Except: "1.2"},
	}
	if diff := cmp.Diff(want, h.triggered); diff != "" || h.triggers != 1 {
		t.Errorf("%d calls: %s", h.triggers, diff)
	}
}

func TestTrigger_AnswersInfo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ path, body, want string }{
		{"events", `{"name":"e","channels":["presence-room","news","empty","#server-to-user-1"],"data":"","info":"user_count,subscription_count"}`,
			`{"channels":{"#server-to-user-1":{"subscription_count":0},"empty":{"subscription_count":0},"news":{"subscription_count":13},` +
				`"presence-room":{"user_count":2,"subscription_count":5}}}`},
		{"events", `{"name":"e","channel":"news","data":"","info":"user_count"}`, `{"channels":{"news":{}}}`},
		{"batch_events", `{"batch":[{"name":"e","channel":"presence-room","data":"","info":"user_count"},{"name":"e","channel":"x","data":""},` +
			`{"name":"e","channel":"news","data":"","info":"subscription_count"}]}`, `{"batch":[{"user_count":2},{},{"subscription_count":13}]}`},
		{"batch_events", `{"batch":[{"name":"e","channel":"x","data":""}]}`, `{}`},
	} {
		if w := post(c.path, c.body).do(t, newHandler(t, busy())); w.Code != http.StatusOK || w.Body.String() != c.want {
			t.Errorf("%s\n got %d %s\nwant %s", c.body, w.Code, w.Body, c.want)
		}
	}
}

func TestTrigger_HoldsTheLimits(t *testing.T) {
	t.Parallel()
	const maxData = httpapi.MaxData
	many := func(n int) string {
		var names []string
		for i := range n {
			names = append(names, fmt.Sprintf("%q", fmt.Sprint("c", i)))
		}
		return `{"name":"e","data":"d","channels":[` + strings.Join(names, ",") + `]}`
	}
	batch := func(events ...string) string { return `{"batch":[` + strings.Join(events, ",") + `]}` }
	ok := event("e", "news", "d")
	for name, c := range map[string]struct {
		path, body string
		status     int
		reason     string
	}{
		"data at the limit":          {"events", event("e", "c", strings.Repeat("x", maxData)), 200, ""},
		"data over the limit":        {"events", event("e", "c", strings.Repeat("x", maxData+1)), 413, "data has 10241 bytes, more than 10240"},
		"encrypted at the allowance": {"events", event("e", "private-encrypted-c", strings.Repeat("x", maxData+100)), 200, ""},
		"encrypted over it":          {"events", event("e", "private-encrypted-c", strings.Repeat("x", maxData+101)), 413, "more than 10340"},
		"name at the limit":          {"events", event(strings.Repeat("é", 200), "c", "d"), 200, ""},
		"name over the limit":        {"events", event(strings.Repeat("n", 201), "c", "d"), 400, "name must have 1 to 200 characters, not 201"},
		"no name":                    {"events", `{"channel":"c","data":"d"}`, 400, "name must have"},
		"no data":                    {"events", `{"channel":"c","name":"e"}`, 400, "data is missing"},
		"data that is no string":     {"events", `{"channel":"c","name":"e","data":{"a":1}}`, 400, "data must not be an object"},
		"100 channels":               {"events", many(100), 200, ""},
		"101 channels":               {"events", many(101), 400, "channels must have 1 to 100 names, not 101"},
		"no channels":                {"events", many(0), 400, "not 0"},
		"channel and channels":       {"events", `{"name":"e","data":"d","channel":"c","channels":["c"]}`, 400, "channel stands beside channels"},
		"channel name at the limit":  {"events", event("e", strings.Repeat("c", 164), "d"), 200, ""},
		"channel name over it":       {"events", event("e", strings.Repeat("c", 165), "d"), 400, "channel "},
		"every character":            {"events", event("e", "azAZ09_-=@,.;", "d"), 200, ""},
		"another character":          {"events", `{"name":"e","data":"d","channels":["c","a:b"]}`, 400, "channels.1 "},
		"a letter beyond ASCII":      {"events", event("e", "é", "d"), 400, "channel "},
		"a user":                     {"events", event("e", "#server-to-user-1", "d"), 200, ""},
		"no user":                    {"events", event("e", "#server-to-user-", "d"), 400, "user id"},
		"another # channel":          {"events", event("e", "#server-to-all", "d"), 400, "channel "},
		"encrypted among others":     {"events", `{"name":"e","data":"d","channels":["a","private-encrypted-b"]}`, 400, "must be the only one"},
		"encrypted alone, twice":     {"events", `{"name":"e","data":"d","channels":["private-encrypted-b","private-encrypted-b"]}`, 200, ""},
		"a socket id":                {"events", `{"name":"e","data":"d","channel":"c","socket_id":"123.456"}`, 200, ""},
		"no socket id":               {"events", `{"name":"e","data":"d","channel":"c","socket_id":null}`, 200, ""},
		"an empty socket id":         {"events", `{"name":"e","data":"d","channel":"c","socket_id":""}`, 400, "socket_id must be"},
		"half a socket id":           {"events", `{"name":"e","data":"d","channel":"c","socket_id":"123."}`, 400, "socket_id must be"},
		"a socket id with a line":    {"events", `{"name":"e","data":"d","channel":"c","socket_id":"1.2\n"}`, 400, "socket_id must be"},
		"unknown info":               {"events", `{"name":"e","data":"d","channel":"c","info":"cache"}`, 400, "info "},
		"a name twice in an object":  {"events", `{"name":"e","name":"f","data":"d","channel":"c"}`, 400, "duplicate"},
		"bytes that are no text":     {"events", "{\"name\":\"e\",\"data\":\"\xff\",\"channel\":\"c\"}", 400, "UTF-8"},
		"something behind":           {"events", ok + "{}", 400, "not valid JSON"},
		"no JSON":                    {"events", "name=e", 400, "not valid JSON"},
		"a list":                     {"events", "[]", 400, "body must not be an array"},
		"nothing":                    {"events", "", 400, "not valid JSON"},
		"a body over the limit":      {"events", strings.Repeat(" ", httpapi.MaxBody) + ok, 413, "the body is longer than 1048576 bytes"},
		"a batch of 10":              {"batch_events", batch(ok, ok, ok, ok, ok, ok, ok, ok, ok, ok), 200, ""},
		"a batch of 11":              {"batch_events", batch(ok, ok, ok, ok, ok, ok, ok, ok, ok, ok, ok), 400, "batch must have 1 to 10 events, not 11"},
		"a batch of none":            {"batch_events", batch(), 400, "not 0"},
		"channels in a batch":        {"batch_events", batch(`{"name":"e","data":"d","channels":["c"]}`), 400, "batch.0.channels is not for batches"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := busy()
			w := post(c.path, c.body).do(t, newHandler(t, h, func(cfg *httpapi.Config) { cfg.EncryptedExtra = 100 }))
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.reason) {
				t.Errorf("answer %d %s; want %d %q", w.Code, w.Body, c.status, c.reason)
			}
			if (h.triggers == 1) != (c.status == 200) {
				t.Errorf("%d calls of Trigger", h.triggers)
			}
		})
	}
}

func TestTrigger_RefusesAQueryThatIsTooLong(t *testing.T) {
	t.Parallel()
	c := call{method: "GET", path: "/apps/3/channels", params: map[string]string{"x": strings.Repeat("x", httpapi.MaxQuery)}}
	if w := c.do(t, newHandler(t, busy())); w.Code != http.StatusRequestURITooLong {
		t.Errorf("answer %d", w.Code)
	}
}

// One event that is not valid, in any place, keeps all others of its batch back.
func TestTriggerBatch_IsAllOrNothing(t *testing.T) {
	t.Parallel()
	ok := event("e", "news", "d")
	for bad, status := range map[string]int{
		event("", "news", "d"): 400, event("e", "a:b", "d"): 400, event("e", "news", strings.Repeat("x", httpapi.MaxData+1)): 413,
		`{"name":"e","channel":"news"}`: 400, `{"name":"e","channel":"news","data":"d","socket_id":"x"}`: 400,
		`{"name":"e","channel":"news","data":"d","info":"x"}`: 400,
	} {
		for at := range 3 {
			batch := []string{ok, ok, ok}
			batch[at] = bad
			h := busy()
			w := post("batch_events", `{"batch":[`+strings.Join(batch, ",")+`]}`).do(t, newHandler(t, h))
			if w.Code != status || !strings.Contains(w.Body.String(), fmt.Sprintf("batch.%d.", at)) || len(h.triggered) != 0 {
				t.Errorf("%.80s at %d: %d %s, triggered %+v", bad, at, w.Code, w.Body, h.triggered)
			}
		}
	}
	h := busy()
	if w := post("batch_events", `{"batch":[`+ok+","+event("f", "private-encrypted-a", "d")+`]}`).do(t, newHandler(t, h)); w.Code != 200 || h.triggers != 1 || len(h.triggered) != 2 {
		t.Errorf("control: %d %s, triggered %+v in %d calls", w.Code, w.Body, h.triggered, h.triggers)
	}
}
