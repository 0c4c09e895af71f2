package httpapi_test

import (
	"encoding/base64"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pusher/pusher-http-go/v5"

	"github.com/toolboxai/orchestrator/internal/channels"
	"github.com/toolboxai/orchestrator/internal/channels/httpapi"
)

var masterKey = base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))

// listen serves the API on loopback, by the real clock.
func listen(t *testing.T, h *hub) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(newHandler(t, h, func(cfg *httpapi.Config) { cfg.Now = time.Now }))
	t.Cleanup(server.Close)
	return server
}

func newPusher(server *httptest.Server) *pusher.Client {
	return &pusher.Client{
		AppID: app.ID, Key: app.Key, Secret: app.Secret, Host: strings.TrimPrefix(server.URL, "http://"),
		EncryptionMasterKeyBase64: masterKey, HTTPClient: server.Client(),
	}
}

func text(s string) *string { return &s }

func number(n int) *int { return &n }

//nolint:staticcheck // deprecated calls are served, too
func TestPusherHTTPGo_Triggers(t *testing.T) {
	t.Parallel()
	h := busy()
	client := newPusher(listen(t, h))
	data := map[string]string{"hello": "wörld & <more>"}
	const sent = `{"hello":"wörld \u0026 \u003cmore\u003e"}`
	hundred := make([]string, 100)
	for i := range hundred {
		hundred[i] = fmt.Sprintf("c-%02d", i)
	}
	one := func(channel, except string) []channels.Event {
		return []channels.Event{{Channel: channel, Name: "e", Data: sent, Except: except}}
	}
	both := func(except string) []channels.Event {
		return append(one("news", except), one("presence-room", except)...)
	}
	params := pusher.TriggerParams{SocketID: text("1.2"), Info: text("user_count,subscription_count")}
	for name, c := range map[string]struct {
		call func() (any, error)
		want []channels.Event
		info any
	}{
		"Trigger":          {func() (any, error) { return nil, client.Trigger("azAZ09_-=@,.;", "e", data) }, one("azAZ09_-=@,.;", ""), nil},
		"TriggerMulti":     {func() (any, error) { return nil, client.TriggerMulti([]string{"news", "presence-room"}, "e", data) }, both(""), nil},
		"TriggerExclusive": {func() (any, error) { return nil, client.TriggerExclusive("news", "e", data, "1.2") }, one("news", "1.2"), nil},
		"SendToUser":       {func() (any, error) { return nil, client.SendToUser("u 1/é", "e", data) }, one("#server-to-user-u 1/é", ""), nil},
		"TriggerMultiExclusive": {func() (any, error) {
			return nil, client.TriggerMultiExclusive([]string{"news", "presence-room"}, "e", data, "1.2")
		}, both("1.2"), nil},
		"TriggerWithParams": {func() (any, error) { return client.TriggerWithParams("news", "e", data, params) }, one("news", "1.2"),
			&pusher.TriggerChannelsList{Channels: map[string]pusher.TriggerChannelListItem{"news": {SubscriptionCount: number(13)}}}},
		"TriggerMultiWithParams": {func() (any, error) {
			return client.TriggerMultiWithParams([]string{"news", "presence-room"}, "e", data, params)
		}, both("1.2"), &pusher.TriggerChannelsList{Channels: map[string]pusher.TriggerChannelListItem{
			"news": {SubscriptionCount: number(13)}, "presence-room": {UserCount: number(2), SubscriptionCount: number(5)}}}},
		"TriggerBatch": {func() (any, error) {
			return client.TriggerBatch([]pusher.Event{
				{Channel: "news", Name: "e", Data: data, SocketID: text("1.2")}, {Channel: "presence-room", Name: "e", Data: data, Info: text("user_count")},
			})
		}, append(one("news", "1.2"), one("presence-room", "")...), &pusher.TriggerBatchChannelsList{Batch: []pusher.TriggerBatchChannelListItem{{}, {UserCount: number(2)}}}},
	} {
		info, err := c.call()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(c.want, h.take()); diff != "" {
			t.Errorf("%s: triggered %s", name, diff)
		}
		if diff := cmp.Diff(c.info, info); diff != "" {
			t.Errorf("%s: answered %s", name, diff)
		}
	}
	if err := client.TriggerMulti(hundred, "e", data); err != nil || !cmp.Equal(hundred, names(h.take())) {
		t.Errorf("100 channels: %v", err)
	}
	if err := client.Trigger("private-encrypted-x", "e", data); err != nil {
		t.Errorf("encrypted: %v", err)
	} else if got := h.take(); len(got) != 1 || !strings.Contains(got[0].Data, "ciphertext") {
		t.Errorf("encrypted: %+v", got)
	}
}

func TestPusherHTTPGo_Asks(t *testing.T) {
	t.Parallel()
	client := newPusher(listen(t, busy()))
	users := pusher.ChannelsParams{FilterByPrefix: text("presence-"), Info: text("user_count")}
	list := func(items map[string]pusher.ChannelListItem) *pusher.ChannelsList {
		return &pusher.ChannelsList{Channels: items}
	}
	for name, c := range map[string]struct {
		call func() (any, error)
		want any
	}{
		"Channels": {func() (any, error) { return client.Channels(pusher.ChannelsParams{}) },
			list(map[string]pusher.ChannelListItem{"news": {}, "cache-price": {}, "presence-room": {}, "presence-hall": {}})},
		"Channels of a prefix": {func() (any, error) { return client.Channels(users) },
			list(map[string]pusher.ChannelListItem{"presence-room": {UserCount: 2}, "presence-hall": {UserCount: 3}})},
		"Channels, none": {func() (any, error) { return client.Channels(pusher.ChannelsParams{FilterByPrefix: text("a;b=@,.")}) },
			list(map[string]pusher.ChannelListItem{})},
		"Channel": {func() (any, error) {
			return client.Channel("presence-room", pusher.ChannelParams{Info: text("user_count,subscription_count")})
		}, &pusher.Channel{Name: "presence-room", Occupied: true, UserCount: 2, SubscriptionCount: 5}},
		"Channel, not occupied":     {func() (any, error) { return client.Channel("a;b=@,.", pusher.ChannelParams{}) }, &pusher.Channel{Name: "a;b=@,."}},
		"GetChannelUsers":           {func() (any, error) { return client.GetChannelUsers("presence-room") }, &pusher.Users{List: []pusher.User{{ID: "u1"}, {ID: "u 2"}}}},
		"GetChannelUsers of nobody": {func() (any, error) { return client.GetChannelUsers("presence-x") }, &pusher.Users{List: []pusher.User{}}},
	} {
		got, err := c.call()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestPusherHTTPGo_IsRefused(t *testing.T) {
	t.Parallel()
	h := busy()
	server := listen(t, h)
	with := func(change func(*pusher.Client)) *pusher.Client {
		client := newPusher(server)
		change(client)
		return client
	}
	good := with(func(*pusher.Client) {})
	tooLong := make([]byte, httpapi.MaxData+1)
	for name, c := range map[string]struct {
		err    error
		status int
	}{
		"another secret": {with(func(c *pusher.Client) { c.Secret = "x" }).Trigger("news", "e", "d"), 401},
		"another key":    {with(func(c *pusher.Client) { c.Key = "x" }).Trigger("news", "e", "d"), 401},
		"another app":    {with(func(c *pusher.Client) { c.AppID = "4" }).Trigger("news", "e", "d"), 404},
		"a long event":   {with(func(c *pusher.Client) { c.OverrideMaxMessagePayloadKB = 20 }).Trigger("news", "e", tooLong), 413},
		"no channel":     {good.Trigger(strings.Repeat("c", 165), "e", "d"), 400},
		"no users":       {second(good.GetChannelUsers("news")), 400},
		"eleven":         {second(good.TriggerBatch(make11())), 400},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), fmt.Sprintf("Status Code: %d", c.status)) {
			t.Errorf("%s: %v", name, c.err)
		}
	}
	if h.calls != 0 {
		t.Errorf("the hub was asked %d times", h.calls)
	}
}

func second[T any](_ T, err error) error { return err }

func make11() []pusher.Event {
	batch := make([]pusher.Event, 11)
	for i := range batch {
		batch[i] = pusher.Event{Channel: "news", Name: "e", Data: "d"}
	}
	return batch
}
