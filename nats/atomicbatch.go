package nats

import (
	"context"
	"errors"
	"strconv"

	"github.com/google/uuid"
	natsgo "github.com/nats-io/nats.go"
)

// Headers of an atomic batch: several messages to one stream that are stored together or not at all. The broker puts them aside
// until the one with the commit arrives, holds each against its own expected sequence, and stores them one behind the other;
// one that is refused refuses all. A batch that is not committed within 10 s is forgotten.
const (
	headerBatchID     = "Nats-Batch-Id"
	headerBatchSeq    = "Nats-Batch-Sequence"
	headerBatchCommit = "Nats-Batch-Commit"
)

// errNoBatch says that the broker acknowledged something else than the batch: what became of its messages must be found out
// one by one.
var errNoBatch = errors.New("the acknowledgement is not that of the batch")

// storeBatch sends msgs, at least two and each to a subject of its own, as one atomic batch to their stream and returns the
// sequence of the last one; the others have those before it. A refusal is a *jetstream.APIError, and then none is stored. After
// any other error they may be stored, all of them or (errNoBatch) some.
func storeBatch(ctx context.Context, nc *natsgo.Conn, msgs []*natsgo.Msg) (uint64, error) {
	id := uuid.NewString()
	for i, msg := range msgs {
		msg.Header[headerBatchID] = []string{id}
		msg.Header[headerBatchSeq] = []string{strconv.Itoa(i + 1)}
	}
	last := msgs[len(msgs)-1]
	last.Header[headerBatchCommit] = []string{"1"}
	for _, msg := range msgs[:len(msgs)-1] {
		if err := nc.PublishMsg(msg); err != nil {
			return 0, err
		}
	}
	ack, err := requestAck(ctx, nc, last)
	if err != nil {
		return 0, err
	}
	if ack.Batch != id || ack.Count != len(msgs) {
		return 0, errNoBatch
	}
	return ack.Seq, nil
}

// unbatch takes a message out of its batch.
func unbatch(msg *natsgo.Msg) {
	for _, key := range []string{headerBatchID, headerBatchSeq, headerBatchCommit} {
		delete(msg.Header, key)
	}
}
