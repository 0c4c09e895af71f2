package channels_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"
)

// frame is a message from the server.
type frame struct {
	Event   string
	Channel string
	Data    json.RawMessage
	UserID  string `json:"user_id"`
}

// text returns the data, which must be a string.
func (f frame) text(t testing.TB) string {
	t.Helper()
	var s string
	if err := json.Unmarshal(f.Data, &s); err != nil {
		t.Fatalf("data of %s is no string: %s", f.Event, f.Data)
	}
	return s
}

func (f frame) String() string {
	return fmt.Sprintf("%s %s %s %s", f.Event, f.Channel, f.Data, f.UserID)
}

// code returns the code of a pusher:error, 0 for null.
func (f frame) code(t testing.TB) int {
	t.Helper()
	var data struct {
		Code    *int
		Message string
	}
	if err := json.Unmarshal(f.Data, &data); err != nil || f.Event != "pusher:error" || data.Message == "" {
		t.Fatalf("not an error: %v", f)
	}
	if data.Code == nil {
		return 0
	}
	return *data.Code
}

// client is a raw WebSocket.
type client struct {
	t  testing.TB
	ws *websocket.Conn
	id string
	n  atomic.Int64
}

// dial connects without waiting for anything to be said.
func dial(t testing.TB, url string) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	ws.SetReadLimit(1 << 22)
	t.Cleanup(func() { _ = ws.CloseNow() })
	return &client{t: t, ws: ws}
}

const query = "?protocol=7&client=test&version=1"

// connect connects and learns the socket id.
func connect(t testing.TB, h *host) *client {
	t.Helper()
	c := dial(t, h.url+"/app/key"+query)
	var data struct {
		SocketID string `json:"socket_id"`
	}
	if err := json.Unmarshal([]byte(c.want("pusher:connection_established").text(t)), &data); err != nil {
		t.Fatal(err)
	}
	c.id = data.SocketID
	return c
}

func (c *client) send(text string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.ws.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) emit(event, channel string, data any) {
	c.t.Helper()
	m := map[string]any{"event": event, "data": data}
	if channel != "" {
		m["channel"] = channel
	}
	text, err := json.Marshal(m)
	if err != nil {
		c.t.Fatal(err)
	}
	c.send(string(text))
}

func (c *client) read() (frame, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, text, err := c.ws.Read(ctx)
	if err != nil {
		return frame{}, err
	}
	var f frame
	if err := json.Unmarshal(text, &f); err != nil {
		c.t.Fatalf("%v: %s", err, text)
	}
	return f, nil
}

func (c *client) next() frame {
	c.t.Helper()
	f, err := c.read()
	if err != nil {
		c.t.Fatal(err)
	}
	return f
}

func (c *client) want(event string) frame {
	c.t.Helper()
	f := c.next()
	if f.Event != event {
		c.t.Fatalf("got %v, want %s", f, event)
	}
	return f
}

func (c *client) wantError(code int) {
	c.t.Helper()
	if f := c.next(); f.code(c.t) != code {
		c.t.Fatalf("got %v, want code %d", f, code)
	}
}

// closed returns the code with which the server closes the connection; what comes before that is passed over.
func (c *client) closed() int {
	c.t.Helper()
	for {
		if _, err := c.read(); err != nil {
			return int(websocket.CloseStatus(err))
		}
	}
}

func (c *client) gone() { _ = c.ws.CloseNow() }

// ask asks to join a channel with the right signature.
func (c *client) ask(channel, channelData string) {
	c.t.Helper()
	data := map[string]any{"channel": channel}
	if strings.HasPrefix(channel, "private-") || strings.HasPrefix(channel, "presence-") {
		text := c.id + ":" + channel
		if channelData != "" {
			text += ":" + channelData
			data["channel_data"] = channelData
		}
		data["auth"] = app.Sign(text)
	}
	c.emit("pusher:subscribe", "", data)
}

func member(id string) string {
	return fmt.Sprintf(`{"user_id":%q,"user_info":{"name":%q}}`, id, "N"+id)
}

// join joins a channel and returns what the server says of it.
func (c *client) join(channel, channelData string) string {
	c.t.Helper()
	c.ask(channel, channelData)
	f := c.want("pusher_internal:subscription_succeeded")
	if f.Channel != channel {
		c.t.Fatalf("got %v, want channel %s", f, channel)
	}
	return f.text(c.t)
}

func (c *client) leave(channel string) {
	c.t.Helper()
	c.emit("pusher:unsubscribe", "", map[string]any{"channel": channel})
}

func (c *client) signIn(userData string) {
	c.t.Helper()
	c.emit("pusher:signin", "", map[string]any{"auth": app.Sign(c.id + "::user::" + userData), "user_data": userData})
}

// drain returns all that the server has to say by now, also what is on the bus.
func (c *client) drain() (frames []frame) {
	c.t.Helper()
	barrier := fmt.Sprintf("barrier-%s-%d", strings.ReplaceAll(c.id, ".", "-"), c.n.Add(1))
	c.ask(barrier, "")
	for {
		f := c.next()
		if f.Channel == barrier {
			c.leave(barrier)
			return frames
		}
		frames = append(frames, f)
	}
}

func (c *client) wantNothing() {
	c.t.Helper()
	if frames := c.drain(); len(frames) > 0 {
		c.t.Fatalf("got %v, want nothing", frames)
	}
}

// join2 joins a channel and passes over what else is said meanwhile.
func (c *client) join2(t testing.TB, channel, channelData string) {
	t.Helper()
	c.ask(channel, channelData)
	c.until("pusher_internal:subscription_succeeded")
}

// until passes over all that comes before event.
func (c *client) until(event string) frame {
	c.t.Helper()
	for {
		if f := c.next(); f.Event == event {
			return f
		}
	}
}
