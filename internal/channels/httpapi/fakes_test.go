package httpapi_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/channels"
	"github.com/toolboxai/orchestrator/internal/channels/httpapi"
)

var app = channels.App{ID: "3", Key: "278d425bdf160c739803", Secret: "7ad3773142a6692b25b8"}

// now is the time of the example in the protocol's documentation.
var now = time.Unix(1353088179, 0)

// hub is an httpapi.Hub in memory that writes down what it is asked.
type hub struct {
	mu         sync.Mutex
	states     map[string]channels.State
	users      map[string][]string
	fail       error // of every call
	silent     bool  // no call returns before its context ends
	calls      int   // of all methods
	triggers   int   // calls of Trigger
	triggered  []channels.Event
	terminated []string
}

func (h *hub) call(ctx context.Context) error {
	h.mu.Lock()
	h.calls++
	fail, silent := h.fail, h.silent
	h.mu.Unlock()
	if silent {
		<-ctx.Done()
		return ctx.Err()
	}
	return fail
}

func (h *hub) Trigger(ctx context.Context, events ...channels.Event) error {
	if err := h.call(ctx); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.triggers++
	h.triggered = append(h.triggered, events...)
	return nil
}

func (h *hub) State(ctx context.Context, channel string) (channels.State, error) {
	err := h.call(ctx)
	return h.states[channel], err
}

func (h *hub) Channels(ctx context.Context, prefix string) (map[string]channels.State, error) {
	if err := h.call(ctx); err != nil {
		return nil, err
	}
	found := map[string]channels.State{}
	for name, state := range h.states {
		if strings.HasPrefix(name, prefix) {
			found[name] = state
		}
	}
	return found, nil
}

func (h *hub) Users(ctx context.Context, channel string) ([]string, error) {
	err := h.call(ctx)
	return h.users[channel], err
}

func (h *hub) Terminate(ctx context.Context, userID string) error {
	if err := h.call(ctx); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.terminated = append(h.terminated, userID)
	return nil
}

// take returns what was triggered since the last take.
func (h *hub) take() []channels.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	events := h.triggered
	h.triggered = nil
	return events
}

// busy is a hub with a channel of every sort.
func busy() *hub {
	return &hub{
		states: map[string]channels.State{
			"news":              {Subscriptions: 13},
			"cache-price":       {Subscriptions: 1, Cache: &channels.Cached{Name: "tick", Data: `{"eur":7}`, TTL: 59500 * time.Millisecond}},
			"presence-room":     {Subscriptions: 5, Users: 2},
			"presence-hall":     {Subscriptions: 3, Users: 3},
			"presence-empty":    {},
			"#server-to-user-1": {Subscriptions: 1},
		},
		users: map[string][]string{"presence-room": {"u1", "u 2"}},
	}
}

func testConfig(h *hub) httpapi.Config {
	return httpapi.Config{App: app, Hub: h, Now: func() time.Time { return now }}
}

func newHandler(t testing.TB, h *hub, change ...func(*httpapi.Config)) *httpapi.Handler {
	t.Helper()
	cfg := testConfig(h)
	for _, c := range change {
		c(&cfg)
	}
	handler, err := httpapi.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

// call is a request as a library would make it, written by the documentation alone.
type call struct {
	method, path string
	params       map[string]string
	body         string
}

// query returns c's signed query, escaped as forms are.
func (c call) query() string {
	all := map[string]string{"auth_key": app.Key, "auth_timestamp": fmt.Sprint(now.Unix()), "auth_version": "1.0"}
	if c.body != "" {
		all["body_md5"] = digest(c.body)
	}
	for name, value := range c.params {
		if value == "-" {
			delete(all, name)
			continue
		}
		all[name] = value
	}
	values := url.Values{}
	for name, value := range all {
		values.Set(name, value)
	}
	values.Set("auth_signature", signature(c.method, c.path, all))
	return values.Encode()
}

func signature(method, path string, params map[string]string) string {
	var pairs []string
	for name := range params {
		pairs = append(pairs, name)
	}
	sort.Strings(pairs)
	for i, name := range pairs {
		pairs[i] = strings.ToLower(name) + "=" + params[name]
	}
	mac := hmac.New(sha256.New, []byte(app.Secret))
	_, _ = io.WriteString(mac, method+"\n"+path+"\n"+strings.Join(pairs, "&"))
	return hex.EncodeToString(mac.Sum(nil))
}

func digest(body string) string {
	sum := md5.Sum([]byte(body))
	return hex.EncodeToString(sum[:])
}

// do signs c and returns what the handler answers.
func (c call) do(t testing.TB, h http.Handler) *httptest.ResponseRecorder {
	t.Helper()
	return send(t, h, c.method, c.path+"?"+c.query(), c.body)
}

// send serves a request as a server reads it from the wire. It fails the test when the request is none.
func send(t testing.TB, h http.Handler, method, target, body string) *httptest.ResponseRecorder {
	t.Helper()
	answer, err := wire(h, method, target, body)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func wire(h http.Handler, method, target, body string) (*httptest.ResponseRecorder, error) {
	var raw bytes.Buffer
	fmt.Fprintf(&raw, "%s %s HTTP/1.1\r\nHost: channels\r\nContent-Length: %d\r\n\r\n%s", method, target, len(body), body)
	r, err := http.ReadRequest(bufio.NewReader(&raw))
	if err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w, nil
}

func event(name, channel, data string) string {
	return fmt.Sprintf(`{"name":%q,"channel":%q,"data":%q}`, name, channel, data)
}

func names(events []channels.Event) []string {
	var names []string
	for _, e := range events {
		names = append(names, e.Channel)
	}
	slices.Sort(names)
	return names
}
