package channels_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

var userRules = []rule{
	{"signing in makes a connection one of a user", func(t *testing.T) {
		h := start(t)
		a, b := connect(t, h), connect(t, h)
		a.signIn(`{"id":"u","name":"U"}`)
		var data struct {
			UserData string `json:"user_data"`
		}
		if err := json.Unmarshal([]byte(a.want("pusher:signin_success").text(t)), &data); err != nil || data.UserData != `{"id":"u","name":"U"}` {
			t.Errorf("got %+v, %v", data, err)
		}
		trigger(t, h, "#server-to-user-u", "hello", "1")
		if f := a.want("hello"); f.Channel != "#server-to-user-u" {
			t.Errorf("got %v", f)
		}
		a.join("#server-to-user-u", "")
		trigger(t, h, "#server-to-user-u", "again", "1")
		a.want("again")
		a.wantNothing()
		b.wantNothing()
	}},
	{"signing in wants the right signature and one user", func(t *testing.T) {
		c := connect(t, start(t))
		for _, data := range []map[string]any{
			{"auth": "key:00", "user_data": `{"id":"u"}`}, {"auth": app.Sign(c.id + ":private-u"), "user_data": `{"id":"u"}`},
			{"auth": app.Sign("1.1::user::" + `{"id":"u"}`), "user_data": `{"id":"u"}`}, {"auth": app.Sign(c.id + "::user::{}"), "user_data": `{}`}, {},
			{"auth": 7, "user_data": true},
		} {
			c.emit("pusher:signin", "", data)
			c.wantError(4009)
		}
		c.signIn(`{"id":"u"}`)
		c.want("pusher:signin_success")
		c.signIn(`{"id":"u"}`)
		c.want("pusher:signin_success")
		c.signIn(`{"id":"v"}`)
		c.wantError(4009)
	}},
	{"the channel of a user is the signed-in user's only", func(t *testing.T) {
		h := start(t)
		c := connect(t, h)
		for range 2 { // before anybody is signed in, and when somebody else is
			c.ask("#server-to-user-u", "")
			c.wantError(4009)
			c.want("pusher:subscription_error")
			c.emit("pusher:subscribe", "", map[string]any{"channel": "#server-to-user-u", "auth": app.Sign(c.id + ":#server-to-user-u")})
			c.wantError(4009)
			c.want("pusher:subscription_error")
			c.signIn(`{"id":"v"}`)
			c.want("pusher:signin_success")
		}
		trigger(t, h, "#server-to-user-u", "secret", "")
		c.wantNothing()
	}},
	{"terminating closes the user's connections with 4009", func(t *testing.T) {
		h := start(t)
		a, b := connect(t, h), connect(t, h)
		a.signIn(`{"id":"u"}`)
		b.signIn(`{"id":"v"}`)
		a.want("pusher:signin_success")
		b.want("pusher:signin_success")
		if err := h.Terminate(context.Background(), "u"); err != nil {
			t.Fatal(err)
		}
		if got := a.closed(); got != 4009 {
			t.Errorf("got %d", got)
		}
		b.wantNothing()
	}},
	{"a watchlist says who is online", func(t *testing.T) {
		h := start(t)
		a, b, b2 := connect(t, h), connect(t, h), connect(t, h)
		a.signIn(`{"id":"a"}`)
		a.want("pusher:signin_success")
		a.drain()
		w := connect(t, h)
		w.signIn(`{"id":"w","watchlist":["a","b","a"]}`)
		w.want("pusher:signin_success")
		events := func(f frame) string { return f.text(t) }
		if got, want := events(w.want("pusher_internal:watchlist_events")), `{"events":[{"name":"online","user_ids":["a"]},{"name":"offline","user_ids":["b"]}]}`; got != want {
			t.Errorf("got %s", got)
		}
		b.signIn(`{"id":"b"}`)
		b2.signIn(`{"id":"b"}`)
		if got, want := events(w.want("pusher_internal:watchlist_events")), `{"events":[{"name":"online","user_ids":["b"]}]}`; got != want {
			t.Errorf("got %s", got)
		}
		b.want("pusher:signin_success")
		b2.want("pusher:signin_success")
		b.gone()
		b2.drain()
		w.wantNothing()
		b2.gone()
		if got, want := events(w.want("pusher_internal:watchlist_events")), `{"events":[{"name":"offline","user_ids":["b"]}]}`; got != want {
			t.Errorf("got %s", got)
		}
	}},
	{"of a watchlist the first 100 count, and 4302 says so", func(t *testing.T) {
		c := connect(t, start(t))
		var list []string
		for i := range 101 {
			list = append(list, fmt.Sprint("u", i))
		}
		ids, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		c.signIn(`{"id":"w","watchlist":` + string(ids) + `}`)
		c.want("pusher:signin_success")
		c.wantError(4302)
		if got := c.want("pusher_internal:watchlist_events").text(t); strings.Contains(got, `"u100"`) || !strings.Contains(got, `"u99"`) {
			t.Errorf("got %s", got)
		}
	}},
}
