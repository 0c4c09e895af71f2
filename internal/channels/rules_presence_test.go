package channels_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

var presenceRules = []rule{
	{"members know each other", func(t *testing.T) {
		h := start(t)
		a, b := connect(t, h), connect(t, h)
		a.join("presence-a", member("1"))
		got := b.join("presence-a", `{"user_id":2}`)
		want := `{"presence":{"ids":["1","2"],"hash":{"1":{"name":"N1"},"2":null},"count":2}}`
		if got != want {
			t.Errorf("got %s", got)
		}
		if f := a.want("pusher_internal:member_added"); f.text(t) != `{"user_id":"2","user_info":null}` || f.Channel != "presence-a" {
			t.Errorf("got %v", f)
		}
		b.gone()
		if f := a.want("pusher_internal:member_removed"); f.text(t) != `{"user_id":"2"}` {
			t.Errorf("got %v", f)
		}
	}},
	{"only the first and the last connection of a member are told", func(t *testing.T) {
		h := start(t)
		watcher := connect(t, h)
		watcher.join("presence-a", member("w"))
		a, b := connect(t, h), connect(t, h)
		a.join("presence-a", member("1"))
		b.join("presence-a", member("1"))
		watcher.want("pusher_internal:member_added")
		a.gone()
		eventually(t, func() bool { s, _ := h.State(context.Background(), "presence-a"); return s.Subscriptions == 2 })
		watcher.wantNothing()
		b.leave("presence-a")
		watcher.want("pusher_internal:member_removed")
	}},
	{"what is no member is refused", func(t *testing.T) {
		c := connect(t, start(t))
		for _, data := range []string{
			`{}`, `{"user_id":""}`, `{"user_id":["1"]}`, `{"user_id":null}`, `7`, `no`, `{"user_id":"` + strings.Repeat("x", 129) + `"}`,
			`{"user_id":"1","user_info":"` + strings.Repeat("x", 1100) + `"}`, `{"user_id":"1","user_id":"2"}`,
		} {
			c.ask("presence-a", data)
			c.wantError(4009)
			c.want("pusher:subscription_error")
		}
		c.ask("presence-a", "") // nobody is signed in
		c.wantError(4009)
	}},
	{"a presence channel has at most 100 members", func(t *testing.T) {
		h := start(t)
		for i := range 100 {
			connect(t, h).join("presence-a", fmt.Sprintf(`{"user_id":"u%d"}`, i))
		}
		c := connect(t, h)
		c.ask("presence-a", member("new"))
		c.wantError(0)
		c.want("pusher:subscription_error")
		c.join("presence-a", member("u7")) // not one more member
	}},
	{"a signed-in user needs no channel data", func(t *testing.T) {
		c := connect(t, start(t))
		c.signIn(`{"id":"u","user_info":{"a":1}}`)
		c.want("pusher:signin_success")
		if got, want := c.join("presence-a", ""), `{"presence":{"ids":["u"],"hash":{"u":{"a":1}},"count":1}}`; got != want {
			t.Errorf("got %s", got)
		}
	}},
}
