package webhook

import (
	"crypto/hmac"
	"crypto/subtle"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/toolboxai/orchestrator/internal/channels"
	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	// MaxBody is how many bytes of a body Verify takes. Who reads one from the network reads no more than MaxBody+1.
	MaxBody = 1 << 20
	// MaxAge is how far time_ms may be from now, both ways: longer than a webhook is repeated for.
	MaxAge = 10 * time.Minute
)

// Verify returns the events of a webhook, given its header and its body as it was received. Unauthorized when it was not signed by app, or is
// older than MaxAge; TooLarge beyond MaxBody; Invalid when what was signed is no webhook: another member or type than documented, a name
// twice in one object, bytes that are not UTF-8. The same webhook may come more than once.
func Verify(app channels.App, header http.Header, body []byte) ([]Event, error) {
	if len(body) > MaxBody {
		return nil, fault.New(fault.TooLarge, "the webhook is longer than %d bytes", MaxBody)
	}
	if subtle.ConstantTimeCompare([]byte(header.Get("X-Pusher-Key")), []byte(app.Key)) != 1 || app.Key == "" || app.Secret == "" {
		return nil, fault.New(fault.Unauthorized, "X-Pusher-Key is not the key of this app")
	}
	if !hmac.Equal([]byte(sign(app.Secret, body)), []byte(header.Get("X-Pusher-Signature"))) {
		return nil, fault.New(fault.Unauthorized, "X-Pusher-Signature is not the hex HMAC-SHA256 of the body under the secret of X-Pusher-Key")
	}
	var p payload[Event]
	if err := json.Unmarshal(body, &p, json.RejectUnknownMembers(true)); err != nil {
		return nil, fault.New(fault.Invalid, "the webhook is not as documented: %w", err)
	}
	// Compared as milliseconds: a duration cannot hold what a peer may write.
	now, most := time.Now().UnixMilli(), MaxAge.Milliseconds()
	if p.TimeMS < now-most || p.TimeMS > now+most {
		return nil, fault.New(fault.Unauthorized, "time_ms is not within %v of now", MaxAge)
	}
	for _, e := range p.Events {
		if e.Name == "" || e.Channel == "" {
			return nil, fault.InvalidField("events", "has one without a name or a channel")
		}
	}
	return p.Events, nil
}
