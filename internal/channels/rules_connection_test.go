package channels_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/toolboxai/orchestrator/internal/channels"
)

var connectionRules = []rule{
	{"a connection begins with its socket id and the activity timeout", func(t *testing.T) {
		c := dial(t, start(t).url+"/app/key"+query)
		data := c.want("pusher:connection_established").text(t)
		var hello struct {
			SocketID string `json:"socket_id"`
			Timeout  int    `json:"activity_timeout"`
		}
		if err := json.Unmarshal([]byte(data), &hello); err != nil || hello.Timeout != 120 || strings.Count(hello.SocketID, ".") != 1 {
			t.Errorf("got %s, %v", data, err)
		}
	}},
	{"wrong keys and versions are told and closed with their codes", func(t *testing.T) {
		h := start(t)
		for path, code := range map[string]int{
			"/app/other" + query: 4001, "/app/key": 4008, "/app/key?protocol=x": 4006, "/app/key?protocol=4": 4007, "/app/key?protocol=8": 4007,
		} {
			c := dial(t, h.url+path)
			c.wantError(code)
			if got := c.closed(); got != code {
				t.Errorf("%s is closed with %d", path, got)
			}
		}
	}},
	{"other paths are not found", func(t *testing.T) {
		h := start(t)
		for _, path := range []string{"/", "/app/", "/app/key/more", "/apps/7/events"} {
			answer, err := http.Get("http" + strings.TrimPrefix(h.url, "ws") + path)
			if err != nil {
				t.Fatal(err)
			}
			if answer.Body.Close(); answer.StatusCode != http.StatusNotFound {
				t.Errorf("%s: %d", path, answer.StatusCode)
			}
		}
	}},
	{"any origin may connect", func(t *testing.T) {
		ws, _, err := websocket.Dial(context.Background(), start(t).url+"/app/key"+query, &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"https://elsewhere.example"}}})
		if err != nil {
			t.Fatal(err)
		}
		_ = ws.CloseNow()
	}},
	{"one connection too many is closed with 4100", func(t *testing.T) {
		h := start(t, config(func(cfg *channels.Config) { cfg.MaxConnections = 1 }))
		first := connect(t, h)
		c := dial(t, h.url+"/app/key"+query)
		c.wantError(4100)
		if got := c.closed(); got != 4100 {
			t.Errorf("got %d", got)
		}
		first.gone()
		eventually(t, func() bool { return h.Remembered() == 0 })
		connect(t, h)
	}},
	{"pings are answered", func(t *testing.T) {
		c := connect(t, start(t))
		c.send(`{"event":"pusher:ping"}`)
		if got := c.want("pusher:pong").text(t); got != "{}" {
			t.Errorf("got %q", got)
		}
	}},
	{"a silent connection is pinged and closed with 4201", func(t *testing.T) {
		h := start(t, config(func(cfg *channels.Config) {
			cfg.ActivityTimeout, cfg.PongTimeout = 50*time.Millisecond, time.Second
		}))
		c := connect(t, h)
		for range 3 {
			c.want("pusher:ping")
			c.send(`{"event":"pusher:pong","data":{}}`)
		}
		c.want("pusher:ping")
		if got := c.closed(); got != 4201 {
			t.Errorf("got %d", got)
		}
	}},
	{"pings of the WebSocket keep a connection alive", func(t *testing.T) {
		h := start(t, config(func(cfg *channels.Config) {
			cfg.ActivityTimeout, cfg.PongTimeout = 2*time.Second, 2*time.Second
		}))
		c := connect(t, h)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		ended := c.ws.CloseRead(ctx)
		for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
			if err := c.ws.Ping(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if ended.Err() != nil {
			t.Error("closed, or pinged although it was active")
		}
	}},
	{"binary messages, garbage and large messages are errors, and the connection stays", func(t *testing.T) {
		c := connect(t, start(t))
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := c.ws.Write(ctx, websocket.MessageBinary, []byte(`{"event":"pusher:ping"}`)); err != nil {
			t.Fatal(err)
		}
		c.wantError(0)
		for _, text := range []string{
			"", "x", "7", "null", "[]", `"pusher:ping"`, `{"event":7}`, `{"event":null}`, `{"event":""}`, `{}`, `{"event":"a","event":"b"}`, "{\"event\":\"a\x00\"}",
			"{\"event\":\"\xff\"}", `{"event":"pusher:subscribe"}`, `{"event":"pusher:subscribe","data":7}`, `{"event":"pusher:subscribe","data":[[[]]]}`,
			`{"event":"pusher:subscribe","data":{"channel":7}}`, `{"event":"pusher:subscribe","data":{"channel":["a"]}}`, `{"event":"pusher:unsubscribe","data":null}`,
			`{"event":"pusher:subscribe","data":"x"}`, strings.Repeat(`[`, 60_000), `{"event":"a","data":` + strings.Repeat(`[`, 30_000) + strings.Repeat(`]`, 30_000) + `}`,
			strings.Repeat("x", 64<<10+1), strings.Repeat("x", 1<<20),
		} {
			c.send(text)
			c.wantError(0)
		}
		c.send(`{"event":"pusher:subscribe","data":"{\"channel\":\"a\"}"}`) // encoded twice
		c.want("pusher_internal:subscription_succeeded")
	}},
	{"events that nobody knows are passed over", func(t *testing.T) {
		c := connect(t, start(t))
		for _, event := range []string{"pusher:unknown", "pusher_internal:member_added", "hello", "pusher:connection_established", "CLIENT-x"} {
			c.emit(event, "news", map[string]any{"channel": "x"})
		}
		c.wantNothing()
	}},
	{"what ends is closed with 4200", func(t *testing.T) {
		h := start(t)
		c, silent := connect(t, h), connect(t, h)
		_ = silent // it does not answer the close
		began := time.Now()
		ended := make(chan struct{})
		go func() { h.stop(); close(ended) }()
		if got := c.closed(); got != 4200 {
			t.Errorf("got %d", got)
		}
		<-ended
		if took := time.Since(began); took > 15*time.Second { // it waits 5 s for who does not answer
			t.Errorf("it took %v", took)
		}
		if n := h.Remembered(); n != 0 {
			t.Errorf("%d things are remembered", n)
		}
	}},
}
