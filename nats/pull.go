package nats

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	natsgo "github.com/nats-io/nats.go"
)

// puller speaks the pull protocol to one durable consumer. Unlike the client library's Fetch it keeps one inbox for all its
// pulls: a pull that was given up on cannot strand what the broker had sent already, and a pull costs one message instead of a
// subscription. It is used by one goroutine.
type puller struct {
	nc       *natsgo.Conn
	consumer string // <stream>.<name>
	inbox    string
	sub      *natsgo.Subscription
	n        uint64 // number of the last pull
}

// newPuller opens an inbox whose messages go to arrivals. What does not fit there is dropped, and delivered again after
// AckWait.
func newPuller(nc *natsgo.Conn, stream, consumer string, arrivals chan *natsgo.Msg) (*puller, error) {
	p := &puller{nc: nc, consumer: stream + "." + consumer, inbox: nc.NewInbox()}
	sub, err := nc.ChanSubscribe(p.inbox+".*", arrivals)
	if err != nil {
		return nil, err
	}
	p.sub = sub
	return p, nil
}

// pullRequest asks a consumer for messages.
type pullRequest struct {
	Batch    int           `json:"batch"`
	MaxBytes int           `json:"max_bytes,omitempty"`
	Expires  time.Duration `json:"expires,omitempty"`
	NoWait   bool          `json:"no_wait,omitempty"` // end at once when nothing is left
	Group    string        `json:"group,omitempty"`
	PinID    string        `json:"id,omitempty"`
	// Heartbeat is how often the broker says, while nothing comes, that the pull is alive.
	Heartbeat time.Duration `json:"idle_heartbeat,omitempty"`
}

// pull sends a request and does not wait for what it brings.
func (p *puller) pull(req pullRequest) error {
	data, err := json.Marshal(req)
	if err != nil {
		return err
	}
	p.n++
	return p.nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT."+p.consumer, p.inbox+"."+strconv.FormatUint(p.n, 10), data)
}

// pausedInbox is where, below the inbox, the broker says what it knows of the consumer.
const pausedInbox = ".info"

// askPaused asks whether the consumer is paused, and does not wait: see pausedAnswer.
func (p *puller) askPaused() error {
	return p.nc.PublishRequest("$JS.API.CONSUMER.INFO."+p.consumer, p.inbox+pausedInbox, nil)
}

// pausedAnswer returns whether the consumer is paused, and whether msg says anything about that.
func (p *puller) pausedAnswer(msg *natsgo.Msg) (paused, is bool) {
	if msg.Subject != p.inbox+pausedInbox {
		return false, false
	}
	var info struct {
		Paused bool `json:"paused"`
	}
	return json.Unmarshal(msg.Data, &info) == nil && info.Paused, true
}

// status returns what the broker says about a pull instead of a message, and whether it says anything. about is false for
// pulls before the last one.
func (p *puller) status(msg *natsgo.Msg) (code int, text string, about, is bool) {
	value := msg.Header.Get("Status")
	if value == "" || len(msg.Data) > 0 {
		return 0, "", false, false
	}
	code, _ = strconv.Atoi(value)
	about = strings.TrimPrefix(msg.Subject, p.inbox+".") == strconv.FormatUint(p.n, 10)
	return code, msg.Header.Get("Description"), about, true
}

// Status codes of the pull protocol.
const (
	statusHeartbeat    = 100
	statusNoMessages   = 404
	statusTimeout      = 408 // the pull's time is over, or others wait for what is there
	statusWrongPin     = 423 // another reader is pinned
	statusNoResponders = 503 // there is no such consumer, or nobody leads it
)

// isFull reports whether a pull ended because the next message would exceed its MaxBytes.
func isFull(text string) bool { return strings.HasPrefix(text, "Message Size Exceeds MaxBytes") }

// drain ends the inbox. done is called once nothing can arrive any more; what the broker sent before that does arrive. The
// client library calls it under its own lock: done must neither wait nor call the connection.
func (p *puller) drain(done func()) error {
	p.sub.SetClosedHandler(func(string) { done() })
	return p.sub.Drain()
}

// place is what the broker says about a delivery in its reply subject.
type place struct {
	streamSeq   uint64
	consumerSeq uint64    // counts deliveries of the consumer, without gaps
	deliveries  uint64    // of this message, from 1
	pending     uint64    // messages behind it
	at          time.Time // when it was stored
}

// parsePlace reads $JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time>.<pending>, or the longer
// form with <domain>.<account> before the stream.
func parsePlace(reply string) (place, error) {
	tokens := strings.Split(reply, ".")
	first := 4
	if len(tokens) >= 11 {
		first = 6
	}
	if len(tokens) < first+5 || tokens[0] != "$JS" || tokens[1] != "ACK" {
		return place{}, fmt.Errorf("reply subject %q is no delivery's", reply)
	}
	var p place
	var at uint64
	for i, field := range []*uint64{&p.deliveries, &p.streamSeq, &p.consumerSeq, &at, &p.pending} {
		n, err := strconv.ParseUint(tokens[first+i], 10, 64)
		if err != nil {
			return place{}, fmt.Errorf("reply subject %q is no delivery's: %w", reply, err)
		}
		*field = n
	}
	p.at = time.Unix(0, int64(at)).UTC()
	return p, nil
}
