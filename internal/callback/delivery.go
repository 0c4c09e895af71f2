package callback

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"time"

	"github.com/google/uuid"

	"github.com/toolboxai/orchestrator/events"
)

// Times of deliveries.
const (
	RetryFor  = 24 * time.Hour      // how long a message is tried
	Retention = 30 * 24 * time.Hour // how long a delivery is kept after it was planned; older events are not planned
)

// DeliveryState says what came of a delivery so far.
type DeliveryState string

const (
	Pending   DeliveryState = "pending"   // waits for its next try, or one is under way
	Delivered DeliveryState = "delivered" // the receiver answered 2xx
	Dead      DeliveryState = "dead"      // given up, until somebody replays it
)

// TypeTest is the type of the message that an admin sends to see whether an endpoint works. It is about no task.
const TypeTest events.Type = "callback.test"

// Delivery is one message to one target, and an entry of the delivery log.
type Delivery struct {
	ID         string        `json:"id"` // the webhook-id of every try
	Tenant     string        `json:"tenant_id"`
	EndpointID string        `json:"endpoint_id,omitempty"` // empty: it goes to the task's callback_url
	URL        string        `json:"url,omitempty"`         // that one; the log shows it without its query
	TaskID     string        `json:"task_id,omitempty"`
	EventType  events.Type   `json:"event_type"`
	Seq        uint64        `json:"seq,omitempty"`
	State      DeliveryState `json:"state"`
	Attempt    int           `json:"attempt"`               // tries that began
	LastStatus int           `json:"last_status,omitempty"` // of the last answer; 0: there was none
	LastError  string        `json:"last_error,omitempty"`  // of the last try, for people; at most MaxError bytes
	NextAt     *time.Time    `json:"next_attempt_at,omitempty"`
	CreatedAt  time.Time     `json:"created_at"`
	FinishedAt *time.Time    `json:"finished_at,omitempty"`

	Target    string    `json:"-"` // what it shares places and the circuit with: the endpoint's id, or the origin of URL
	Body      []byte    `json:"-"`
	ExpiresAt time.Time `json:"-"` // no try is planned for later
}

// MaxError bounds Delivery.LastError, in bytes.
const MaxError = 300

// namespace is that of the ids of deliveries.
var namespace = uuid.MustParse("5f9f6c51-1f0e-4b9c-9d57-2a0a8f3f6d10")

// deliveryID is the same for the same event and target, whoever plans and however often.
func deliveryID(event, target string) string {
	return uuid.NewSHA1(namespace, []byte(event+"\n"+target)).String()
}

// targetOf returns the target of a task's callback_url: the same for all URLs of one origin. It cannot be the id of an endpoint.
func targetOf(u *url.URL) string {
	sum := sha256.Sum256([]byte(u.Scheme + "://" + u.Host))
	return "url-" + hex.EncodeToString(sum[:12])
}

// Shown returns a URL as logs and lists may show it: without its query, which often holds a token.
func Shown(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	if u.RawQuery != "" {
		u.RawQuery = "…"
	}
	u.User, u.Fragment = nil, ""
	return u.String()
}
