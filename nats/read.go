package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/toolboxai/orchestrator/events"
)

// Reads of the log come in two kinds. A leader read (STREAM.MSG.GET) is answered by the stream's leader and sees every
// acknowledged append. A direct read (DIRECT.GET) is answered by any replica and may miss the newest; in return it gives a
// whole history in one round trip. What a direct read gives is always the beginning of what the leader has.

const (
	leaderGet   = "$JS.API.STREAM.MSG.GET."
	directGet   = "$JS.API.DIRECT.GET."
	directBatch = 256
	directBytes = 8 << 20
	// directPatience is how long a page of a direct read may take before the leader is asked instead.
	directPatience = time.Second
)

var errNoMessage = errors.New("there is no such message")

// getRequest asks for one message or, direct reads only, for several.
type getRequest struct {
	Seq      uint64 `json:"seq,omitempty"`
	LastFor  string `json:"last_by_subj,omitempty"`
	NextFor  string `json:"next_by_subj,omitempty"`
	Batch    int    `json:"batch,omitempty"`
	MaxBytes int    `json:"max_bytes,omitempty"`
}

// leaderRead returns the one message of the log that get asks for, or errNoMessage. When that message cannot be decoded, the
// event has its sequence all the same.
func (l *Log) leaderRead(ctx context.Context, get getRequest) (events.Event, error) {
	var found struct {
		answer
		Message struct {
			Seq    uint64 `json:"seq"`
			Header []byte `json:"hdrs"`
			Data   []byte `json:"data"`
		} `json:"message"`
	}
	if err := ask(ctx, l.nc, leaderGet+events.StreamEvents, get, &found); err != nil {
		if isNoMessage(err) {
			return events.Event{}, errNoMessage
		}
		return events.Event{}, err
	}
	m := found.Message
	var header natsgo.Header
	if len(m.Header) > 0 {
		var err error
		if header, err = natsgo.DecodeHeadersMsg(m.Header); err != nil {
			return events.Event{Seq: m.Seq}, fmt.Errorf("message %d: %w: headers: %w", m.Seq, events.ErrMalformed, err)
		}
	}
	return decode(header, m.Data, m.Seq)
}

// directRead reads a history, page by page.
type directRead struct {
	log     *Log
	subject string
	sub     *natsgo.Subscription
	answers chan *natsgo.Msg // room for a page and the word behind it
}

// newDirect prepares to read a subject. The caller closes the read.
func (l *Log) newDirect(subject string) (*directRead, error) {
	answers := make(chan *natsgo.Msg, directBatch+1)
	sub, err := l.nc.ChanSubscribe(l.nc.NewInbox(), answers)
	if err != nil {
		return nil, err
	}
	return &directRead{log: l, subject: subject, sub: sub, answers: answers}, nil
}

// ask sends for at most limit events (0: a page) after a sequence, and does not wait.
func (r *directRead) ask(after uint64, limit int) error {
	batch := directBatch
	if limit > 0 {
		batch = min(batch, limit)
	}
	data, err := json.Marshal(getRequest{Seq: after + 1, NextFor: r.subject, Batch: batch, MaxBytes: directBytes})
	if err != nil {
		return err
	}
	return r.log.nc.PublishRequest(directGet+events.StreamEvents, r.sub.Subject, data)
}

// page passes on what the last ask gives, and reports whether there is more behind it. Where the answers stop halfway it
// reports no error: the caller compares with the leader.
func (r *directRead) page(ctx context.Context, add func(events.Event, error)) (more bool, err error) {
	stopped := time.NewTimer(directPatience)
	defer stopped.Stop()
	for {
		var msg *natsgo.Msg
		select {
		case msg = <-r.answers:
		case <-stopped.C:
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
		if status := msg.Header.Get("Status"); status != "" {
			return status == "204" && sequence(msg.Header, "Nats-Num-Pending") > 0, nil
		}
		add(decode(msg.Header, msg.Data, sequence(msg.Header, natsgo.JSSequence)))
	}
}

func (r *directRead) close() { _ = r.sub.Unsubscribe() }

// directLast returns the last message of a subject as some replica has it, or errNoMessage.
func directLast(ctx context.Context, nc *natsgo.Conn, stream, subject string) (*natsgo.Msg, error) {
	msg, err := request(ctx, nc, &natsgo.Msg{Subject: directGet + stream + "." + subject})
	if err != nil {
		return nil, err
	}
	switch status := msg.Header.Get("Status"); {
	case status == "":
		return msg, nil
	case strings.HasPrefix(status, "404"):
		return nil, errNoMessage
	default:
		return nil, fmt.Errorf("direct read: %s %s", status, msg.Header.Get("Description"))
	}
}
