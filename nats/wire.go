package nats

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// replyTimeout bounds the wait for one answer of the broker, which may have died before it gave it: long enough for a slow
// disk, short enough for several tries while an edge is patient. A call may end earlier with its context.
const replyTimeout = 3 * time.Second

// attributes is how many headers an event has at the most.
const attributes = 9

// encode returns e as a message on subject, with room for extra headers. What readers could not decode is refused here, so
// that it never gets on the log; only that the body is JSON all through is taken from events.New, which made it.
func encode(subject string, e events.Event, extra int) (*natsgo.Msg, error) {
	if len(e.Data) > events.MaxData {
		return nil, fault.New(fault.TooLarge, "the event has %d bytes, at most %d are allowed", len(e.Data), events.MaxData)
	}
	if err := e.Check(); err != nil {
		return nil, err
	}
	header := make(natsgo.Header, attributes+extra)
	values := make([]string, 0, attributes)
	for key, value := range e.Attributes() {
		values = append(values, value)
		header[key] = values[len(values)-1 : len(values) : len(values)]
	}
	return &natsgo.Msg{Subject: subject, Header: header, Data: e.Data}, nil
}

// decode reads an event from a message as it was stored at seq. When it cannot, the event has its sequence all the same.
func decode(header natsgo.Header, data []byte, seq uint64) (events.Event, error) {
	e, err := events.Decode(func(key string) string { return lastValue(header, key) }, data)
	if err != nil {
		return events.Event{Seq: seq}, fmt.Errorf("message %d: %w", seq, err)
	}
	e.Seq = seq
	return e, nil
}

// lastValue returns the last value of a header: where a message was repeated from stream to stream, each added its own.
func lastValue(header natsgo.Header, key string) string {
	values := header[key]
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// sequence returns the number in a header, 0 when there is none.
func sequence(header natsgo.Header, key string) uint64 {
	n, _ := strconv.ParseUint(lastValue(header, key), 10, 64)
	return n
}

// request sends msg and returns the answer. The error is not classified yet.
func request(ctx context.Context, nc *natsgo.Conn, msg *natsgo.Msg) (*natsgo.Msg, error) {
	bounded, cancel := context.WithTimeout(ctx, replyTimeout)
	defer cancel()
	return nc.RequestMsgWithContext(bounded, msg)
}

// store sends msg to its stream and returns the sequence that it got. A refusal is a *jetstream.APIError.
func store(ctx context.Context, nc *natsgo.Conn, msg *natsgo.Msg) (uint64, error) {
	ack, err := requestAck(ctx, nc, msg)
	return ack.Seq, err
}

// pubAck is what a stream answers to what it stored.
type pubAck struct {
	answer
	Seq   uint64 `json:"seq"`
	Batch string `json:"batch"` // the id of an atomic batch, and how many messages it has
	Count int    `json:"count"`
}

// requestAck sends msg to its stream and returns the acknowledgement. A refusal is a *jetstream.APIError.
func requestAck(ctx context.Context, nc *natsgo.Conn, msg *natsgo.Msg) (pubAck, error) {
	reply, err := request(ctx, nc, msg)
	if err != nil {
		return pubAck{}, err
	}
	var ack pubAck
	if err := json.Unmarshal(reply.Data, &ack); err != nil {
		return pubAck{}, fmt.Errorf("decode the acknowledgement: %w", err)
	}
	if ack.Error != nil {
		return pubAck{}, ack.Error
	}
	if ack.Seq == 0 {
		return pubAck{}, fmt.Errorf("the acknowledgement has no sequence")
	}
	return ack, nil
}

// answer is what every answer of the JetStream API may hold instead of what was asked for.
type answer struct {
	Error *jetstream.APIError `json:"error"`
}

func (a *answer) refusal() *jetstream.APIError { return a.Error }

// ask calls the JetStream API and decodes its answer into out, which embeds answer. A refusal is a *jetstream.APIError.
func ask(ctx context.Context, nc *natsgo.Conn, subject string, in any, out interface{ refusal() *jetstream.APIError }) error {
	var data []byte
	if in != nil {
		var err error
		if data, err = json.Marshal(in); err != nil {
			return fmt.Errorf("encode a request: %w", err)
		}
	}
	reply, err := request(ctx, nc, &natsgo.Msg{Subject: subject, Data: data})
	if err != nil {
		return err
	}
	if err := json.Unmarshal(reply.Data, out); err != nil {
		return fmt.Errorf("decode an answer: %w", err)
	}
	if refusal := out.refusal(); refusal != nil {
		return refusal
	}
	return nil
}
