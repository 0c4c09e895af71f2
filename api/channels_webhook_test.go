package api_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/internal/channels"
	"github.com/toolboxai/orchestrator/internal/channels/webhook"
)

// pushEvents verifies webhooks as the platform does, and keeps what they tell of.
type pushEvents struct {
	mu    sync.Mutex
	names []string
}

func (p *pushEvents) Receive(_ context.Context, key, signature string, body []byte) error {
	found, err := webhook.Verify(channels.App{Key: "app-key", Secret: "app-secret"}, http.Header{"X-Pusher-Key": {key}, "X-Pusher-Signature": {signature}}, body)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range found {
		p.names = append(p.names, e.Name)
	}
	return err
}

// anyWebhook takes whatever comes.
type anyWebhook struct{}

func (anyWebhook) Receive(context.Context, string, string, []byte) error { return nil }

// webhookOf is a request as Pusher sends it, signed with a secret.
func webhookOf(secret, body string) ask {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return ask{method: "POST", path: "/api/v1/pusher/webhook", as: "-", body: body, header: http.Header{
		"X-Pusher-Key": {"app-key"}, "X-Pusher-Signature": {hex.EncodeToString(mac.Sum(nil))},
	}}
}

func TestChannelWebhook_IsTakenFromWhoHasTheSecret(t *testing.T) {
	t.Parallel()
	var told pushEvents
	k := newKit(t, func(c *api.Config) { c.PushEvents = &told })
	now := time.Now().UnixMilli()
	// Spaces and the order of members belong to what is signed.
	good := fmt.Sprintf(`{ "events" :[{"channel":"private-org-school","name":"channel_occupied"},{"name":"member_added","channel":"presence-org-school","user_id":"ada"}],"time_ms":%d}`, now)
	k.want(k.do(webhookOf("app-secret", good)), http.StatusOK, "")
	if want := []string{"channel_occupied", "member_added"}; !slices.Equal(told.names, want) {
		t.Errorf("was told of %v", told.names)
	}
	large := fmt.Sprintf(`{"time_ms":%d,"events":[{"name":"client_event","channel":"private-x","data":"%s"}]}`, now, strings.Repeat("d", 600<<10))
	k.want(k.do(webhookOf("app-secret", large)), http.StatusOK, "")

	other, changed, unsigned, twice := webhookOf("another secret", good), webhookOf("app-secret", good), webhookOf("app-secret", good), webhookOf("app-secret", good)
	changed.body = strings.Replace(good, "ada", "eve", 1)
	unsigned.header = http.Header{"X-Pusher-Key": {"app-key"}}
	twice.header["X-Pusher-Signature"] = append(twice.header["X-Pusher-Signature"], "x")
	foreign := webhookOf("app-secret", good)
	foreign.header.Set("X-Pusher-Key", "other-key")
	text := webhookOf("app-secret", good)
	text.contentType = "text/plain"
	before := len(told.names)
	for name, c := range map[string]struct {
		ask    ask
		status int
	}{
		"another secret": {other, 401}, "a changed body": {changed, 401}, "no signature": {unsigned, 401}, "another app": {foreign, 401}, "two signatures": {twice, 400},
		"nothing":    {webhookOf("app-secret", ""), 400},
		"no JSON":    {webhookOf("app-secret", "x"), 400},
		"no webhook": {webhookOf("app-secret", fmt.Sprintf(`{"time_ms":%d,"events":[{}]}`, now)), 400},
		"old":        {webhookOf("app-secret", fmt.Sprintf(`{"time_ms":%d,"events":[]}`, now-time.Hour.Milliseconds())), 401},
		"too large":  {webhookOf("app-secret", strings.Repeat(" ", 1<<20+1)), 413},
		"plain text": {text, 415},
	} {
		if got := k.raw(c.ask); got.status != c.status {
			t.Errorf("%s: %d %s", name, got.status, got.raw)
		}
	}
	if len(told.names) != before {
		t.Errorf("what was refused told of %v", told.names[before:])
	}
}

func TestChannelWebhook_IsNotThereWithoutPusher(t *testing.T) {
	t.Parallel()
	k := newKit(t, func(c *api.Config) { c.PushEvents = nil })
	k.want(k.do(webhookOf("app-secret", `{"time_ms":1,"events":[]}`)), http.StatusNotFound, "not_found")
}
