package channels_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/channels"
)

var apiRules = []rule{
	{"subscribers are counted where that is wanted", func(t *testing.T) {
		h := start(t, config(func(cfg *channels.Config) { cfg.SubscriptionCount = true }))
		a, b := connect(t, h), connect(t, h)
		a.join("news", "")
		a.want("pusher_internal:subscription_count")
		b.ask("news", "")
		if got := a.want("pusher_internal:subscription_count").text(t); got != `{"subscription_count":2}` {
			t.Errorf("got %s", got)
		}
		b.gone()
		if got := a.want("pusher_internal:subscription_count").text(t); got != `{"subscription_count":1}` {
			t.Errorf("got %s", got)
		}
		if n := told("subscription_count", "news", "", h); n != 3 {
			t.Errorf("told %d times", n)
		}
	}},
	{"what is triggered is checked", func(t *testing.T) {
		h := start(t)
		c := connect(t, h)
		c.join("a", "")
		for field, e := range map[string]channels.Event{
			"channel": {Channel: "a b", Name: "x"}, "name": {Channel: "a"}, "data": {Channel: "a", Name: "x", Data: strings.Repeat("x", 10<<10+1)},
			"socket_id": {Channel: "a", Name: "x", Except: "me"},
		} {
			err := h.Trigger(context.Background(), channels.Event{Channel: "a", Name: "good"}, e)
			if err == nil || !strings.Contains(err.Error(), field) {
				t.Errorf("%s: %v", field, err)
			}
		}
		if err := h.Trigger(context.Background(), channels.Event{Channel: "a", Name: strings.Repeat("ä", 200)}); err != nil {
			t.Error(err)
		}
		if frames := c.drain(); len(frames) != 1 {
			t.Errorf("got %v: all or nothing", frames)
		}
	}},
	{"state, channels and users are those of now", func(t *testing.T) {
		h := start(t)
		ctx := context.Background()
		a, b := connect(t, h), connect(t, h)
		a.join("presence-a", member("2"))
		b.join("presence-a", member("1"))
		b.join("cache-a", "")
		trigger(t, h, "cache-a", "x", "1")
		got, err := h.Channels(ctx, "presence-")
		if err != nil || !cmp.Equal(got, map[string]channels.State{"presence-a": {Subscriptions: 2, Users: 2}}) {
			t.Errorf("got %v, %v", got, err)
		}
		if ids, err := h.Users(ctx, "presence-a"); err != nil || !cmp.Equal(ids, []string{"1", "2"}) {
			t.Errorf("got %v, %v", ids, err)
		}
		if _, err := h.Users(ctx, "cache-a"); err == nil {
			t.Error("users of a channel that has none")
		}
		state, err := h.State(ctx, "cache-a")
		if err != nil || state.Cache == nil || state.Cache.Name != "x" || state.Cache.TTL < 29*time.Minute || state.Subscriptions != 1 {
			t.Errorf("got %+v, %v", state, err)
		}
		if state, err := h.State(ctx, "nobody"); err != nil || state.Occupied() {
			t.Errorf("got %+v, %v", state, err)
		}
	}},
	{"webhooks are told once of what begins and ends", func(t *testing.T) {
		h := start(t)
		a, b := connect(t, h), connect(t, h)
		a.join("presence-a", member("1"))
		b.join("presence-a", member("1"))
		a.gone()
		b.gone()
		eventually(t, func() bool { return h.Remembered() == 0 })
		for _, o := range []struct{ kind, user string }{{"channel_occupied", ""}, {"channel_vacated", ""}, {"member_added", "1"}, {"member_removed", "1"}} {
			if n := told(o.kind, "presence-a", o.user, h); n != 1 {
				t.Errorf("%s was told %d times", o.kind, n)
			}
		}
	}},
}
