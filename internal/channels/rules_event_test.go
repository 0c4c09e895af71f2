package channels_test

import (
	"strings"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/channels"
)

var eventRules = []rule{
	{"a cache channel has its last message or a miss", func(t *testing.T) {
		h := start(t)
		a, b := connect(t, h), connect(t, h)
		for _, channel := range []string{"cache-a", "private-cache-a", "private-encrypted-cache-a", "presence-cache-a"} {
			data := ""
			if strings.HasPrefix(channel, "presence") {
				data = member("1")
			}
			a.join(channel, data)
			if f := a.want("pusher:cache_miss"); f.Channel != channel {
				t.Errorf("got %v", f)
			}
			trigger(t, h, channel, "old", "1")
			trigger(t, h, channel, "new", "2")
			a.want("old")
			a.want("new")
			b.join(channel, data)
			if f := b.want("new"); f.text(t) != "2" {
				t.Errorf("got %v", f)
			}
		}
		if n := told("cache_miss", "cache-a", "", h); n != 1 {
			t.Errorf("told of %d misses", n)
		}
	}},
	{"client events are not cached", func(t *testing.T) {
		h := start(t)
		a, b, witness := connect(t, h), connect(t, h), connect(t, h)
		for _, c := range []*client{a, witness} {
			c.join("private-cache-a", "")
			c.want("pusher:cache_miss")
		}
		a.emit("client-x", "private-cache-a", "1")
		witness.want("client-x")
		b.join("private-cache-a", "")
		b.want("pusher:cache_miss")
	}},
	{"client events go to the others, with the member's id on presence channels", func(t *testing.T) {
		h := start(t)
		a, b := connect(t, h), connect(t, h)
		for _, c := range []*client{a, b} {
			c.join("private-a", "")
		}
		for data, want := range map[string]string{`{"x": [1]}`: `{"x":[1]}`, `"text"`: "text", `7`: "7", `[[],[[]]]`: "[[],[[]]]", `null`: "null", `"{\"a\":1}"`: `{"a":1}`} {
			a.send(`{"event":"client-x","channel":"private-a","data":` + data + `}`)
			if f := b.want("client-x"); f.text(t) != want || f.UserID != "" {
				t.Errorf("got %v, want %s", f, want)
			}
		}
		a.wantNothing()
		a.join("presence-a", member("1"))
		b.join("presence-a", member("2"))
		a.want("pusher_internal:member_added")
		b.emit("client-y", "presence-a", map[string]any{"user_id": "forged"})
		if f := a.want("client-y"); f.UserID != "2" {
			t.Errorf("got %v", f)
		}
		eventually(t, func() bool { return told("client_event", "presence-a", "2", h) == 1 })
	}},
	{"client events have places where they may not be", func(t *testing.T) {
		h := start(t)
		c, other := connect(t, h), connect(t, h)
		for _, c := range []*client{c, other} {
			c.join("open", "")
			c.join("private-encrypted-a", "")
			c.join("cache-open", "")
			c.want("pusher:cache_miss")
		}
		other.join("private-a", "")
		for _, channel := range []string{"open", "cache-open", "private-encrypted-a", "private-a", "presence-none", "#server-to-user-u", ""} {
			c.emit("client-x", channel, "")
			c.wantError(0)
		}
		c.join("private-a", "")
		c.emit("client-x", "private-a", strings.Repeat("x", 10<<10+1))
		c.wantError(0)
		c.emit("client-"+strings.Repeat("x", 194), "private-a", "")
		c.wantError(0)
		other.wantNothing()
	}},
	{"client events are only for apps that allow them", func(t *testing.T) {
		c := connect(t, start(t, config(func(cfg *channels.Config) { cfg.App.ClientEvents = false })))
		c.join("private-a", "")
		c.emit("client-x", "private-a", "")
		c.wantError(0)
	}},
	{"more than 10 client events a second are refused with 4301, and the connection stays", func(t *testing.T) {
		h := start(t)
		a, b := connect(t, h), connect(t, h)
		a.join("private-a", "")
		b.join("private-a", "")
		began := time.Now()
		for range 40 {
			a.emit("client-x", "private-a", "")
		}
		refused := 0
		for _, f := range a.drain() {
			if f.code(t) == 4301 {
				refused++
			}
		}
		passed, most := len(b.drain()), 10+int(time.Since(began).Seconds()*10)+1
		if passed+refused != 40 || passed < 10 || passed > most {
			t.Errorf("%d passed, at most %d may; %d refused", passed, most, refused)
		}
	}},
}
