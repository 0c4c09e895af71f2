package nats

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	natsgo "github.com/nats-io/nats.go"

	"github.com/toolboxai/orchestrator/events"
)

// delivery is one message from receipt to settlement.
type delivery struct {
	lane   *lane
	reply  string // where the broker takes the settlement
	raw    *natsgo.Msg
	place  place
	cancel context.CancelCauseFunc
}

func (d *delivery) key() deliveryKey { return deliveryKey{d.lane.ref, d.place.streamSeq} }

func (d *delivery) message() *message.Message {
	id := lastValue(d.raw.Header, events.HeaderID)
	if id == "" {
		id = watermill.NewUUID()
	}
	msg := message.NewMessage(id, d.raw.Data)
	for key := range d.raw.Header {
		msg.Metadata[key] = lastValue(d.raw.Header, key)
	}
	msg.Metadata[events.HeaderQueueSubject] = d.raw.Subject
	msg.Metadata[MetaDeliveries] = strconv.FormatUint(d.place.deliveries, 10)
	return msg
}

// deliver hands a message out, waits for the verdict on it and passes that on. Nothing here ends with a context: a verdict is
// settled whatever ended meanwhile.
func (s *Subscriber) deliver(d *delivery, msg *message.Message) {
	verdict := ackNak
	select {
	case d.lane.sub.out <- msg:
		select {
		case <-msg.Acked():
			verdict = ackOK
		case <-msg.Nacked():
			verdict = nak(msg.Metadata.Get(events.HeaderRetryAfter))
		case <-s.abort:
		}
	case <-d.lane.sub.stop: // nobody took it
	}
	s.beats.remove(d)
	d.cancel(nil)
	if verdict != "" {
		s.settle(d, verdict)
	}
}

// nak returns the word that gives a message back, at once or after a while; none when it is another delivery's by now.
func nak(after string) string {
	if after == events.LetGo {
		return ""
	}
	wait, err := time.ParseDuration(after)
	if err != nil || wait <= 0 {
		return ackNak
	}
	return fmt.Sprintf(`%s {"delay": %d}`, ackNak, wait.Nanoseconds())
}

// settlePatience bounds how long a verdict waits for a broker that is away.
const settlePatience = 10 * time.Second

// settle tells the broker. When it cannot be told in time the message is delivered again, to find its task decided.
func (s *Subscriber) settle(d *delivery, verdict string) {
	nc := s.js.Conn()
	limit := time.Now().Add(min(settlePatience, d.lane.ackWait))
	wait := 20 * time.Millisecond
	for {
		err := nc.Publish(d.reply, []byte(verdict))
		if err == nil {
			return
		}
		if time.Now().After(limit) || nc.IsClosed() {
			s.cfg.Logger.Warn("message not settled, it will come again", "subject", d.raw.Subject, "error", err)
			return
		}
		select {
		case <-time.After(wait):
		case <-s.abort:
			limit = time.Time{}
		}
		wait = min(2*wait, time.Second)
	}
}
