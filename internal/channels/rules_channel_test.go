package channels_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/channels"
)

var channelRules = []rule{
	{"who subscribes gets events as strings, once, until they unsubscribe", func(t *testing.T) {
		h := start(t)
		c, other := connect(t, h), connect(t, h)
		if got := c.join("news", ""); got != "{}" {
			t.Errorf("got %q", got)
		}
		trigger(t, h, "news", "a", `{"x":"<&>\u2028"}`)
		if f := c.want("a"); f.Channel != "news" || f.text(t) != `{"x":"<&>\u2028"}` || f.UserID != "" {
			t.Errorf("got %v", f)
		}
		c.leave("news")
		c.wantNothing()
		trigger(t, h, "news", "b", "")
		c.wantNothing()
		other.wantNothing()
	}},
	{"subscribing twice and unsubscribing from nothing are errors without a code", func(t *testing.T) {
		c := connect(t, start(t))
		c.join("news", "")
		c.ask("news", "")
		c.wantError(0)
		c.leave("other")
		c.wantError(0)
	}},
	{"names of channels have few characters and at most 164", func(t *testing.T) {
		c := connect(t, start(t))
		c.join("aZ09_-=@,.;", "")
		c.join(strings.Repeat("x", 164), "")
		for _, name := range []string{"", "a b", "a:b", "a/b", "ä", "#a", "#server-to-user-", strings.Repeat("x", 165), "a\x00"} {
			c.ask(name, "")
			c.wantError(0)
			c.want("pusher:subscription_error")
		}
	}},
	{"a connection has at most so many channels", func(t *testing.T) {
		c := connect(t, start(t, config(func(cfg *channels.Config) { cfg.MaxChannels = 2 })))
		c.join("a", "")
		c.join("b", "")
		c.ask("c", "")
		c.wantError(0)
		c.want("pusher:subscription_error")
		c.leave("a")
		c.join("c", "")
	}},
	{"private channels want the right signature", func(t *testing.T) {
		c := connect(t, start(t))
		for _, channel := range []string{"private-a", "private-encrypted-a", "private-cache-a", "private-encrypted-cache-a", "presence-a", "presence-cache-a"} {
			for _, auth := range []string{
				"", "key", "key:", "key:00", "other:" + strings.TrimPrefix(app.Sign(c.id+":"+channel), "key:"), app.Sign("1.1:" + channel), app.Sign(c.id + ":private-b"),
				app.Sign(c.id + "::user::" + channel),
			} {
				c.emit("pusher:subscribe", "", map[string]any{"channel": channel, "auth": auth})
				c.wantError(4009)
				f := c.want("pusher:subscription_error")
				var data struct {
					Type   string
					Status int
				}
				if err := json.Unmarshal([]byte(f.text(t)), &data); err != nil || f.Channel != channel || data.Type != "AuthError" || data.Status != 401 {
					t.Errorf("got %v", f)
				}
			}
		}
		c.join("private-a", "")
		c.join("private-encrypted-a", "")
		c.emit("pusher:subscribe", "", map[string]any{"channel": "presence-a", "auth": app.Sign(c.id + ":presence-a:" + member("1")), "channel_data": member("2")})
		c.wantError(4009)
	}},
	{"the socket id excludes one connection", func(t *testing.T) {
		h := start(t)
		a, b := connect(t, h), connect(t, h)
		a.join("news", "")
		b.join("news", "")
		if err := h.Trigger(context.Background(), channels.Event{Channel: "news", Name: "x", Except: a.id}); err != nil {
			t.Fatal(err)
		}
		b.want("x")
		a.wantNothing()
	}},
}
