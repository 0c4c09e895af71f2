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

// stored is a message as its stream has it.
type stored struct {
	Subject string
	Seq     uint64
	At      time.Time
	Header  natsgo.Header
	Data    []byte
}

// leaderMessage returns the one message of a stream that get asks for, or errNoMessage. When its headers cannot be decoded, the
// error is ErrMalformed and the rest is there all the same.
func leaderMessage(ctx context.Context, nc *natsgo.Conn, stream string, get getRequest) (stored, error) {
	var found struct {
		answer
		Message struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			At      time.Time `json:"time"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
		} `json:"message"`
	}
	if err := ask(ctx, nc, leaderGet+stream, get, &found); err != nil {
		if isNoMessage(err) {
			return stored{}, errNoMessage
		}
		return stored{}, err
	}
	m := stored{Subject: found.Message.Subject, Seq: found.Message.Seq, At: found.Message.At, Data: found.Message.Data}
	if len(found.Message.Header) > 0 {
		var err error
		if m.Header, err = natsgo.DecodeHeadersMsg(found.Message.Header); err != nil {
			return m, fmt.Errorf("message %d: %w: headers: %w", m.Seq, events.ErrMalformed, err)
		}
	}
	return m, nil
}

// leaderRead returns the one event of the log that get asks for, or errNoMessage. When that message cannot be decoded, the
// event has its sequence all the same.
func (l *Log) leaderRead(ctx context.Context, get getRequest) (events.Event, error) {
	m, err := leaderMessage(ctx, l.nc, events.StreamEvents, get)
	if err != nil {
		return events.Event{Seq: m.Seq}, err
	}
	return decode(m.Header, m.Data, m.Seq)
}

// directRead reads a stream's messages below a subject, page by page.
type directRead struct {
	nc      *natsgo.Conn
	stream  string
	subject string
	sub     *natsgo.Subscription
	answers chan *natsgo.Msg // room for a page and the word behind it
}

// newDirect prepares to read a subject. The caller closes the read.
func newDirect(nc *natsgo.Conn, stream, subject string) (*directRead, error) {
	answers := make(chan *natsgo.Msg, directBatch+1)
	sub, err := nc.ChanSubscribe(nc.NewInbox(), answers)
	if err != nil {
		return nil, err
	}
	return &directRead{nc: nc, stream: stream, subject: subject, sub: sub, answers: answers}, nil
}

// ask sends for at most limit messages (0: a page) after a sequence, and does not wait.
func (r *directRead) ask(after uint64, limit int) error {
	batch := directBatch
	if limit > 0 {
		batch = min(batch, limit)
	}
	data, err := json.Marshal(getRequest{Seq: after + 1, NextFor: r.subject, Batch: batch, MaxBytes: directBytes})
	if err != nil {
		return err
	}
	return r.nc.PublishRequest(directGet+r.stream, r.sub.Subject, data)
}

// page passes on what the last ask gives, and reports whether there is more behind it. Where the answers stop halfway it
// reports no error: the caller compares with the leader.
func (r *directRead) page(ctx context.Context, add func(stored)) (more bool, err error) {
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
		at, _ := time.Parse(time.RFC3339Nano, lastValue(msg.Header, natsgo.JSTimeStamp))
		add(stored{
			Subject: lastValue(msg.Header, natsgo.JSSubject), Seq: sequence(msg.Header, natsgo.JSSequence), At: at,
			Header: msg.Header, Data: msg.Data,
		})
	}
}

func (r *directRead) close() { _ = r.sub.Unsubscribe() }

// readSubject passes on what a stream has below a subject after a sequence, oldest first, at most limit messages (0: all). It
// sees all that was acknowledged before the call. Both kinds of reads are sent at once: the leader says where the messages end, a
// direct read brings them. What the direct read lacks is then read from the leader, one by one. A message whose headers cannot
// be decoded has none. errNoMessage when there is nothing below the subject at all.
func readSubject(ctx context.Context, nc *natsgo.Conn, stream, subject string, after uint64, limit int, add func(stored)) error {
	direct, err := newDirect(nc, stream, subject)
	if err != nil {
		return err
	}
	defer direct.close()
	if err := direct.ask(after, limit); err != nil {
		return err
	}
	last, err := leaderMessage(ctx, nc, stream, getRequest{LastFor: subject})
	if err != nil && !errors.Is(err, events.ErrMalformed) {
		return err
	}
	found := 0
	take := func(m stored) {
		add(m)
		found++
		after = m.Seq
	}
	full := func() bool { return limit > 0 && found >= limit }
	for more := true; more && !full(); {
		if found > 0 {
			if err := direct.ask(after, limit-found); err != nil {
				return err
			}
		}
		had := found
		if more, err = direct.page(ctx, take); err != nil {
			return err
		}
		more = more && found > had
	}
	for after < last.Seq && !full() {
		m, err := leaderMessage(ctx, nc, stream, getRequest{Seq: after + 1, NextFor: subject})
		if errors.Is(err, errNoMessage) {
			break
		}
		if err != nil && !errors.Is(err, events.ErrMalformed) {
			return err
		}
		take(m)
	}
	return nil
}

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
